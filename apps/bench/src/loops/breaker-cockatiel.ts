/** cockatiel's `execute`, with the rule that costs it least (`consecutive`) and the one that is like ours (`sampling`). */
import { ConsecutiveBreaker, circuitBreaker, handleAll, SamplingBreaker } from 'cockatiel'
import type { CreateLoop } from '../harness/row.ts'
import { failingLoop, succeedingLoop } from './breaker.ts'

const createLoop: CreateLoop = async ([kind, rule]) => {
  const newRule = () => {
    if (rule === 'sampling') return new SamplingBreaker({ threshold: 0.5, duration: 10_000 })
    return new ConsecutiveBreaker(kind === 'run' ? Number.POSITIVE_INFINITY : 5)
  }
  const loop = kind === 'succeed' ? succeedingLoop : failingLoop
  return loop((work) => {
    const breaker = circuitBreaker(handleAll, { halfOpenAfter: 60_000, breaker: newRule() })
    return () => breaker.execute(work)
  })
}
export default createLoop
