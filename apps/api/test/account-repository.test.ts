// What of accounts is one step in the database, and what two who come at once get.

import { guardedDialect } from '@holdfast/pool-guard/kysely'
import { startPostgres, waitUntil } from '@holdfast/test-kit'
import { Kysely } from 'kysely'
import t, { type Test } from 'tap'
import type { Database } from '../src/db/database.ts'
import { prepareDatabase } from '../src/db/preparation.ts'
import { AccountRepository } from '../src/routes/auth/account-repository.ts'
import { mintToken, tokenDigest } from '../src/routes/auth/opaque-token.ts'
import { freshDatabase, testGuard } from './fresh-database.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.setTimeout(120_000)

const HASH = `$argon2id$v=19$m=64,t=1,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}`
const OTHER = HASH.replace('t=1', 't=2')
const TRADER = { tenant: 'acme', email: 'trader@acme.example' }
const HOUR_MS = 3_600_000
const WAITING = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`

async function setUp(t: Test) {
  const guard = testGuard(t, await freshDatabase(postgres.directUrl), 16)
  await prepareDatabase(guard, { mayChange: true })
  const accounts = new AccountRepository(new Kysely<Database>({ dialect: guardedDialect(guard) }))
  const count = async (table: string) =>
    Number((await guard.query(`select count(*) from ${table}`)).rows[0]?.['count'])
  const register = (email: string, ttlMs = HOUR_MS, tenant = 'acme') => {
    const digest = tokenDigest(mintToken('verify'))
    const registration = { tenant, email, passwordHash: HASH, tokenDigest: digest, ttlMs }
    return accounts.register(registration).then((outcome) => ({ outcome, digest }))
  }
  return { guard, accounts, count, register }
}

t.test('of several who complete one registration at once one makes the account', async (t) => {
  const { accounts, register, count } = await setUp(t)
  const before = await count('users')
  const { outcome, digest } = await register('new@mail.example')
  t.equal(outcome, 'stored')
  const made = await Promise.all(Array.from({ length: 10 }, () => accounts.completeRegistration(digest)))
  t.equal(made.filter((user) => user !== undefined).length, 1)
  t.equal(await count('users'), before + 1)
  t.match(await accounts.find({ tenant: 'acme', email: 'new@mail.example' }), {
    role: 'user',
    passwordHash: HASH,
  })
})

t.test('two registrations of one address make one account, the first that is completed', async (t) => {
  const { accounts, register } = await setUp(t)
  const [one, two] = [await register('new@mail.example'), await register('new@mail.example')]
  const made = await Promise.all([one, two].map(({ digest }) => accounts.completeRegistration(digest)))
  t.equal(made.filter((user) => user !== undefined).length, 1)
})

t.test('a registration that is over, known, or of no tenant makes nothing', async (t) => {
  const { accounts, register, count, guard } = await setUp(t)
  const late = await register('late@mail.example', 0)
  t.equal(await accounts.completeRegistration(late.digest), undefined)
  const known = await register(TRADER.email)
  t.equal(known.outcome, 'known')
  t.equal(await count('registrations'), 1, 'one who is known is written down like any other')
  t.equal(await accounts.completeRegistration(known.digest), undefined)
  t.equal((await register('x@mail.example', HOUR_MS, 'nowhere')).outcome, 'no-tenant')
  const suspended = await register('new@mail.example')
  await guard.query(`update tenants set status = 'suspended' where slug = 'acme'`)
  t.equal(await accounts.completeRegistration(suspended.digest), undefined)
  t.equal(await count('registrations'), 0)
})

t.test('what is over leaves with what comes, so that its number is bounded', async (t) => {
  const { register, count, accounts, guard } = await setUp(t)
  for (let at = 0; at < 25; at += 1) await register(`late-${at}@mail.example`, 0)
  for (let at = 0; at < 5; at += 1) await register(`new-${at}@mail.example`)
  t.equal(await count('registrations'), 5)
  for (let at = 0; at < 5; at += 1) {
    t.ok(await accounts.startReset(TRADER, tokenDigest(mintToken('reset')), 0))
  }
  t.equal(await count('password_resets'), 1, 'of one user one')
  await guard.query(`delete from users where email = $1`, [TRADER.email])
  t.equal(await count('password_resets'), 0)
})

t.test('a reset happens once, and only for who is there', async (t) => {
  const { accounts, guard } = await setUp(t)
  const digest = tokenDigest(mintToken('reset'))
  const nobodys = tokenDigest(mintToken('reset'))
  t.notOk(await accounts.startReset({ tenant: 'acme', email: 'nobody@acme.example' }, nobodys, HOUR_MS))
  t.equal(
    (await guard.query('select from password_resets')).rowCount,
    1,
    'nobody is written down like any other',
  )
  t.equal(await accounts.resettable(nobodys), undefined)
  t.equal(await accounts.completeReset(nobodys, HASH), undefined)
  t.ok(await accounts.startReset(TRADER, digest, HOUR_MS))
  t.match(await accounts.resettable(digest), TRADER)
  const done = await Promise.all(Array.from({ length: 10 }, () => accounts.completeReset(digest, HASH)))
  t.equal(done.filter((each) => each !== undefined).length, 1)
  t.equal(await accounts.resettable(digest), undefined)
  t.match(await accounts.find(TRADER), { passwordHash: HASH })
  // Of two mails at once, one is used.
  const other = tokenDigest(mintToken('reset'))
  await accounts.startReset(TRADER, digest, HOUR_MS)
  await guard.query('insert into password_resets select $1, user_id, expires_at from password_resets', [
    other,
  ])
  t.ok(await accounts.completeReset(digest, OTHER))
  t.equal(await accounts.resettable(other), undefined)
  await accounts.startReset(TRADER, other, HOUR_MS)
  await accounts.makeAdministrator(TRADER, HASH)
  t.equal(await accounts.resettable(other), undefined, 'nor one from before he was an administrator')
  await accounts.startReset(TRADER, digest, HOUR_MS)
  await guard.query(`update users set status = 'suspended'`)
  t.equal(await accounts.resettable(digest), undefined)
  t.equal(await accounts.completeReset(digest, OTHER), undefined)
})

t.test(
  'a password changes only from the one that was verified, and an upgrade never undoes a change',
  async (t) => {
    const { accounts, guard } = await setUp(t)
    await guard.query('update users set password_hash = $1 where email = $2', [HASH, TRADER.email])
    const { id = '' } = (await accounts.find(TRADER)) ?? {}
    t.match(await accounts.changePassword(id, { from: HASH, to: OTHER }), {
      ended: [],
      since: { at: /^\d{4}-/ },
    })
    t.equal(await accounts.changePassword(id, { from: HASH, to: HASH }), undefined)
    t.notOk(await accounts.upgradeHash(id, HASH, HASH))
    t.ok(await accounts.upgradeHash(id, OTHER, HASH))
    t.match(await accounts.byId(id), { ...TRADER, passwordHash: HASH })
    t.equal(await accounts.byId('999999'), undefined)
  },
)

t.test('a password counts from a moment on, and not for whom it is not the password any more', async (t) => {
  const { accounts, guard } = await setUp(t)
  await guard.query('update users set password_hash = $1 where email = $2', [HASH, TRADER.email])
  const account = await accounts.find(TRADER)
  if (account === undefined) throw new Error('there is no trader')
  const confirmed = await accounts.confirm(account)
  t.match(confirmed, { id: account.id, ...TRADER, role: 'user', since: { at: /^\d{4}-/, atMs: Number } })
  t.notOk('passwordHash' in Object(confirmed))
  const changed = await accounts.changePassword(account.id, { from: HASH, to: OTHER })
  t.ok((changed?.since.atMs ?? 0) > (confirmed?.since.atMs ?? Number.POSITIVE_INFINITY))
  t.equal(await accounts.confirm(account), undefined, 'another password')
  t.ok(await accounts.confirm({ ...account, passwordHash: OTHER }))
  await guard.query(`update tenants set status = 'suspended'`)
  t.equal(await accounts.confirm({ ...account, passwordHash: OTHER }), undefined)
})

t.test('who is about to be suspended is waited for, and whoever suspends waits for a sign-in', async (t) => {
  const { accounts, guard } = await setUp(t)
  await guard.query('update users set password_hash = $1 where email = $2', [HASH, TRADER.email])
  const account = await accounts.find(TRADER)
  if (account === undefined) throw new Error('there is no trader')
  let confirming: Promise<unknown> = Promise.resolve()
  await guard.transaction({}, async (tx) => {
    await tx.query(`update users set status = 'suspended' where id = $1`, [account.id])
    confirming = accounts.confirm(account)
    await waitUntil(async () => (await guard.query(WAITING)).rowCount === 1)
  })
  t.equal(await confirming, undefined)
  await guard.query(`update users set status = 'active' where id = $1`, [account.id])
  // A sign-in that has locked the row, and another one while the change waits for it: both are older.
  const [other] = await Promise.all([
    guard.transaction({}, async (tx) => {
      await tx.query('select from users where id = $1 for share', [account.id])
      const changing = accounts.changePassword(account.id, { from: HASH, to: OTHER })
      await waitUntil(async () => (await guard.query(WAITING)).rowCount === 1)
      return { changing, confirmed: await accounts.confirm(account) }
    }),
  ])
  const changed = await other.changing
  t.ok(Number(other.confirmed?.since.atMs) < Number(changed?.since.atMs), 'it is older than the change')
})
