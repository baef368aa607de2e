/** The peer: Kysely's own dialect over a plain pg.Pool, which sets no limits and listens to nothing. */
import { PostgresDialect } from 'kysely'
import { Pool } from 'pg'
import { selectLoop } from './select.ts'

export default selectLoop(
  (connectionString) => new PostgresDialect({ pool: new Pool({ connectionString, max: 20 }) }),
)
