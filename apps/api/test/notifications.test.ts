// What somebody is told: written down with what it tells, delivered once, and tried again as long as that can help.

import { spawnSync } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { channel } from 'node:diagnostics_channel'
import { readFileSync } from 'node:fs'
import { CircuitBreaker } from '@holdfast/circuit-breaker'
import { type Clock, systemClock } from '@holdfast/footing'
import { Logs } from '@holdfast/logging'
import { PoolGuard } from '@holdfast/pool-guard'
import { HandClock, startPostgres, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { migrateUp } from '../src/db/migrator.ts'
import { BossQueue } from '../src/jobs/boss-queue.ts'
import { PermanentJobError } from '../src/jobs/job-queue.ts'
import { QUEUES } from '../src/jobs/queues.ts'
import { migrations } from '../src/migrations/index.ts'
import { CHANNEL_BREAKER, type Channel } from '../src/notifications/channel.ts'
import { Delivery, type DeliveryOutcome } from '../src/notifications/delivery.ts'
import { FeatureNews } from '../src/notifications/feature-news.ts'
import { DEPTH, NotificationRepository } from '../src/notifications/notification-repository.ts'
import { notificationHealth } from '../src/notifications/notifications.ts'
import type { NotifyPayload } from '../src/notifications/notify-job.ts'
import { OutboundClient } from '../src/notifications/outbound-client.ts'
import { type News, Outbox } from '../src/notifications/outbox.ts'
import { isPublicAddress } from '../src/notifications/public-addresses.ts'
import { Telegram } from '../src/notifications/telegram.ts'
import { Webhook } from '../src/notifications/webhook.ts'
import { webhookKey } from '../src/notifications/webhook-signature.ts'
import { Secret } from '../src/secret.ts'
import { freshDatabase, testGuard } from './fresh-database.ts'
import { startToldServer, type ToldServer, withStatus } from './told-server.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.setTimeout(180_000)

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const KEY = webhookKey(SECRET) ?? Buffer.alloc(0)
const TOKEN = '123456789:a-bot-token-of-tests-that-nobody-may-see'
const NEWS: News = { kind: 'feature.degraded', payload: { feature: 'theme', reason: 'a test' } }
const OK = withStatus(200, {}, '{"ok":true}')

interface Options {
  readonly clock?: Clock
  readonly mayReach?: (address: string) => boolean
}

async function setUp(t: Test, { clock = systemClock, mayReach = () => true }: Options = {}) {
  const url = await freshDatabase(postgres.directUrl)
  const pool = testGuard(t, url, 8)
  await migrateUp(pool, migrations)
  const logs = new Logs({ destination: { write() {} } })
  const queue = new BossQueue({ pool, correlation: logs, log: logs.logger, pollMs: 20, lookSeconds: 1 })
  t.teardown(() => queue.close())
  const [hook, bot] = [await startToldServer(t, OK), await startToldServer(t, OK)]
  const client = new OutboundClient({ mayReach })
  t.teardown(() => client.close())
  const breaker = new CircuitBreaker('notification', { ...CHANNEL_BREAKER, clock })
  const webhook = new Webhook({ url: new URL(`${hook.url}/hook`), key: KEY, client, breaker, clock })
  const telegram = new Telegram({
    apiUrl: new URL(bot.url),
    token: new Secret(TOKEN),
    recipients: ['42', '-1001'],
    client,
    breaker: new CircuitBreaker('notification-telegram', CHANNEL_BREAKER),
  })
  const repository = new NotificationRepository(pool)
  const outcomes: DeliveryOutcome[] = []
  const deliveryBy = (channels: readonly Channel[]) =>
    new Delivery({
      channels,
      repository,
      pool,
      queue,
      maxAttempts: QUEUES.notify.retries + 1,
      random: () => 0,
      onEnd: (_channel, outcome) => void outcomes.push(outcome),
    })
  const outboxBy = (channels: readonly Channel[]) =>
    new Outbox({ channels, queue, correlationId: () => logs.correlationId })
  const tell = (news: News = NEWS, channels: readonly Channel[] = [webhook]) =>
    pool.transaction({}, (tx) => outboxBy(channels).tell(tx, news))
  const rows = async () => (await pool.query('select * from notifications order by id')).rows
  const jobs = async () =>
    (
      await pool.query(
        `select data, extract(epoch from start_after - clock_timestamp())::float8 as wait_seconds
         from jobs.job_common where name = 'notify' and state < 'active' order by created_on, id`,
      )
    ).rows
  /** One try of the job of the notification that was told last. */
  const tryOnce = async (
    delivery: Delivery,
    { attempt = 1, postponed = 0, signal = new AbortController().signal } = {},
  ) => {
    const [row] = (await rows()).slice(-1)
    const payload: NotifyPayload = { notification_id: String(row?.['id']), channel: 'webhook', postponed }
    await delivery.handle({
      id: 'a-job',
      queue: 'notify',
      payload,
      attempt,
      correlationId: undefined,
      signal,
    })
  }
  return {
    pool,
    logs,
    queue,
    hook,
    bot,
    webhook,
    telegram,
    repository,
    outcomes,
    outboxBy,
    deliveryBy,
    delivery: deliveryBy([webhook, telegram]),
    tell,
    rows,
    jobs,
    tryOnce,
  }
}

/** Whether a receiver that follows the specification takes it. */
function isSigned({ headers, body }: ToldServer['heard'][number]): boolean {
  const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`
  const signature = createHmac('sha256', KEY).update(signed).digest('base64')
  return headers['webhook-signature'] === `v1,${signature}`
}

t.test(
  'what is told with something is told when that is stored, by every way, and not otherwise',
  async (t) => {
    const { pool, logs, queue, hook, bot, webhook, telegram, outboxBy, delivery, rows, jobs } = await setUp(t)
    const outbox = outboxBy([webhook, telegram])
    const failed = pool.transaction({}, async (tx) => {
      await outbox.tell(tx, NEWS)
      throw new Error('the work has failed')
    })
    await t.rejects(failed, { message: 'the work has failed' })
    t.strictSame([await rows(), await jobs()], [[], []])

    await logs.run({ correlationId: 'the-request-01' }, () =>
      pool.transaction({}, (tx) => outbox.tell(tx, NEWS)),
    )
    t.match(await rows(), [
      { channel: 'webhook', recipient: null, status: 'pending', correlation_id: 'the-request-01' },
      { channel: 'telegram', recipient: '42' },
      { channel: 'telegram', recipient: '-1001' },
    ])
    t.equal((await jobs()).length, 3)
    await queue.work('notify', delivery)
    await waitUntil(async () => (await rows()).every(({ status }) => status === 'sent'))
    t.equal(hook.heard.length, 1)
    const [message] = hook.heard
    t.match(message, {
      path: '/hook',
      headers: { 'content-type': 'application/json', 'webhook-id': /^msg_\d+$/ },
    })
    t.ok(message !== undefined && isSigned(message))
    t.match(JSON.parse(message?.body ?? ''), {
      type: 'feature.degraded',
      timestamp: /Z$/,
      tenant_id: null,
      user_id: null,
      data: NEWS.payload,
    })
    t.strictSame(new Set(bot.heard.map(({ path }) => path)), new Set([`/bot${TOKEN}/sendMessage`]))
    t.strictSame(new Set(bot.heard.map(({ body }) => JSON.parse(body).chat_id)), new Set(['42', '-1001']))
    t.match(JSON.parse(bot.heard[0]?.body ?? ''), {
      text: /^feature.degraded\nreason: a test\nfeature: theme\n/,
    })
    t.match(await rows(), [{ attempts: 1, ended_at: Date, last_error: null, claimed_until: null }, {}, {}])
    t.strictSame(await jobs(), [])
  },
)

t.test('who has the README alone can tell whether a message is ours', async (t) => {
  const { hook, delivery, tell, tryOnce } = await setUp(t)
  await tell({ ...NEWS, payload: { feature: 'odds', reason: 'naïve "quotes", 100 % $HOME `x` \\ \n' } })
  await tryOnce(delivery)
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  const [check] = /^signature\(\) \{[\s\S]*?^\}$/m.exec(readme) ?? []
  const [message] = hook.heard
  const { 'webhook-id': id, 'webhook-timestamp': time, 'webhook-signature': signed } = message?.headers ?? {}
  const byHand = (body: string) => {
    const words = ['-c', `${check}\nsignature "$@"`, 'sh', String(id), String(time), SECRET]
    const { stdout, stderr } = spawnSync('sh', words, { input: body, encoding: 'utf8' })
    return `v1,${stdout.trim()}${stderr}`
  }
  t.equal(byHand(message?.body ?? ''), signed)
  t.not(byHand(`${message?.body} `), signed)
})

t.test('where no way is configured nothing is written down', async (t) => {
  const { tell, rows, jobs } = await setUp(t)
  await tell(NEWS, [])
  t.strictSame([await rows(), await jobs()], [[], []])
})

t.test('what several processes say at once is told once to each', async (t) => {
  const { tell, rows, jobs, webhook, telegram } = await setUp(t)
  const news = { ...NEWS, once: 'feature degraded 7 theme' }
  await Promise.all(Array.from({ length: 6 }, () => tell(news, [webhook, telegram])))
  t.equal((await rows()).length, 3)
  t.equal((await jobs()).length, 3)
  await tell({ ...news, once: 'feature degraded 8 theme' }, [webhook, telegram])
  t.equal((await rows()).length, 6)
})

t.test('three deliveries of a job, one after the other or at once, are one message', async (t) => {
  const { hook, delivery, tell, tryOnce, outcomes, rows } = await setUp(t)
  await tell()
  for (let turn = 0; turn < 3; turn += 1) await tryOnce(delivery)
  t.equal(hook.heard.length, 1)
  t.strictSame(outcomes, ['sent', 'duplicate', 'duplicate'])

  let release = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  hook.answer((response) => void held.then(() => response.writeHead(204).end()))
  await tell()
  const first = tryOnce(delivery)
  await waitUntil(() => hook.heard.length === 2)
  const others = await Promise.allSettled([tryOnce(delivery), tryOnce(delivery)])
  for (const other of others) {
    t.match(other, { status: 'rejected', reason: { code: 'HOLDFAST_ERR_API_NOTIFICATION_BUSY' } })
  }
  release()
  await first
  t.equal(hook.heard.length, 2)
  t.match(await rows(), [
    { status: 'sent', attempts: 1 },
    { status: 'sent', attempts: 1 },
  ])
})

t.test('a failure is tried again, by the same id and with the time of the try', async (t) => {
  const { hook, delivery, tell, tryOnce, rows, outcomes } = await setUp(t)
  await tell()
  hook.answer(withStatus(500))
  await t.rejects(tryOnce(delivery), {
    code: 'HOLDFAST_ERR_API_NOTIFICATION_FAILED',
    message: /has not arrived: answered 500/,
  })
  t.match(await rows(), [{ status: 'pending', attempts: 1, last_error: 'answered 500', claimed_until: null }])
  hook.answer(OK)
  await tryOnce(delivery)
  t.match(await rows(), [{ status: 'sent', attempts: 2, last_error: null }])
  const [one, two] = hook.heard
  t.equal(one?.headers['webhook-id'], two?.headers['webhook-id'])
  t.equal(one?.body, two?.body)
  t.ok(hook.heard.every(isSigned))
  t.strictSame(outcomes, ['failed', 'sent'])
})

t.test('what no other try can mend goes to the dead letters at once, and may be replayed', async (t) => {
  const { hook, delivery, tell, tryOnce, rows, outcomes } = await setUp(t)
  await tell()
  hook.answer(withStatus(410))
  const failed = await tryOnce(delivery).catch((error: unknown) => error)
  t.ok(failed instanceof PermanentJobError)
  t.match(await rows(), [{ status: 'dead', ended_at: Date, last_error: 'answered 410' }])
  hook.answer(OK)
  await tryOnce(delivery)
  t.match(await rows(), [{ status: 'sent', last_error: null }])
  t.strictSame(outcomes, ['dead', 'sent'])
})

t.test('the last try that the queue makes ends it, and says why', async (t) => {
  const { hook, delivery, tell, tryOnce, rows, outcomes } = await setUp(t)
  await tell()
  hook.answer(withStatus(503))
  await t.rejects(tryOnce(delivery, { attempt: QUEUES.notify.retries }))
  t.match(await rows(), [{ status: 'pending' }])
  await t.rejects(tryOnce(delivery, { attempt: QUEUES.notify.retries + 1 }), {
    code: 'HOLDFAST_ERR_API_NOTIFICATION_FAILED',
  })
  t.match(await rows(), [{ status: 'dead', attempts: 2, last_error: 'answered 503' }])
  t.strictSame(outcomes, ['failed', 'dead'])
})

t.test('who wants to be left alone is, for as long as he says, and no try is used up', async (t) => {
  const { pool, hook, delivery, tell, tryOnce, rows, jobs, outcomes } = await setUp(t)
  await tell()
  await pool.query('delete from jobs.job_common')
  hook.answer(withStatus(429, { 'retry-after': '600' }))
  await tryOnce(delivery)
  t.match(await rows(), [{ status: 'pending', last_error: 'answered 429', claimed_until: null }])
  const waiting = await jobs()
  t.match(waiting, [{ data: { payload: { postponed: 1, channel: 'webhook' } } }])
  t.ok(Number(waiting[0]?.['wait_seconds']) > 590, `in ${waiting[0]?.['wait_seconds']} s`)
  t.strictSame(outcomes, ['postponed'])
  // Not for ever: from then on the tries of the queue count.
  await t.rejects(tryOnce(delivery, { postponed: 20 }), { code: 'HOLDFAST_ERR_API_NOTIFICATION_FAILED' })
})

t.test('the bot is told how long to wait in the body', async (t) => {
  const { bot, telegram, deliveryBy, tell, rows, jobs, outcomes } = await setUp(t)
  await tell(NEWS, [telegram])
  bot.answer(withStatus(429, {}, '{"ok":false,"error_code":429,"parameters":{"retry_after":120}}'))
  const [row] = await rows()
  const payload: NotifyPayload = { notification_id: String(row?.['id']), channel: 'telegram', postponed: 0 }
  const signal = new AbortController().signal
  await deliveryBy([telegram]).handle({
    id: 'a-job',
    queue: 'notify',
    payload,
    attempt: 1,
    correlationId: undefined,
    signal,
  })
  t.strictSame(outcomes, ['postponed'])
  t.ok((await jobs()).some(({ wait_seconds }) => Number(wait_seconds) > 110) || (await jobs()).length === 2)
  t.notMatch(JSON.stringify([await rows(), await jobs()]), TOKEN)
})

t.test('after ten failures nobody asks for two minutes; then one tries', async (t) => {
  // Ahead of the clock of the pool, by which what is too late is refused.
  const clock = new HandClock({ nowMs: 1e9 })
  const { hook, webhook, delivery, tell, tryOnce, jobs, pool, outcomes, rows } = await setUp(t, { clock })
  await tell()
  await pool.query('delete from jobs.job_common')
  hook.answer(withStatus(500))
  for (let turn = 0; turn < 10; turn += 1) await t.rejects(tryOnce(delivery))
  t.equal(webhook.breaker.state, 'open')
  hook.answer(OK)
  await tryOnce(delivery)
  t.equal(hook.heard.length, 10, 'nobody asked')
  t.equal(outcomes.at(-1), 'postponed')
  const [waiting] = await jobs()
  t.ok(Number(waiting?.['wait_seconds']) > 110, `in ${waiting?.['wait_seconds']} s`)
  await clock.advance(120_000)
  await tryOnce(delivery)
  t.match(await rows(), [{ status: 'sent', attempts: 11 }])
  t.equal(webhook.breaker.state, 'closed')
})

t.test('an address of the inside is told nothing, and no row names the token', async (t) => {
  const { hook, delivery, tell, tryOnce, rows, webhook } = await setUp(t, { mayReach: isPublicAddress })
  await tell()
  const failed = await tryOnce(delivery).catch((error: unknown) => error)
  t.ok(failed instanceof PermanentJobError)
  t.match(await rows(), [{ status: 'dead', last_error: 'its name leads to where nothing may be sent' }])
  t.equal(hook.connections, 0)
  t.equal(webhook.breaker.snapshot().consecutiveFailures, 0, 'which says nothing about the server')
})

t.test('a redirect is no delivery, and is not followed', async (t) => {
  const { hook, bot, delivery, tell, tryOnce, rows } = await setUp(t)
  await tell()
  hook.answer(withStatus(302, { location: bot.url }))
  t.ok((await tryOnce(delivery).catch((error: unknown) => error)) instanceof PermanentJobError)
  t.match(await rows(), [{ status: 'dead', last_error: 'answered 302, and no redirect is followed' }])
  t.equal(bot.connections, 0)
})

t.test('a way that is not configured any more ends what was to go by it', async (t) => {
  const { deliveryBy, tell, tryOnce, rows } = await setUp(t)
  await tell()
  t.ok((await tryOnce(deliveryBy([])).catch((error: unknown) => error)) instanceof PermanentJobError)
  t.match(await rows(), [{ status: 'dead', last_error: 'webhook is not configured any more' }])
})

t.test('whoever died over a notification keeps it until his claim is over', async (t) => {
  const { repository, hook, delivery, tell, tryOnce, rows, pool } = await setUp(t)
  await tell()
  const [row] = await rows()
  const dead = await repository.claim(String(row?.['id']), 600_000)
  await t.rejects(tryOnce(delivery), { code: 'HOLDFAST_ERR_API_NOTIFICATION_BUSY' })
  await pool.query('update notifications set claimed_until = clock_timestamp()')
  await tryOnce(delivery)
  t.match(await rows(), [{ status: 'sent', attempts: 2 }])
  // What he does late changes nothing.
  if (typeof dead !== 'string') await repository.dead(dead.notification.id, dead.claim, 'too late')
  t.match(await rows(), [{ status: 'sent', last_error: null }])
  t.equal(hook.heard.length, 1)
  await pool.query('delete from notifications')
  t.equal(await repository.claim(String(row?.['id']), 1000), 'gone')
})

t.test('the end of the process gives a try back, and what it has asked ends', async (t) => {
  const { hook, delivery, tell, tryOnce, rows } = await setUp(t)
  await tell()
  hook.answer(() => {})
  const leaving = new AbortController()
  const trying = tryOnce(delivery, { signal: leaving.signal })
  await waitUntil(() => hook.heard.length === 1)
  leaving.abort(new Error('the process ends'))
  await t.rejects(trying, { code: 'HOLDFAST_ERR_API_NOTIFICATION_FAILED' })
  t.match(await rows(), [{ status: 'pending', claimed_until: null }])
  await waitUntil(() => hook.open === 0)
})

t.test(
  'when a feature is degraded, and when it has recovered, operators are told; once by all',
  async (t) => {
    const { pool, outboxBy, webhook, rows } = await setUp(t)
    const warnings: object[] = []
    const news = () =>
      new FeatureNews({
        outbox: outboxBy([webhook]),
        pool,
        prepare: async () => {},
        clock: systemClock,
        log: { warn: (fields: object) => void warnings.push(fields) } as never,
      })
    const processes = [news(), news()]
    for (const each of processes) each.start()
    const features = channel('holdfast:health:feature')
    // Both see it in one minute, unless one ends just now.
    await new Promise((resolve) => setTimeout(resolve, Date.now() % 60_000 > 55_000 ? 5500 : 0))
    features.publish({ feature: 'algorithm', state: 'degraded', reason: 'it holds', degradedForMs: 0 })
    features.publish({ feature: 'algorithm', state: 'recovered', reason: 'it holds', degradedForMs: 61_000 })
    await waitUntil(async () => (await rows()).length === 2 && processes.every(({ untold }) => untold === 0))
    // What comes and goes: the last word is told, and not every one.
    for (let times = 0; times < 6; times += 1) {
      features.publish({ feature: 'algorithm', state: 'degraded', reason: 'again', degradedForMs: 0 })
    }
    await waitUntil(async () => (await rows()).length === 4 && processes.every(({ untold }) => untold === 0))
    t.match(await rows(), [
      { kind: 'feature.degraded', payload: { feature: 'algorithm', reason: 'it holds' } },
      { kind: 'feature.recovered', payload: { feature: 'algorithm', degraded_for_seconds: 61 } },
      { kind: 'feature.degraded', payload: { feature: 'algorithm', reason: 'again' } },
      { kind: 'feature.degraded', payload: { feature: 'algorithm', reason: 'again' } },
    ])
    for (const each of processes) await each.stop()
    features.publish({ feature: 'algorithm', state: 'degraded', reason: 'late', degradedForMs: 0 })
    t.strictSame([processes.map(({ untold }) => untold), warnings], [[0, 0], []])
  },
)

t.test('what cannot be told at once is kept, so many at most, and told when it can', async (t) => {
  const { outboxBy, webhook } = await setUp(t)
  const own = await startPostgres()
  t.teardown(() => own.stop())
  const pool = new PoolGuard({
    connectionString: own.url,
    max: 2,
    min: 0,
    breaker: false,
    connectTimeoutMs: 500,
  })
  t.teardown(() => pool.close())
  await migrateUp(pool, migrations)
  own.kill9()
  const warnings: object[] = []
  const news = new FeatureNews({
    outbox: outboxBy([webhook]),
    pool,
    prepare: async () => {},
    clock: systemClock,
    log: { warn: (fields: object) => void warnings.push(fields) } as never,
  })
  news.start()
  t.teardown(() => news.stop())
  const features = channel('holdfast:health:feature')
  for (let at = 0; at < 105; at += 1) {
    features.publish({ feature: `feature-${at}`, state: 'degraded', reason: 'a test', degradedForMs: 0 })
  }
  t.equal(news.untold, 100)
  t.equal(warnings.length, 5)
  await own.restart()
  await waitUntil(() => news.untold === 0, { timeoutMs: 60_000 })
  t.equal((await pool.query('select from notifications')).rowCount, 100)
})

t.test('a database that never says whether it is there keeps no process from ending', async (t) => {
  const { pool, outboxBy, webhook } = await setUp(t)
  const clock = new HandClock()
  const warnings: object[] = []
  const news = new FeatureNews({
    outbox: outboxBy([webhook]),
    pool,
    prepare: () => new Promise(() => {}),
    clock,
    log: { warn: (fields: object) => void warnings.push(fields) } as never,
  })
  news.start()
  channel('holdfast:health:feature').publish({
    feature: 'algorithm',
    state: 'degraded',
    reason: 'it holds',
    degradedForMs: 0,
  })
  await clock.advance(0)
  const stopped = news.stop()
  await clock.advance(3000)
  await stopped
  t.match(warnings, [{ kind: 'feature.degraded', payload: { feature: 'algorithm' } }])
  t.equal(clock.pendingTimers, 0)
})

t.test('health is degraded when many wait, or one for long', async (t) => {
  const channels = [{ name: 'webhook', breaker: { state: 'open', retryAfterMs: () => 0 } }] as const
  t.match(notificationHealth(channels, { pending: 3, oldestSeconds: 599 }), {
    status: 'healthy',
    data: { channels: { webhook: 'open' }, pending: 3, oldest_seconds: 599 },
  })
  t.match(notificationHealth(channels, { pending: 1000, oldestSeconds: 1 }), { status: 'degraded' })
  t.match(notificationHealth(channels, { pending: 1, oldestSeconds: 600 }), {
    status: 'degraded',
    reason: 'a notification has waited for 600 s',
  })
  t.match(notificationHealth(channels, undefined), { status: 'healthy', data: { pending: null } })
})

t.test('with 100,000 rows those that wait are counted through their index alone', async (t) => {
  const { pool, repository } = await setUp(t)
  for (let from = 1; from < 100_000; from += 10_000) {
    await pool.query(
      `insert into notifications (kind, channel, payload, status, ended_at, created_at)
       select 'k', 'webhook', '{}', case when n % 1000 = 0 then 'pending' else 'sent' end,
         case when n % 1000 = 0 then null else now() end, now() - n * interval '1 second'
       from generate_series($1::integer, $1 + 9999) as n`,
      [from],
    )
  }
  await pool.query('vacuum analyze notifications')
  t.match(await repository.depth(), { pending: 100 })
  t.ok((await repository.depth()).oldestSeconds >= 100_000)
  const { rows } = await pool.query(`explain ${DEPTH}`)
  const plan = rows.map((row) => row['QUERY PLAN']).join('\n')
  t.match(plan, /Index Only Scan using pending_notifications/, plan)
  t.notMatch(plan, /Seq Scan/)
})
