/** Every row, in the order in which they run. */
import type { Row } from '../harness/row.ts'
import { api } from './api.ts'
import { healthz } from './healthz.ts'
import { herd } from './herd.ts'

export const rows: readonly Row[] = [herd, healthz, api]
