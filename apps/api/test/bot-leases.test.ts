// A bot that runs has a lease, whoever starts it, and each operation ends the one that there was.

import { startPostgres } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { migrateDown, migrateUp } from '../src/db/migrator.ts'
import { migrations } from '../src/migrations/index.ts'
import { freshDatabase, testGuard } from './fresh-database.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())

const OF_BOTS = migrations.findIndex(({ name }) => name === '0007-bots-that-trade')

async function database(t: Test, upTo = migrations.length) {
  const pool = testGuard(t, await freshDatabase(postgres.directUrl))
  await migrateUp(pool, migrations.slice(0, upTo))
  await pool.query(`insert into tenants (slug, name) values ('acme', 'Acme')`)
  await pool.query(`insert into users (tenant_id, email) select id, 'a@acme.example' from tenants`)
  const add = async (status: string) => {
    const { rows } = await pool.query<{ id: string }>(
      `insert into bots (user_id, name, status) select id, 'Bot', $1 from users returning id`,
      [status],
    )
    return rows[0]?.id ?? ''
  }
  const leases = async () =>
    (
      await pool.query(
        'select name, kind, owner, fence, expires_at <= clock_timestamp() as over from leases order by name',
      )
    ).rows
  const set = (id: string, status: string) =>
    pool.query('update bots set status = $2 where id = $1', [id, status])
  return { pool, add, leases, set }
}

t.test('it comes with the start, and goes with the stop, a failure and the bot', async (t) => {
  const { pool, add, leases, set } = await database(t)
  const id = await add('stopped')
  t.strictSame(await leases(), [])
  const waiting = [{ name: `bot/${id}`, kind: 'bot', owner: 'nobody', over: true }]
  for (const end of ['stopped', 'failed']) {
    await set(id, 'running')
    t.match(await leases(), waiting)
    await set(id, end)
    t.strictSame(await leases(), [])
  }
  const other = await add('running')
  t.match(await leases(), [{ name: `bot/${other}`, over: true }])
  await pool.query('delete from users')
  t.strictSame(await leases(), [])
})

t.test('recovering ends the lease that there is, and its fence is good for nothing any more', async (t) => {
  const { pool, add, leases, set } = await database(t)
  const id = await add('running')
  await pool.query(
    `update leases set owner = 'a', fence = nextval('lease_fences'), expires_at = now() + interval '1 hour'`,
  )
  const before = (await leases())[0]?.['fence']
  await set(id, 'running')
  const [lease] = await leases()
  t.match(lease, { owner: 'a', over: true }, 'who had it is still known')
  t.ok(BigInt(String(lease?.['fence'])) > BigInt(String(before)))
  await pool.query('update bots set cash_minor = 5, position = 2, last_tick = 7')
  t.strictSame(await leases(), [lease], 'a trade is no operation')
  await t.rejects(
    pool.transaction({}, async (tx) => {
      await tx.query(`update bots set status = 'stopped'`)
      throw new Error('taken back')
    }),
  )
  t.strictSame(await leases(), [lease])
})

t.test('bots that ran before there were leases have one, too, and a way back', async (t) => {
  const { pool, add, leases } = await database(t, OF_BOTS)
  const id = await add('running')
  await add('stopped')
  await migrateUp(pool, migrations)
  t.match(await leases(), [{ name: `bot/${id}`, owner: 'nobody', over: true }])
  await pool.query(
    `insert into bot_events (bot_id, user_id, kind, from_status, to_status, fence, reason, at)
     select id, user_id, kind, 'running', 'running', fence, 'why', now()
     from bots cross join (values ('started', 1), ('holding', 2)) as given (kind, fence) where id = $1`,
    [id],
  )
  while ((await migrateDown(pool, migrations)) !== '0010-why-bots-hold');
  t.match((await pool.query('select * from bot_events')).rows, [{ kind: 'started', reason: undefined }])
  await t.rejects(pool.query('delete from bot_events'), 'nothing takes them away again')
  while ((await migrateDown(pool, migrations)) !== '0007-bots-that-trade');
  await pool.query(`update bots set status = 'stopped'`)
  t.equal((await pool.query(`select to_regclass('leases') as found`)).rows[0]?.['found'], null)
})
