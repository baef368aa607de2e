// The holder of an operation is killed, frozen, and heard of late.

import { TcpProxy, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { startBotFleet } from './bot-fleet.ts'
import { holdBot } from './held-bot.ts'

t.setTimeout(480_000)

const LEASE_MS = 2000
const SETTINGS = { BOT_OPERATION_LEASE: `${LEASE_MS}ms` }

t.test(
  'the holder is killed: nothing is left of its operation, and the next start works within the lease',
  async (t) => {
    const { start, sql, as, botOf, events } = await startBotFleet(t, SETTINGS)
    const [doomed, ...others] = [await start(), await start(), await start(), await start()]
    const bot = await botOf('trader@acme.example')
    const held = await holdBot(sql, bot)
    const lost = as(doomed)
      .start(bot)
      .catch((error: unknown) => error)
    await held.waitedFor((waiting) => waiting === 1)
    const killedMs = performance.now()
    doomed.kill('SIGKILL')
    await doomed.ended
    t.type(await lost, Error)
    await held.letGo()
    const [next] = others
    if (next === undefined) throw new Error('there is no process')
    const refusals: number[] = []
    await waitUntil(
      async () => {
        const { status } = await as(next).start(bot)
        if (status !== 200) refusals.push(status)
        return status === 200
      },
      { timeoutMs: 30_000, what: 'the next start to be let in' },
    )
    const tookMs = performance.now() - killedMs
    t.comment(
      `the next start was let in ${Math.round(tookMs)} ms after the kill; the lease is ${LEASE_MS} ms`,
    )
    t.ok(
      refusals.every((status) => status === 429),
      `${refusals.length} were refused before`,
    )
    t.match(await events(), [{ kind: 'started' }])
    t.equal((await events()).length, 1)
  },
)

for (const [at, which] of ['the same bot', 'another bot of the user'].entries()) {
  t.test(`the holder is frozen: its late write is refused by the fence after one to ${which}`, (t) =>
    lateWrite(t, at),
  )
}

/** `at`: of the bots of the user, the one that the next holder writes to. */
async function lateWrite(t: Test, at: number): Promise<void> {
  const { postgres, start, sql, as, botOf, events, statusOf } = await startBotFleet(t, SETTINGS)
  const quick = await start()
  const line = await TcpProxy.start({ targetPort: Number(new URL(postgres.directUrl).port) })
  t.teardown(() => line.close())
  const url = new URL(postgres.directUrl)
  url.port = String(line.port)
  const slow = await start({ DATABASE_URL: url.href })
  const bot = await botOf('trader@acme.example')
  const next = await botOf('trader@acme.example', at)
  for (const each of new Set([bot, next])) t.equal((await as(quick).start(each)).status, 200)
  // The write is on the line, and neither it nor its process moves.
  const written = Promise.withResolvers<void>()
  line.onClientData = (chunk) => {
    if (!chunk.includes('update users set fence_of_last_operation')) return
    line.blackhole()
    slow.kill('SIGSTOP')
    written.resolve()
  }
  const late = as(slow).stop(bot)
  await written.promise
  line.onClientData = undefined
  await waitUntil(async () => (await as(quick).recover(next)).status === 200, { timeoutMs: 30_000 })
  t.equal((await events()).at(-1)?.['kind'], 'recovered')

  await line.heal()
  // It arrives: PostgreSQL has executed it, in a transaction that is still open.
  await waitUntil(
    async () => {
      const { rows } = await sql.query(
        `select from pg_stat_activity where state = 'idle in transaction' and query like 'update users set fence%'`,
      )
      return rows.length === 1
    },
    { timeoutMs: 20_000, what: 'the late write to arrive' },
  )
  t.equal(await statusOf(bot), 'running')
  // On a busy machine Redis may have been late, and the one before was let in while the lease still ran.
  let again = 429
  await waitUntil(
    async () => {
      again = (await as(quick).recover(next)).status
      return again !== 429
    },
    { timeoutMs: 30_000 },
  )
  t.equal(again, 200, 'nobody waits for a writer who is late: he holds no row')
  slow.kill('SIGCONT')
  const answer = await late
  t.comment(`the late writer was answered ${answer.status} ${String(answer.body['error'])}`)
  t.ok([409, 503, 504].includes(answer.status), 'and he is told')
  t.equal(await statusOf(bot), 'running')
  t.equal((await events()).filter(({ kind }) => kind === 'stopped').length, 0)
  t.equal((await as(slow).stop(bot)).status, 200, 'it is of use again')
}

t.test(
  'the holder is frozen in its transaction: the database ends that, and the next start works',
  async (t) => {
    const { start, sql, as, botOf, events, statusOf } = await startBotFleet(t, {
      ...SETTINGS,
      DB_IDLE_IN_TRANSACTION_TIMEOUT: '1s',
    })
    const [slow, quick] = [await start(), await start()]
    const bot = await botOf('trader@acme.example')
    const held = await holdBot(sql, bot)
    const late = as(slow).start(bot)
    await held.waitedFor((waiting) => waiting === 1)
    slow.kill('SIGSTOP')
    await held.letGo()
    await waitUntil(async () => (await as(quick).start(bot)).status === 200, { timeoutMs: 30_000 })
    slow.kill('SIGCONT')
    const { status } = await late
    t.comment(`the frozen one was answered ${status}`)
    t.ok(status === 409 || status >= 500)
    t.equal(await statusOf(bot), 'running')
    t.equal((await events()).length, 1)
  },
)

t.test(
  'without Redis each process keeps to one operation, and the last word has who began last',
  async (t) => {
    const { redis, start, sql, as, botOf, events } = await startBotFleet(t, SETTINGS)
    const [one, other] = [await start(), await start()]
    const bot = await botOf('trader@acme.example')
    t.equal((await as(one).start(bot)).status, 200)
    await redis.kill9()
    // Operations go on, and those that Redis has let in before are older than all of these.
    await waitUntil(async () => (await as(one).stop(bot)).status === 200, { timeoutMs: 20_000 })
    const held = await holdBot(sql, bot)
    const first = as(one).start(bot)
    await held.waitedFor((waiting) => waiting === 1)
    t.equal((await as(one).start(bot)).status, 429)
    const second = as(other).start(bot)
    await held.waitedFor((waiting) => waiting === 2)
    await held.letGo()
    const statuses = (await Promise.all([first, second])).map(({ status }) => status).sort()
    t.strictSame(statuses, [200, 409], 'the database lets one of them through')
    await redis.restart()
    await waitUntil(async () => (await as(other).stop(bot)).status === 200, { timeoutMs: 20_000 })
    const fences = (await events()).map(({ fence }) => BigInt(String(fence)))
    t.strictSame(
      fences,
      [...fences].sort((left, right) => (left < right ? -1 : 1)),
      'fences only grow',
    )
    t.equal((await events()).length, 4)
  },
)
