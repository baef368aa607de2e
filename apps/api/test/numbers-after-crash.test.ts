// Every number is given out once, also when PostgreSQL is killed right after: in a database that migrations have made, as
// that of production, and in the copies that tests work with.

import { startPostgres } from '@holdfast/test-kit'
import t from 'tap'
import { prepareDatabase } from '../src/db/preparation.ts'
import { demoDatabase, freshDatabase, testGuard, testPool } from './fresh-database.ts'

const TIMES = 5
const TAKE = `insert into taken
  select seqrelid::regclass::text, nextval(seqrelid::regclass) from pg_sequence`

t.test('no number is given out twice', async (t) => {
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  const migrated = await freshDatabase(postgres.directUrl)
  await prepareDatabase(testGuard(t, migrated, 1), { mayChange: true })
  const databases = { migrated, copied: await demoDatabase(postgres.directUrl) }

  for (const url of Object.values(databases)) {
    const sql = testPool(url, 1)
    await sql.query('create table taken (sequence text not null, number bigint not null)')
    for (let time = 0; time < TIMES; time += 1) await sql.query(TAKE)
    await sql.end()
  }
  await postgres.kill9()
  await postgres.restart()

  for (const [name, url] of Object.entries(databases)) {
    const sql = testPool(url, 1)
    t.teardown(() => sql.end())
    await sql.query(TAKE)
    const { rows } = await sql.query(
      `select sequence, count(*)::int, count(distinct number)::int as different from taken group by sequence`,
    )
    t.ok(rows.length > 5, `${name}: ${rows.length} sequences`)
    const twice = rows.filter(({ count, different }) => count !== TIMES + 1 || different !== count)
    t.strictSame(twice, [], name)
  }
})
