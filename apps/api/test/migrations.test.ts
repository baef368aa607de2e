import { startPostgres } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { seedDemoTenants } from '../src/db/demo-tenants.ts'
import { checksumOf, migrateDown, migrateUp, migrationStates } from '../src/db/migrator.ts'
import { prepareDatabase } from '../src/db/preparation.ts'
import { migrations } from '../src/migrations/index.ts'
import type { Migration } from '../src/migrations/migration.ts'
import { parseThemeDocument } from '../src/routes/public-theme/theme.ts'
import { freshDatabase, testGuard } from './fresh-database.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())

async function freshPool(t: Test) {
  const url = await freshDatabase(postgres.directUrl)
  const pool = testGuard(t, url)
  return { url, pool }
}

const first: Migration = { name: '0001-a', up: 'create table a (x int)', down: 'drop table a' }
const second: Migration = { name: '0002-b', up: 'create table b (x int)', down: 'drop table b' }

t.test(
  'up applies what is pending, down takes back the last one, and the history keeps all of it',
  async (t) => {
    const { pool } = await freshPool(t)
    const states = async () => (await migrationStates(pool, [first, second])).map(({ state }) => state)
    t.strictSame(await states(), ['pending', 'pending'], 'looking creates nothing')
    t.equal((await pool.query(`select from pg_class where relname = 'migration_history'`)).rowCount, 0)
    t.strictSame(await migrateUp(pool, [first]), ['0001-a'])
    t.strictSame(await migrateUp(pool, [first, second]), ['0002-b'])
    t.strictSame(await migrateUp(pool, [first, second]), [])
    t.strictSame(await states(), ['applied', 'applied'])
    t.equal(await migrateDown(pool, [first, second]), '0002-b')
    t.strictSame(await states(), ['applied', 'pending'])
    t.equal(await migrateDown(pool, [first, second]), '0001-a')
    t.equal(await migrateDown(pool, [first, second]), undefined)
    t.strictSame(await migrateUp(pool, [first, second]), ['0001-a', '0002-b'])
    const { rows } = await pool.query('select name, direction, checksum from migration_history order by id')
    t.strictSame(
      rows.map(({ name, direction }) => `${direction} ${name}`),
      ['up 0001-a', 'up 0002-b', 'down 0002-b', 'down 0001-a', 'up 0001-a', 'up 0002-b'],
    )
    t.equal(rows[0]?.['checksum'], checksumOf(first))
  },
)

t.test('an applied migration whose text has changed since is refused', async (t) => {
  const { pool } = await freshPool(t)
  await migrateUp(pool, [first])
  for (const changed of [
    { ...first, up: 'create table a (x bigint)' },
    { ...first, down: 'drop table if exists a' },
  ]) {
    const refusal = { code: 'HOLDFAST_ERR_API_MIGRATION_CHANGED', message: /0001-a/ }
    await t.rejects(migrationStates(pool, [changed]), refusal)
    await t.rejects(migrateUp(pool, [changed, second]), refusal)
    await t.rejects(migrateDown(pool, [changed]), refusal)
  }
  t.equal(
    (await pool.query(`select to_regclass('b') as b`)).rows[0]?.['b'],
    null,
    'and nothing else was applied',
  )
})

t.test('a migration that fails leaves nothing behind, and the ones before it stay', async (t) => {
  const { pool } = await freshPool(t)
  const broken: Migration = { name: '0002-broken', up: 'create table c (x int); select 1/0', down: '' }
  await t.rejects(migrateUp(pool, [first, broken]), { code: '22012' })
  t.strictSame(
    (await migrationStates(pool, [first, broken])).map(({ state }) => state),
    ['applied', 'pending'],
  )
  t.equal((await pool.query(`select to_regclass('c') as c`)).rows[0]?.['c'], null)
})

t.test(
  'a migration of a newer version is reported, kept, and cannot be taken back by this one',
  async (t) => {
    const { pool } = await freshPool(t)
    await migrateUp(pool, [first, second])
    t.match(await migrationStates(pool, [first]), [
      { name: '0001-a', state: 'applied' },
      { name: '0002-b', state: 'unknown' },
    ])
    t.strictSame(await migrateUp(pool, [first]), [])
    await t.rejects(migrateDown(pool, [first]), { code: 'HOLDFAST_ERR_API_MIGRATION_UNKNOWN' })
  },
)

t.test('six processes that start at once migrate and seed an empty database once', async (t) => {
  const { url, pool } = await freshPool(t)
  const pools = Array.from({ length: 6 }, () => testGuard(t, url, 1))
  const results = await Promise.all(pools.map((each) => prepareDatabase(each, { mayChange: true })))
  t.strictSame(
    // Each is applied by whoever comes first.
    results.flatMap(({ applied }) => applied).sort(),
    migrations.map(({ name }) => name),
  )
  t.equal(results.filter(({ seeded }) => seeded).length, 1)
  const { rows } = await pool.query('select slug, name from tenants order by slug')
  t.strictSame(rows, [
    { slug: 'acme', name: 'Acme Markets' },
    { slug: 'globex', name: 'Globex Exchange' },
  ])
})

t.test('the demo tenants have valid themes, and a database with tenants is left alone', async (t) => {
  const { pool } = await freshPool(t)
  await migrateUp(pool, migrations)
  t.equal(await seedDemoTenants(pool), true)
  const { rows } = await pool.query('select theme from themes')
  t.equal(rows.length, 2)
  for (const { theme } of rows) t.match(parseThemeDocument(theme), { document: { brand_name: String } })
  await pool.query(`delete from tenants where slug = 'acme'`)
  t.equal(await seedDemoTenants(pool), false)
  t.equal((await pool.query('select from tenants')).rowCount, 1)
})

t.test('production changes nothing and refuses a database that lacks migrations', async (t) => {
  const { pool } = await freshPool(t)
  await t.rejects(prepareDatabase(pool, { mayChange: false }), {
    code: 'HOLDFAST_ERR_API_MIGRATIONS_PENDING',
    message: /0001-tenants-and-themes/,
  })
  t.equal((await pool.query(`select from pg_tables where schemaname = 'public'`)).rowCount, 0)
  await migrateUp(pool, migrations)
  t.strictSame(await prepareDatabase(pool, { mayChange: false }), { applied: [], unknown: [], seeded: false })
  t.equal((await pool.query('select from tenants')).rowCount, 0, 'no demo data')
})

t.test('every migration can be taken back and applied again', async (t) => {
  const { pool } = await freshPool(t)
  await migrateUp(pool, migrations)
  for (const _ of migrations) await migrateDown(pool, migrations)
  const left = `select relname from pg_class where relnamespace = 'public'::regnamespace and relname not like 'migration_history%'`
  t.strictSame((await pool.query(left)).rows, [])
  t.equal((await migrateUp(pool, migrations)).length, migrations.length)
})

t.test('what goes with its tenant, its user or its bot is found through an index', async (t) => {
  const { pool } = await freshPool(t)
  await migrateUp(pool, migrations)
  const { rows } = await pool.query(
    `select conrelid::regclass::text as found_in, conname as by from pg_constraint
     where contype = 'f' and confdeltype = 'c' and connamespace = 'public'::regnamespace and not exists (
       select from pg_index where indrelid = conrelid and indkey[0] = conkey[1]
         and (indpred is null or pg_get_expr(indpred, indrelid) like '%IS NOT NULL)')
     ) order by 1, 2`,
  )
  t.strictSame(rows, [])
})
