/** Every row, in the order in which they run. */
import type { Row } from '../harness/row.ts'
import { api } from './api.ts'
import { cacheHit } from './cache-hit.ts'
import { healthz } from './healthz.ts'
import { herd } from './herd.ts'

export const rows: readonly Row[] = [cacheHit, herd, healthz, api]
