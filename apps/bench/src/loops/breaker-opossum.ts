/**
 * opossum's `fire`. It is spared its timer per call (`timeout: false`), but where the row measures that, too;
 * `no-percentiles` also spares it the latencies it sorts.
 */
import Opossum from 'opossum'
import type { CreateLoop } from '../harness/row.ts'
import { failingLoop, succeedingLoop } from './breaker.ts'

const createLoop: CreateLoop = async ([kind, percentiles]) => {
  const options = {
    timeout: kind === 'timeout' ? 10_000 : (false as const),
    rollingPercentilesEnabled: percentiles !== 'no-percentiles',
  }
  if (kind === 'succeed' || kind === 'timeout') {
    return succeedingLoop((work) => {
      const breaker = new Opossum(work, options)
      return () => breaker.fire()
    })
  }
  // It never opens when more than 100 % would have to fail.
  const never = kind === 'open' ? {} : { errorThresholdPercentage: 101 }
  let former: { shutdown(): void } | undefined
  return failingLoop((work) => {
    // Its windows turn by timers, of which only one breaker's may run.
    former?.shutdown()
    const breaker = new Opossum(work, { ...options, ...never })
    former = breaker
    return () => breaker.fire()
  })
}
export default createLoop
