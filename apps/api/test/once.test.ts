// What a job does is done once, on both ways to the database: delivered three times, rolled back, replayed twice, or
// replayed beside another one. Real bets, a real ledger, and a real server that is told.

import { CircuitBreaker } from '@holdfast/circuit-breaker'
import { systemClock } from '@holdfast/footing'
import { Logs } from '@holdfast/logging'
import type { Transaction } from '@holdfast/pool-guard'
import { startPgBouncer, startPostgres, waitUntil } from '@holdfast/test-kit'
import type { FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import { AuditLog } from '../src/audit/audit-log.ts'
import { BossQueue } from '../src/jobs/boss-queue.ts'
import { DeadLetters } from '../src/jobs/dead-letters.ts'
import { QUEUES, type QueueName } from '../src/jobs/queues.ts'
import { CHANNEL_BREAKER } from '../src/notifications/channel.ts'
import { Delivery } from '../src/notifications/delivery.ts'
import { NotificationRepository } from '../src/notifications/notification-repository.ts'
import { OutboundClient } from '../src/notifications/outbound-client.ts'
import { Outbox } from '../src/notifications/outbox.ts'
import { Webhook } from '../src/notifications/webhook.ts'
import { Settlement } from '../src/workers/settlement/settlement.ts'
import { SettlementWorker } from '../src/workers/settlement/settlement-worker.ts'
import { anotherProcess, bettingDatabase, endEvent, moneyAstray, newEvent, orderOf } from './betting.ts'
import { bothWays } from './both-ways.ts'
import { startToldServer, withStatus } from './told-server.ts'

t.setTimeout(300_000)

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
const bouncer = await startPgBouncer({ target: postgres })
t.teardown(() => bouncer.stop())

const WAYS = bothWays(bouncer)

const DELIVERIES = 3
const OPERATOR = { actor: '42' }
const RESULT = { winner: 'home' }

/** Two processes that settle and tell, with all they have in between, and three users who have bet. */
async function setUp(t: Test, way: (url: string) => string) {
  const made = await bettingDatabase(t, postgres.directUrl, { users: 3 })
  const { pool: sql, users } = made
  const url = way(made.url)
  const logs = new Logs<FastifyRequest>({ destination: { write() {} } })
  const hook = await startToldServer(t, withStatus(200))
  const delivered: string[] = []
  const client = new OutboundClient({ mayReach: () => true })
  t.teardown(() => client.close())
  const process = () => {
    const { pool } = anotherProcess(t, url)
    const queue = new BossQueue({ pool, correlation: logs, log: logs.logger, pollMs: 20, lookSeconds: 1 })
    t.teardown(() => queue.close())
    const breaker = new CircuitBreaker('notification', CHANNEL_BREAKER)
    const webhook = new Webhook({
      url: new URL(`${hook.url}/hook`),
      key: Buffer.alloc(32, 1),
      client,
      breaker,
      clock: systemClock,
    })
    const channels = [webhook]
    const outbox = new Outbox({ channels, queue, correlationId: () => logs.correlationId })
    const settler = new SettlementWorker({ queue, settlement: new Settlement(pool, outbox), logs })
    const delivery = new Delivery({
      channels,
      repository: new NotificationRepository(pool),
      pool,
      queue,
      maxAttempts: QUEUES.notify.retries + 1,
      random: Math.random,
      onEnd: (_channel, outcome) => void delivered.push(outcome),
    })
    const audit = new AuditLog({
      pool,
      prepare: async () => {},
      correlationId: () => logs.correlationId,
      log: logs.logger,
      clock: systemClock,
    })
    t.teardown(() => audit.close())
    const settle = () => settler.start()
    const tell = () => queue.work('notify', delivery)
    return { pool, queue, outbox, settler, settle, tell, letters: new DeadLetters({ pool, audit }) }
  }
  const first = process()
  const second = process()
  /** A bet that wins, one that loses and one whose market comes to nothing, each of another user. */
  const betOn = async (eventId: string) => {
    const chosen = [
      { market: 'winner', selection: 'home' },
      { market: 'winner', selection: 'away' },
      { market: 'goals', selection: 'over_2' },
    ]
    for (const [at, choice] of chosen.entries()) {
      await made.bets.place(orderOf({ userId: users[at] ?? '', eventId, stakeMinor: 1000, ...choice }))
    }
  }
  /** As a provider's word does it. */
  const end = (eventId: string) =>
    first.pool.transaction({}, async (tx) => {
      await endEvent(tx, eventId, RESULT)
      await first.queue.enqueue(tx, 'settle', settleOf(eventId), { key: eventId })
    })
  const states = async (queue: string) =>
    (
      await sql.query<{ state: string }>('select state::text from jobs.job_common where name = $1', [queue])
    ).rows.map(({ state }) => state)
  /** So many jobs are done, and none is to be done; one that has failed need not wait for its turn. */
  const allDone = (queue: QueueName, jobs: number) =>
    waitUntil(
      async () => {
        await sql.query(
          `update jobs.job_common set start_after = now() where name = $1 and state = 'retry' and start_after > now()`,
          [queue],
        )
        const seen = await states(queue)
        // One that has died is at its end, too.
        return (
          seen.filter((state) => state === 'completed').length === jobs &&
          seen.every((state) => state === 'completed' || state === 'failed')
        )
      },
      { timeoutMs: 60_000, what: `${jobs} jobs of ${queue} to be done` },
    )
  /** As if whoever has done them had died before he could say so. */
  const deliverAgain = (queue: QueueName) =>
    sql.query(
      `update jobs.job_common
       set state = 'retry', retry_count = retry_count + 1, completed_on = null, start_after = now()
       where name = $1 and state = 'completed'`,
      [queue],
    )
  const paid = async () =>
    (
      await sql.query(
        `select kind, amount_minor from ledger_entries where kind in ('payout', 'refund') order by kind, id`,
      )
    ).rows
  const dead = async () => [...(await states('settle.dead')), ...(await states('notify.dead'))]
  /** The first dead letter of a queue. */
  const letterOf = async (queue: QueueName) =>
    (await first.letters.list(queue, {}, 10)).at(-1)?.letter.id ?? ''
  return {
    ...{ ...made, sql, hook, delivered, first, second, betOn, end },
    ...{ states, allDone, deliverAgain, paid, dead, letterOf },
  }
}

function settleOf(eventId: string) {
  return { event_id: eventId, provider_version: '1' }
}

const PAID_ONCE = [
  { kind: 'payout', amount_minor: '1850' },
  { kind: 'refund', amount_minor: '1000' },
]

for (const [name, way] of Object.entries(WAYS)) {
  t.test(`${name}: three deliveries of every job are one effect`, async (t) => {
    const { sql, hook, delivered, first, second, betOn, end, allDone, deliverAgain, paid, dead } =
      await setUp(t, way)
    const eventId = await newEvent(sql)
    await betOn(eventId)
    await end(eventId)
    // Three jobs that say the same, of which no key keeps two from running at the same time.
    for (let copies = 1; copies < DELIVERIES; copies += 1) {
      await first.queue.enqueue(sql, 'settle', settleOf(eventId))
    }
    await first.settle()
    await second.settle()
    await allDone('settle', DELIVERIES)
    for (let times = 1; times < DELIVERIES; times += 1) {
      await deliverAgain('settle')
      await allDone('settle', DELIVERIES)
    }
    await waitUntil(
      () => first.settler.snapshot().jobs + second.settler.snapshot().jobs === DELIVERIES * DELIVERIES,
    )
    t.strictSame(await paid(), PAID_ONCE, 'paid once')
    t.strictSame(await moneyAstray(sql), [])
    const { rows } = await sql.query<{ id: string }>('select id from notifications')
    t.equal(rows.length, 3, 'each of three users is told once')

    for (const { id } of rows) {
      for (let copies = 1; copies < DELIVERIES; copies += 1) {
        await first.queue.enqueue(sql, 'notify', { notification_id: id, channel: 'webhook', postponed: 0 })
      }
    }
    const jobs = rows.length * DELIVERIES
    await first.tell()
    await second.tell()
    await allDone('notify', jobs)
    for (let times = 1; times < DELIVERIES; times += 1) {
      await deliverAgain('notify')
      await allDone('notify', jobs)
    }
    await waitUntil(() => delivered.length === jobs * DELIVERIES)
    t.equal(delivered.filter((outcome) => outcome === 'sent').length, rows.length)
    t.equal(delivered.filter((outcome) => outcome === 'duplicate').length, jobs * DELIVERIES - rows.length)
    t.equal(new Set(hook.heard.map(({ headers }) => headers['webhook-id'])).size, rows.length)
    t.equal(hook.heard.length, rows.length, 'and hears it once')
    t.strictSame(await dead(), [])
  })

  t.test(`${name}: a transaction that is rolled back leaves no job`, async (t) => {
    const { sql, hook, first, betOn, states, paid } = await setUp(t, way)
    const eventId = await newEvent(sql)
    await betOn(eventId)
    await first.settle()
    await first.tell()
    const everything = async (tx: Pick<Transaction, 'query'>) => {
      await endEvent(tx, eventId, RESULT)
      await first.queue.enqueue(tx, 'settle', settleOf(eventId), { key: eventId })
      await first.queue.enqueue(tx, 'settle', settleOf(eventId))
      await first.outbox.tell(tx, { kind: 'a.test', payload: {} })
    }
    await t.rejects(
      first.pool.transaction({}, async (tx) => {
        await everything(tx)
        throw new Error('it is taken back')
      }),
      { message: 'it is taken back' },
    )
    // Nobody has said that it is rolled back: its connection has ended.
    await t.rejects(
      first.pool.transaction({}, async (tx) => {
        await everything(tx)
        const { rows } = await tx.query<{ pid: number }>('select pg_backend_pid() as pid')
        await sql.query('select pg_terminate_backend($1)', [rows[0]?.pid])
        await tx.query('select 1')
      }),
    )
    for (const queue of ['settle', 'notify', 'settle.dead', 'notify.dead']) {
      t.strictSame(await states(queue), [], queue)
    }
    t.equal((await sql.query('select from notifications')).rowCount, 0)
    t.strictSame(await paid(), [])
    t.equal(hook.heard.length, 0)
    t.strictSame(
      (await sql.query('select status from sport_events')).rows,
      [{ status: 'scheduled' }],
      'nor is anything else of it there',
    )
  })

  t.test(`${name}: what is replayed twice has one effect`, async (t) => {
    const { sql, hook, first, second, betOn, allDone, paid, dead, letterOf } = await setUp(t, way)
    // Its job came before the event did, and died of it.
    const eventId = '1'
    await first.queue.enqueue(sql, 'settle', settleOf(eventId))
    await first.settle()
    await waitUntil(async () => (await dead()).length === 1)
    t.equal(await newEvent(sql), eventId)
    await betOn(eventId)
    await endEvent(sql, eventId, RESULT)
    const letter = await letterOf('settle')
    const replays = await Promise.all(
      [first, second, first, second].map(({ letters }) => letters.replay('settle', letter, OPERATOR)),
    )
    t.equal(replays.filter(({ repeated }) => !repeated).length, 1)
    t.equal(new Set(replays.map(({ jobId }) => jobId)).size, 1, 'all are told of the same job')
    await allDone('settle', 1)
    t.strictSame(await paid(), PAID_ONCE)
    t.match(await second.letters.replay('settle', letter, OPERATOR), { repeated: true })
    t.strictSame(await paid(), PAID_ONCE)
    t.strictSame(await moneyAstray(sql), [])

    // Those who were to be told of it were not there for it.
    hook.answer(withStatus(410))
    await first.tell()
    await waitUntil(async () => (await dead()).length === 1 + 3, { timeoutMs: 60_000 })
    hook.answer(withStatus(200))
    const before = hook.heard.length
    const message = await letterOf('notify')
    await Promise.all([first, second].map(({ letters }) => letters.replay('notify', message, OPERATOR)))
    await allDone('notify', 1)
    t.match(await first.letters.replay('notify', message, OPERATOR), { repeated: true })
    t.equal(hook.heard.length - before, 1, 'of one letter one message')
    const { rows } = await sql.query(`select status from notifications order by status`)
    t.strictSame(rows, [{ status: 'dead' }, { status: 'dead' }, { status: 'sent' }])
    const audited = await sql.query(`select from audit_log where action = 'dead_letter.replay'`)
    t.equal(audited.rowCount, 2, 'and is entered once')
  })

  t.test(`${name}: a replay that collides keeps its dead letter`, async (t) => {
    const { sql, first, second, betOn, end, allDone, paid, dead, states, letterOf } = await setUp(t, way)
    const eventId = '1'
    await first.queue.enqueue(sql, 'settle', settleOf(eventId), { key: eventId })
    await first.settle()
    await waitUntil(async () => (await dead()).length === 1)
    await first.queue.close()
    t.equal(await newEvent(sql), eventId)
    await betOn(eventId)
    await end(eventId)
    const letter = await letterOf('settle')
    const waiting = () =>
      sql.query(`select id, data from jobs.job_common where name = 'settle' and state = 'created'`)
    const { rows: before } = await waiting()
    t.equal(before.length, 1)
    const collides = { code: 'HOLDFAST_ERR_API_REPLAY_COLLIDES', statusCode: 409 }
    await t.rejects(first.letters.replay('settle', letter, OPERATOR), collides)
    t.match(await second.letters.replayMany('settle', {}, { ...OPERATOR, limit: 10, dryRun: false }), [
      { id: letter, outcome: 'collides', jobId: null },
    ])
    t.match(await first.letters.show('settle', letter), { state: 'open', replayedAs: null, replays: 0 })
    t.strictSame((await waiting()).rows, before, 'and who waited waits as before')

    await second.settle()
    await waitUntil(async () => (await states('settle')).every((state) => state !== 'created'))
    t.match(await second.letters.replay('settle', letter, OPERATOR), { repeated: false }, 'later it can be')
    // That which waited, and that which was replayed.
    await allDone('settle', 2)
    t.strictSame(await paid(), PAID_ONCE)
    t.strictSame(await moneyAstray(sql), [])
  })
}
