/** Strategies of apps/api: `decide` asks them, `read` makes them of their texts. */
import { strategyOf } from '@holdfast/api/strategy'
import type { CreateLoop } from '../harness/row.ts'
import { decidingLoop, readingLoop, STRATEGIES } from './strategy.ts'

const createLoop: CreateLoop = async ([what]) => {
  if (what === 'read') return readingLoop(strategyOf)
  return decidingLoop(
    STRATEGIES.map((text) => {
      const strategy = strategyOf(text)
      return (moment) => strategy.decide(moment)
    }),
  )
}
export default createLoop
