import { startPostgres } from '@holdfast/test-kit'
import pg from 'pg'
import type { World } from '../harness/row.ts'

/** A PostgreSQL with room for one service, that can be stopped and continued (SIGSTOP, SIGCONT). */
export async function frozenWorld(): Promise<World> {
  const postgres = await startPostgres()
  const client = new pg.Client({ connectionString: postgres.directUrl })
  await client.connect()
  // Without a key, so that a write that is made twice is seen.
  await client.query('create table bench_write (service int not null, request int not null)')
  await client.end()
  return {
    // Past the proxy, which would be one more thing that costs time.
    environment: { DATABASE_URL: postgres.directUrl },
    async enter(state) {
      if (state === 'frozen') await postgres.freeze()
      else await postgres.thaw()
    },
    close: () => postgres.stop(),
  }
}
