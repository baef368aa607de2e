// The key of a bet when the process that places it is killed (-9), before its commit, after it and anywhere in between:
// one bet or none, as the commit says, and whoever asks again, wherever, hears the same, byte for byte.

import { setTimeout as sleep } from 'node:timers/promises'
import { seededRandom, startPgBouncer, startPostgres, TcpProxy, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { BetClient } from './bet-client.ts'
import { moneyAstray, newEvent } from './betting.ts'
import { bothWays } from './both-ways.ts'
import { demoDatabase, testGuard } from './fresh-database.ts'
import { ServiceProcess, scratchDirectory } from './service-process.ts'
import type { Answer } from './sign-in-client.ts'
import { type Strike, strikeAt } from './strike-at.ts'

t.setTimeout(480_000)

const TRADER = 'acme/trader@acme.example'
const FINAL = new Set([201, 404, 409, 422])
/** PostgreSQL ends a transaction of which it hears nothing for so long. */
const SILENCE_MS = 2000
const AT_COMMIT = { at: 'commit', after: 'insert into bets' }

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
const bouncer = await startPgBouncer({ target: postgres })
t.teardown(() => bouncer.stop())

for (const [name, way] of Object.entries(bothWays(bouncer))) {
  t.test(`${name}: a bet that was committed and not answered is the bet of its key`, async (t) => {
    const { committedUnanswered, other, start, bet, bets, isInOrder } = await setUp(t, way)
    await committedUnanswered('mine')
    const [stored] = await bets()
    const first = await other.place(bet(), 'mine')
    t.match(first, {
      status: 201,
      body: { bet_id: stored?.['id'], stake_minor: 1000, balance_minor: 99_000, odds_milli: 1850 },
    })
    const third = await start()
    for (const client of [other, third, other, third]) {
      const again = await client.place(bet(), 'mine')
      t.equal(again.headers.get('idempotent-replayed'), 'true')
      t.equal(again.text, first.text)
    }
    await isInOrder(t, 1)
  })

  t.test(`${name}: another body with the key of such a bet is refused, and changes nothing`, async (t) => {
    const { committedUnanswered, other, bet, rowsOf, isInOrder } = await setUp(t, way)
    await committedUnanswered('mine')
    const before = await rowsOf()
    for (const body of [
      bet({ stake_minor: 1001 }),
      bet({ selection: 'away' }),
      bet({ event_id: '999999' }),
    ]) {
      t.match(await other.place(body, 'mine'), {
        status: 422,
        body: { error: 'HOLDFAST_ERR_API_IDEMPOTENCY_KEY_REUSED' },
      })
    }
    t.strictSame(await rowsOf(), before, 'no row is another one, or has been written again')
    t.match(await other.place(bet(), 'mine'), { status: 201, body: { stake_minor: 1000 } })
    await isInOrder(t, 1)
  })

  t.test(`${name}: whoever is killed before the commit leaves no bet, and his key is free`, async (t) => {
    const { doom, other, bet, bets, isInOrder } = await setUp(t, way)
    const points = [
      { at: 'insert into bets', isHeardOf: true },
      { at: 'insert into ledger_entries', isHeardOf: true },
      { ...AT_COMMIT, isHeardOf: true },
      // The machine is gone with him: PostgreSQL has to find out by itself.
      { ...AT_COMMIT, isHeardOf: false },
    ]
    for (const [number, { isHeardOf, ...point }] of points.entries()) {
      const { service, line, client } = await doom()
      const struck = strikeAt(line, { ...point, holds: 'the statement' }, () => service.kill('SIGKILL'))
      const unanswered = client.place(bet(), `key-${number}`)
      await Promise.all([struck, t.rejects(unanswered)])
      if (isHeardOf) line.reset()
      t.equal((await bets()).length, number, `nothing was committed: ${JSON.stringify(point)}`)
      const struckMs = performance.now()
      // Free for whatever its user likes, and not only for the same again.
      const stakeMinor = number % 2 === 0 ? 1000 : 700
      const answer = await insistOnAnswer(() =>
        other.place(bet({ stake_minor: stakeMinor }), `key-${number}`),
      )
      t.comment(`${point.at}: the key was free after ${Math.round(performance.now() - struckMs)} ms`)
      t.match(answer, { status: 201, body: { stake_minor: stakeMinor } })
      t.equal(answer.headers.get('idempotent-replayed'), null, 'it is no repeat of anything')
      await line.close()
    }
    await isInOrder(t, points.length)
  })

  t.test(`${name}: 50 equal requests to two processes, of which one is killed, are one bet`, async (t) => {
    const random = seededRandom()
    random.announce(t)
    const { doom, other, bet, isInOrder } = await setUp(t, way)
    const strikes: readonly (Strike | 'at the first answer')[] = [
      'at the first answer',
      { at: 'insert into bets', holds: 'nothing' },
      { at: 'insert into ledger_entries', holds: 'nothing' },
      { ...AT_COMMIT, holds: 'the statement' },
      { ...AT_COMMIT, holds: 'nothing' },
      { ...AT_COMMIT, holds: 'its answer' },
    ]
    const seen = { inTheMiddle: 0, lost: 0, came: 0 }
    for (const [number, strike] of random.shuffle(strikes).entries()) {
      const { service, line, client } = await doom()
      const kill = () => service.kill('SIGKILL')
      const struck = strike === 'at the first answer' ? undefined : strikeAt(line, strike, kill)
      const send = (to: BetClient) => Array.from({ length: 25 }, () => to.place(bet(), `fifty-${number}`))
      const doomed = send(client)
      const ends = Promise.allSettled(doomed)
      // Whoever comes first places it.
      if (random.next() < 0.5) await sleep(random.int(0, 20))
      const safe = send(other)
      const first = struck?.then(() => 'struck') ?? Promise.any(doomed)
      const came = await Promise.race([first, Promise.allSettled([ends, ...safe])])
      if (came === 'struck') seen.inTheMiddle += 1
      kill()
      await service.ended
      line.reset()
      const answers = await Promise.all(safe)
      for (const end of await ends) {
        if (end.status === 'fulfilled') answers.push(end.value)
        else seen.lost += 1
      }
      seen.came += answers.length
      t.strictSame(new Set(answers.map(({ status }) => status)), new Set([201]), JSON.stringify(strike))
      answers.push(await other.place(bet(), `fifty-${number}`))
      t.equal(new Set(answers.map(({ text }) => text)).size, 1, `${answers.length} answers are equal`)
      await line.close()
    }
    t.comment(JSON.stringify(seen))
    t.ok(seen.inTheMiddle >= 2, 'some were killed in the middle')
    t.ok(seen.lost > 0, 'and some answers never came')
    await isInOrder(t, strikes.length)
  })
}

async function setUp(t: Test, way: (url: string) => string) {
  const databaseUrl = await demoDatabase(postgres.directUrl)
  const sql = testGuard(t, databaseUrl)
  const startAt = async (url: string) => {
    const service = await ServiceProcess.start(t, {
      DATABASE_URL: url,
      DATABASE_MIGRATION_URL: databaseUrl,
      DATA_DIRECTORY: scratchDirectory(t),
      DB_IDLE_IN_TRANSACTION_TIMEOUT: `${SILENCE_MS}ms`,
      RATE_LIMITS_BET: '1000000/minute',
      ABUSE_MAX_PER_MINUTE: '1000000',
    })
    const client = new BetClient({ url: service.url, databaseUrl }, TRADER)
    await waitUntil(async () => (await client.get('/api/balance')).status === 200, {
      timeoutMs: 60_000,
      what: 'the service to be of use',
    })
    return { service, client }
  }
  const start = async () => (await startAt(way(databaseUrl))).client
  /** One that is to be killed, on a line of its own. */
  const doom = async () => {
    const url = new URL(way(databaseUrl))
    const line = await TcpProxy.start({ targetPort: Number(url.port) })
    t.teardown(() => line.close())
    url.port = String(line.port)
    return { line, ...(await startAt(url.href)) }
  }
  const eventId = await newEvent(sql)
  const bet = (more: object = {}) => ({
    event_id: eventId,
    market: 'winner',
    selection: 'home',
    stake_minor: 1000,
    ...more,
  })
  const bets = async () => (await sql.query('select id, stake_minor from bets order by id')).rows
  /** A bet of that key that is in the database, while whoever placed it was killed before he could say so. */
  const committedUnanswered = async (key: string) => {
    const { service, line, client } = await doom()
    const struck = strikeAt(line, { ...AT_COMMIT, holds: 'its answer' }, () => {})
    const unanswered = client.place(bet(), key)
    await struck
    await waitUntil(async () => (await bets()).length === 1, { what: 'the bet to be committed' })
    service.kill('SIGKILL')
    await t.rejects(unanswered, 'nobody was told')
    await service.ended
    line.reset()
  }
  /** What there is of bets and of money, and which transaction has written it. */
  const rowsOf = async () => {
    const { rows } = await sql.query(
      `select 'bet' as what, bets.xmin::text, to_jsonb(bets) as row from bets
       union all select 'entry', entry.xmin::text, to_jsonb(entry) from ledger_entries as entry
       union all select 'balance', balances.xmin::text, to_jsonb(balances) from balances
       order by 1, 3`,
    )
    return rows
  }
  const isInOrder = async (t: Test, count: number) => {
    const stored = await bets()
    t.equal(stored.length, count, `there are ${count} bets`)
    const { rows } = await sql.query(
      `select sum(amount_minor)::int as spent from ledger_entries where kind = 'stake'`,
    )
    t.equal(
      rows[0]?.['spent'],
      -stored.reduce((sum, { stake_minor }) => sum + Number(stake_minor), 0),
      'each is paid once',
    )
    t.strictSame(await moneyAstray(sql), [])
  }
  return { committedUnanswered, doom, start, other: await start(), bet, bets, rowsOf, isInOrder }
}

/** Until it is a final one: who has died without a word keeps his key until PostgreSQL has noticed. */
async function insistOnAnswer(request: () => Promise<Answer>): Promise<Answer> {
  const endMs = performance.now() + 10 * SILENCE_MS
  for (;;) {
    const answer = await request()
    if (FINAL.has(answer.status) || performance.now() > endMs) return answer
    await sleep(50)
  }
}
