// From when on sign-ins count: the loop that knows it, by hand, and what the database says.

import { guardedDialect } from '@holdfast/pool-guard/kysely'
import { HandClock, startPostgres } from '@holdfast/test-kit'
import { Kysely } from 'kysely'
import t, { type Test } from 'tap'
import type { Database } from '../src/db/database.ts'
import { prepareDatabase } from '../src/db/preparation.ts'
import { AccountRepository } from '../src/routes/auth/account-repository.ts'
import { RefreshRepository } from '../src/routes/auth/refresh-repository.ts'
import { type Cutoff, type CutoffSource, SignInCutoffs } from '../src/routes/auth/sign-in-cutoffs.ts'
import { freshDatabase, testGuard } from './fresh-database.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.setTimeout(60_000)

const INTERVAL_MS = 5000
const ANN = { userId: '1', tenantId: 'acme' }
const BEN = { userId: '2', tenantId: 'acme' }

/** A source in memory, in the order of its list. */
class ListedCutoffs implements CutoffSource {
  list: Cutoff[] = []
  asked = 0
  broken = false

  note(holder: string, atMs: number): void {
    this.list = this.list.filter((each) => each.holder !== holder)
    this.list.push({ holder, at: String(atMs), atMs })
    this.list.sort((left, right) => left.atMs - right.atMs || (left.holder < right.holder ? -1 : 1))
  }

  async cutoffs(from: Parameters<CutoffSource['cutoffs']>[0], limit: number): Promise<readonly Cutoff[]> {
    this.asked += 1
    if (this.broken) throw new Error('the database is away')
    const begin = 'after' in from ? this.list.findIndex(({ holder }) => holder === from.after.holder) + 1 : 0
    const sinceMs = 'sinceMs' in from ? (from.sinceMs ?? 0) : 0
    return this.list
      .slice(begin)
      .filter(({ atMs }) => atMs >= sinceMs)
      .slice(0, limit)
  }
}

async function setUp(t: Test, maxKept = 100) {
  const clock = new HandClock()
  const source = new ListedCutoffs()
  const failures: unknown[] = []
  const onFailure = (error: unknown) => failures.push(error)
  const cutoffs = new SignInCutoffs({ source, clock, intervalMs: INTERVAL_MS, maxKept, onFailure })
  t.teardown(() => cutoffs.stop())
  return { clock, source, failures, cutoffs, nowMs: clock.wallMs() }
}

t.test('what is older than a cutoff is over within one interval, and nothing else', async (t) => {
  const { clock, source, cutoffs, nowMs } = await setUp(t)
  await cutoffs.start()
  t.notOk(cutoffs.isOver(ANN, 0), 'nobody was signed out')
  source.note('user:1', nowMs)
  t.notOk(cutoffs.isOver(ANN, nowMs - 60_000), 'not read yet')
  await clock.advance(INTERVAL_MS)
  t.ok(cutoffs.isOver(ANN, nowMs - 60_000))
  t.notOk(cutoffs.isOver(ANN, nowMs + 1), 'signed in after it')
  t.notOk(cutoffs.isOver(ANN, nowMs), 'what was dated by it')
  t.ok(cutoffs.isOver(ANN, nowMs - 0.001))
  t.notOk(cutoffs.isOver(BEN, nowMs - 60_000))
  source.note('tenant:acme', nowMs + 10)
  await clock.advance(INTERVAL_MS)
  t.ok(cutoffs.isOver(BEN, nowMs - 60_000), 'his tenant')
  t.notOk(cutoffs.isOver({ userId: '2', tenantId: 'globex' }, nowMs - 60_000))
  t.strictSame(cutoffs.snapshot(), { known: 2, ageMs: 0 })
})

t.test('while the source is away, what was known holds, and that is told once', async (t) => {
  const { clock, source, failures, cutoffs, nowMs } = await setUp(t)
  source.broken = true
  await cutoffs.start()
  t.strictSame(cutoffs.snapshot(), { known: 0, ageMs: undefined })
  source.broken = false
  source.note('user:1', nowMs)
  await clock.advance(INTERVAL_MS)
  source.broken = true
  await clock.advance(3 * INTERVAL_MS)
  t.ok(cutoffs.isOver(ANN, nowMs - 60_000))
  t.equal(failures.length, 2, 'the first of each row')
  t.equal(cutoffs.snapshot().ageMs, 3 * INTERVAL_MS)
  source.broken = false
  source.note('user:2', nowMs - 30_000)
  await clock.advance(INTERVAL_MS)
  t.ok(cutoffs.isOver(BEN, nowMs - 60_000), 'committed late')
})

t.test('what is committed late shows, too', async (t) => {
  const { clock, source, cutoffs, nowMs } = await setUp(t)
  source.note('user:2', nowMs)
  await cutoffs.start()
  source.note('user:1', nowMs - 3_600_000)
  await clock.advance(INTERVAL_MS)
  t.notOk(cutoffs.isOver(ANN, nowMs - 7_200_000), 'nobody looks so far back each time')
  await clock.advance(11 * INTERVAL_MS)
  t.ok(cutoffs.isOver(ANN, nowMs - 7_200_000), 'within a minute')
})

t.test('there may be many, of one moment, and more than are kept', async (t) => {
  const { clock, source, cutoffs, nowMs } = await setUp(t, 2500)
  for (let user = 1; user <= 2400; user += 1) {
    source.list.push({ holder: `user:${user}`, at: String(nowMs), atMs: nowMs })
  }
  await cutoffs.start()
  t.equal(source.asked, 3, 'pages')
  t.ok(cutoffs.isOver({ userId: '2400', tenantId: 'acme' }, nowMs - 60_000))
  await cutoffs.stop()
  for (let user = 3001; user <= 3200; user += 1) {
    source.list.push({ holder: `user:${user}`, at: String(nowMs + 1), atMs: nowMs + 1 })
  }
  await cutoffs.start()
  t.equal(cutoffs.snapshot().known, 2500)
  t.ok(cutoffs.isOver({ userId: '3200', tenantId: 'acme' }, nowMs - 60_000))
  t.ok(cutoffs.isOver(ANN, nowMs - 1), 'the oldest is forgotten, and all that was before it counts no more')
  t.ok(cutoffs.isOver({ userId: '9999', tenantId: 'acme' }, nowMs - 1), 'also of others')
  t.notOk(cutoffs.isOver({ userId: '9999', tenantId: 'acme' }, nowMs), 'and nothing newer')
  await clock.advance(20 * INTERVAL_MS)
  t.equal(cutoffs.snapshot().known, 2500)
  t.notOk(cutoffs.isOver({ userId: '9999', tenantId: 'acme' }, nowMs), 'however often it looks')
})

t.test('a moment that is still to come stops nothing', async (t) => {
  const { clock, source, cutoffs, nowMs } = await setUp(t)
  source.note('user:1', Number.POSITIVE_INFINITY)
  await cutoffs.start()
  t.ok(cutoffs.isOver(ANN, nowMs))
  source.note('user:2', nowMs)
  await clock.advance(INTERVAL_MS)
  t.ok(cutoffs.isOver(BEN, nowMs - 60_000))
})

t.test('it looks no more once it was stopped', async (t) => {
  const { clock, source, cutoffs } = await setUp(t)
  await cutoffs.start()
  await cutoffs.stop()
  await clock.advance(10 * INTERVAL_MS)
  t.equal(source.asked, 1)
})

t.test('the database notes whoever is signed out, becomes another role, or is suspended', async (t) => {
  const guard = testGuard(t, await freshDatabase(postgres.directUrl))
  await prepareDatabase(guard, { mayChange: true })
  const db = new Kysely<Database>({ dialect: guardedDialect(guard) })
  const accounts = new AccountRepository(db)
  const idOf = async (email: string) =>
    String((await guard.query('select id from users where email = $1', [email])).rows[0]?.['id'])
  const all = () => accounts.cutoffs({ sinceMs: undefined }, 100)
  t.strictSame(await all(), [], 'the demo data signs out nobody')
  const [trader, operator] = [await idOf('trader@acme.example'), await idOf('operator@acme.example')]
  await new RefreshRepository(db).revokeAll(trader)
  const beforeMs = Date.now() - 60_000
  t.match(await all(), [{ holder: `user:${trader}`, at: /^\d{4}-/ }])
  t.ok(((await all())[0]?.atMs ?? 0) > beforeMs)
  await guard.query(`update users set role = 'user' where id = $1`, [operator])
  await guard.query(`update users set role = 'user', fence_of_last_operation = 7 where id = $1`, [operator])
  await guard.query(`update tenants set status = 'suspended' where slug = 'globex'`)
  const holders = (await all()).map(({ holder }) => holder)
  t.strictSame(holders, [`user:${trader}`, `user:${operator}`, 'tenant:globex'])
  const [first, second] = await all()
  if (first === undefined || second === undefined) throw new Error('there are three')
  t.strictSame(
    (await accounts.cutoffs({ after: first }, 1)).map(({ holder }) => holder),
    [second.holder],
  )
  t.equal((await accounts.cutoffs({ sinceMs: Date.now() + 60_000 }, 100)).length, 0)
  await guard.query('alter table users disable trigger users_end_sign_ins')
  await guard.query(`update users set sessions_valid_after = clock_timestamp() - interval '31 days'`)
  t.strictSame(
    (await all()).map(({ holder }) => holder),
    ['tenant:globex'],
    'no session is so old',
  )
  const { rowCount } = await guard.query(`update users set sessions_valid_after = now()`)
  const [, at] = await all()
  t.equal((await accounts.cutoffs({ after: at ?? first }, 100)).length, (rowCount ?? 0) - 1, 'one moment')

  await guard.query('update users set sessions_valid_after = null')
  await guard.query('delete from users where id = $1', [trader])
  await guard.query(`delete from tenants where slug = 'globex'`)
  const gone = (await all()).map(({ holder }) => holder)
  t.ok(gone.includes(`user:${trader}`), 'who is no more')
  t.ok(gone.includes('tenant:globex'))
  t.ok(gone.length > 3, 'with all its users')
  await guard.query(`update ended_sign_ins set at = at - interval '32 days' where holder like 'user:%'`)
  await guard.query('delete from users where id = $1', [operator])
  t.strictSame(
    (await guard.query('select holder from ended_sign_ins order by at')).rows.map((row) => row['holder']),
    ['tenant:globex', `user:${operator}`],
    'what no sign-in can be as old as is not kept',
  )
})
