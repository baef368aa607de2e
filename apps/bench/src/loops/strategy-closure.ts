/** Decisions that are written in the program. */
import type { CreateLoop } from '../harness/row.ts'
import { closures, decidingLoop } from './strategy.ts'

const createLoop: CreateLoop = async () => decidingLoop(closures())
export default createLoop
