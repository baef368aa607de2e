import { startPostgres } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { migrateDown, migrateUp } from '../src/db/migrator.ts'
import { migrations } from '../src/migrations/index.ts'
import { freshDatabase, testGuard } from './fresh-database.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())

const upTo = (name: string) =>
  migrations.slice(0, migrations.findIndex((migration) => migration.name === name) + 1)

async function ledger(t: Test) {
  const pool = testGuard(t, await freshDatabase(postgres.directUrl))
  await migrateUp(pool, migrations)
  await pool.query(
    `insert into tenants (slug, name, currency, opening_balance_minor) values ('acme', 'Acme', 'EUR', 5000), ('poor', 'Poor', 'GBP', 0)`,
  )
  const userOf = async (slug: string, email: string) => {
    const { rows } = await pool.query<{ id: string }>(
      'insert into users (tenant_id, email) select id, $2 from tenants where slug = $1 returning id',
      [slug, email],
    )
    return rows[0]?.id
  }
  const balances = async () =>
    (
      await pool.query(
        `select email, currency, balance_minor,
           (select coalesce(sum(amount_minor), 0)::bigint from ledger_entries where user_id = users.id) as entries
         from balances join users on users.id = balances.user_id order by email`,
      )
    ).rows
  return { pool, userOf, balances }
}

t.test('everybody begins with what the tenant gives, and with an entry that says so', async (t) => {
  const { userOf, balances } = await ledger(t)
  await userOf('acme', 'a@acme.example')
  await userOf('poor', 'b@poor.example')
  t.strictSame(await balances(), [
    { email: 'a@acme.example', currency: 'EUR', balance_minor: '5000', entries: '5000' },
    { email: 'b@poor.example', currency: 'GBP', balance_minor: '0', entries: '0' },
  ])
})

t.test('users from before the ledger have a balance, too, and a way back', async (t) => {
  const pool = testGuard(t, await freshDatabase(postgres.directUrl))
  await migrateUp(pool, upTo('0005-maintenance'))
  await pool.query(`insert into tenants (slug, name) values ('acme', 'Acme')`)
  await pool.query(`insert into users (tenant_id, email) select id, 'a@acme.example' from tenants`)
  await migrateUp(pool, migrations)
  const { rows } = await pool.query(
    'select balance_minor, kind, amount_minor, balance_after_minor from balances join ledger_entries using (user_id)',
  )
  t.strictSame(rows, [
    { balance_minor: '100000', kind: 'opening', amount_minor: '100000', balance_after_minor: '100000' },
  ])
  while ((await migrateDown(pool, migrations)) !== '0006-bets-and-money');
  t.equal((await pool.query(`select to_regclass('balances') as found`)).rows[0]?.['found'], null)
  await migrateUp(pool, migrations)
  t.equal((await pool.query('select from balances')).rowCount, 1)
})

t.test('an entry moves the balance, and says what it leaves, whatever was written', async (t) => {
  const { pool, userOf, balances } = await ledger(t)
  const user = await userOf('acme', 'a@acme.example')
  const bet = await betOf(pool, user)
  const entry = (kind: string, amount: number) =>
    pool.query(
      `insert into ledger_entries (user_id, kind, amount_minor, balance_after_minor, bet_id)
       values ($1, $2, $3, 1, $4) returning balance_after_minor`,
      [user, kind, amount, bet],
    )
  t.strictSame((await entry('stake', -5000)).rows, [{ balance_after_minor: '0' }])
  t.match(await balances(), [{ balance_minor: '0', entries: '0' }])
  t.strictSame((await entry('payout', 9000)).rows, [{ balance_after_minor: '9000' }])

  await t.rejects(entry('payout', 9000), { code: '23505' }, 'a bet is paid out once')
  await t.rejects(entry('refund', 5000), { code: '23505' }, 'and not under another name')
  await t.rejects(entry('stake', 1), { code: '23514' }, 'a stake is taken')
  await t.rejects(entry('opening', 1), { code: '23514' }, 'money comes from nowhere only at the beginning')
  t.match(await balances(), [{ balance_minor: '9000', entries: '9000' }])
})

t.test('nobody spends what he has not got', async (t) => {
  const { pool, userOf, balances } = await ledger(t)
  const user = await userOf('acme', 'a@acme.example')
  const bet = await betOf(pool, user)
  await t.rejects(
    pool.query(
      `insert into ledger_entries (user_id, kind, amount_minor, balance_after_minor, bet_id) values ($1, 'stake', -5001, 0, $2)`,
      [user, bet],
    ),
    { code: '23514', constraint: 'balances_not_negative' },
  )
  t.match(await balances(), [{ balance_minor: '5000', entries: '5000' }])
})

t.test('neither a balance nor an entry is changed by hand', async (t) => {
  const { pool, userOf, balances } = await ledger(t)
  const user = await userOf('acme', 'a@acme.example')
  const refused = { code: '23001' }
  await t.rejects(pool.query('update balances set balance_minor = 1 where user_id = $1', [user]), refused)
  await t.rejects(pool.query('delete from balances where user_id = $1', [user]), refused)
  await t.rejects(pool.query('truncate balances cascade'), refused)
  await t.rejects(pool.query('update ledger_entries set amount_minor = 1'), refused)
  await t.rejects(pool.query('delete from ledger_entries'), refused)
  await t.rejects(pool.query('truncate ledger_entries'), refused)
  t.match(await balances(), [{ balance_minor: '5000', entries: '5000' }])

  await pool.query('delete from users where id = $1', [user])
  t.strictSame(await balances(), [], 'they go with their user')
  t.equal((await pool.query('select from ledger_entries')).rowCount, 0)
})

/** A bet on an event of its own. */
async function betOf(pool: ReturnType<typeof testGuard>, user: string | undefined): Promise<unknown> {
  const { rows } = await pool.query<{ id: string }>(
    `with event as (
       insert into sport_events (sport, provider_ref, name, starts_at) values ('chess', gen_random_uuid()::text, 'A - B', now())
       returning id
     )
     insert into bets (user_id, event_id, market, selection, stake_minor, odds_milli, idempotency_key, request_digest)
     select $1, id, 'winner', 'home', 5000, 1800, 'k', sha256('') from event returning id`,
    [user],
  )
  return rows[0]?.id
}
