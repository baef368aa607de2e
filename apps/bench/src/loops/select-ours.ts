/** Kysely over the pool guard with its defaults: admission, breaker, pressure, time limits, leak watch. */
import { PoolGuard } from '@holdfast/pool-guard'
import { guardedDialect } from '@holdfast/pool-guard/kysely'
import { selectLoop } from './select.ts'

export default selectLoop((connectionString) => guardedDialect(new PoolGuard({ connectionString, max: 20 })))
