/** The floor: an async function that reads a Map. */
import type { CreateLoop } from '../harness/row.ts'
import { hitLoop, themes } from './cache-hit.ts'

const createLoop: CreateLoop = () => hitLoop(async (tenant) => themes.get(tenant))
export default createLoop
