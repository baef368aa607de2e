import { startPgBouncer, startPostgres } from '@holdfast/test-kit'
import { Client } from 'pg'
import type { LoopRow, LoopWorld } from '../harness/row.ts'

/** What the guard adds to a query that nobody has to wait for. */
export const admission: LoopRow = {
  kind: 'loop',
  name: 'admission',
  title: 'a primary-key select through Kysely, ten at a time, pool of 20; figures per select',
  prepare: items,
  variants: [
    { name: 'pg.Pool', module: 'src/loops/select-pg-pool.ts', args: ['direct'] },
    { name: 'pg.Pool again', module: 'src/loops/select-pg-pool.ts', args: ['direct'], against: 'pg.Pool' },
    { name: 'ours', module: 'src/loops/select-ours.ts', args: ['direct'], against: 'pg.Pool' },
    { name: 'pg.Pool, PgBouncer', module: 'src/loops/select-pg-pool.ts', args: ['pooler'] },
    {
      name: 'ours, PgBouncer',
      module: 'src/loops/select-ours.ts',
      args: ['pooler'],
      against: 'pg.Pool, PgBouncer',
    },
  ],
  goals: [
    {
      claim: 'A primary-key select through Kysely takes hardly longer over pool-guard than over `pg.Pool`',
      figure: 'nanoseconds',
      of: 'ours',
      against: 'pg.Pool',
      atMost: 1.03,
    },
    {
      claim: 'A primary-key select through PgBouncer takes hardly longer over pool-guard than over `pg.Pool`',
      figure: 'nanoseconds',
      of: 'ours, PgBouncer',
      against: 'pg.Pool, PgBouncer',
      atMost: 1.03,
    },
  ],
}

/** A table of a thousand rows, reached directly and through PgBouncer. */
async function items(): Promise<LoopWorld> {
  const postgres = await startPostgres()
  const pooler = await startPgBouncer({ target: { url: postgres.directUrl } })
  const client = new Client({ connectionString: postgres.directUrl })
  await client.connect()
  await client.query('create table item (id int primary key, name text not null)')
  await client.query(`insert into item select id, 'item ' || id from generate_series(0, 999) as id`)
  await client.query('analyze item')
  await client.end()
  return {
    args: [postgres.directUrl, pooler.directUrl],
    async close() {
      await pooler.stop()
      await postgres.stop()
    },
  }
}
