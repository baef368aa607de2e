/** The work alone, guarded by nothing. */
import type { CreateLoop } from '../harness/row.ts'
import { failingLoop, succeedingLoop } from './breaker.ts'

const createLoop: CreateLoop = async ([kind]) =>
  kind === 'succeed' ? succeedingLoop((work) => work) : failingLoop((work) => work)
export default createLoop
