// The service in processes of its own, and servers that misbehave in every way there is: what has been written down
// arrives in the end, nobody waits for it, and nothing secret is told on the way.

import { spawn } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { Logs } from '@holdfast/logging'
import { freePort, startPostgres, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { BossQueue } from '../src/jobs/boss-queue.ts'
import { Outbox } from '../src/notifications/outbox.ts'
import { demoDatabase, testGuard, testPool } from './fresh-database.ts'
import { ServiceProcess } from './service-process.ts'
import { ask } from './sign-in-client.ts'
import { type Answering, startToldServer, type ToldServer, withStatus } from './told-server.ts'

t.setTimeout(900_000)

const postgres = await startPostgres()
t.teardown(() => postgres.stop())

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const BOT = '123456789:a-bot-token-of-tests-that-nobody-may-see'
const TOKEN = 'a-token-for-operators-of-tests'
const OPERATOR = { authorization: `Bearer ${TOKEN}` }
/** A part of the path that nobody else may learn. */
const HIDDEN = 'a-path-that-is-a-secret-of-tests'
const GIVEN = withStatus(200, {}, '{"ok":true}')

type Channels = readonly {
  readonly name: 'webhook' | 'telegram'
  readonly recipients: readonly (string | null)[]
}[]
const HOOK: Channels = [{ name: 'webhook', recipients: [null] }]

/** A database, somebody who has something to tell, and a port where servers come and go. */
async function setUp(t: Test) {
  const url = await demoDatabase(postgres.directUrl)
  const pool = testGuard(t, url)
  const sql = testPool(url)
  t.teardown(() => sql.end())
  const logs = new Logs({ destination: { write() {} } })
  const queue = new BossQueue({ pool, correlation: logs, log: logs.logger })
  t.teardown(() => queue.close())
  const port = await freePort()
  const tell = async (channels: Channels = HOOK) => {
    const outbox = new Outbox({ channels, queue, correlationId: () => 'the-correlation-id' })
    await pool.transaction({}, (tx) =>
      outbox.tell(tx, { kind: 'feature.degraded', payload: { feature: 'x' } }),
    )
  }
  const rows = async () => (await sql.query('select * from notifications order by id')).rows
  return {
    url,
    sql,
    port,
    tell,
    rows,
    settings: {
      DATABASE_URL: url,
      PROCESS_TYPE: 'all',
      ENABLE_METRICS: 'true',
      METRICS_TOKEN: TOKEN,
      LOG_LEVEL: 'trace',
      NOTIFY_ALLOW_PRIVATE: 'true',
      NOTIFY_WEBHOOK_URL: `http://127.0.0.1:${port}/${HIDDEN}`,
      NOTIFY_WEBHOOK_SECRET: SECRET,
    },
    /** What waits for another try need not wait any more. */
    hurry: async () => {
      await sql.query(
        `update jobs.job_common set start_after = now() where name = 'notify' and state in ('created', 'retry')`,
      )
      return true
    },
  }
}

/** Runs it beside a server at that port, which is gone afterwards. */
async function beside<T>(
  port: number,
  answering: Answering,
  work: (server: ToldServer) => Promise<T>,
): Promise<T> {
  const ends: (() => unknown)[] = []
  const server = await startToldServer(
    { teardown: (end) => void ends.push(end as () => unknown) },
    answering,
    { port },
  )
  try {
    return await work(server)
  } finally {
    for (const end of ends) await end()
  }
}

/** A process that listens at that port and is stopped, with room for `backlog` connections that nobody accepts. */
async function frozenAt(port: number, isFull: boolean) {
  const child = spawn(
    process.execPath,
    ['-e', `require('net').createServer().listen(${port}, '127.0.0.1', 1, () => console.log('listening'))`],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  await once(child.stdout, 'data')
  child.kill('SIGSTOP')
  // The system accepts for it, so many; of those beyond it hears nothing, nor do they.
  const filling = isFull ? Array.from({ length: 4 }, () => connect(port, '127.0.0.1')) : []
  for (const socket of filling) socket.on('error', () => {})
  if (isFull) await waitUntil(() => filling.filter(({ readyState }) => readyState === 'open').length >= 2)
  return async () => {
    for (const socket of filling) socket.destroy()
    child.kill('SIGKILL')
    await once(child, 'close')
  }
}

function isSigned({ headers, body }: ToldServer['heard'][number]): boolean {
  const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`
  const key = Buffer.from(SECRET.slice('whsec_'.length), 'base64')
  return headers['webhook-signature'] === `v1,${createHmac('sha256', key).update(signed).digest('base64')}`
}

const slowly: Answering = (response) => void setTimeout(() => response.writeHead(204).end(), 12_000)
const trickling: Answering = (response) => {
  response.writeHead(200)
  const drop = () => {
    if (response.destroyed) return
    response.write('x')
    setTimeout(drop, 500)
  }
  drop()
}
const endless: Answering = (response) => {
  response.writeHead(200)
  const more = () => {
    while (!response.destroyed && response.write('x'.repeat(65_536)));
    if (!response.destroyed) response.once('drain', more)
  }
  more()
}

/** What a server does, and what the row says of it: `undefined` where that is a delivery all the same. */
const FAULTS: readonly (readonly [
  what: string,
  fault: Answering | 'refused' | 'frozen' | 'black hole',
  says: RegExp | undefined,
])[] = [
  ['refuses', 'refused', /^there was no answer: ECONNREFUSED$/],
  ['swallows connections', 'black hole', /^there was no answer: UND_ERR_CONNECT_TIMEOUT$/],
  ['is frozen', 'frozen', /^there was no answer: UND_ERR_HEADERS_TIMEOUT$/],
  ['is slow', slowly, /^there was no answer: UND_ERR_HEADERS_TIMEOUT$/],
  ['hangs up', (response) => response.destroy(), /^there was no answer: (UND_ERR_SOCKET|ECONNRESET)$/],
  ['answers 500', withStatus(500), /^answered 500$/],
  ['answers 429', withStatus(429, { 'retry-after': '1' }), /^answered 429$/],
  [
    'has headers without an end',
    withStatus(200, { 'x-huge': 'x'.repeat(100_000) }),
    /UND_ERR_HEADERS_OVERFLOW$/,
  ],
  ['answers without an end', endless, undefined],
  ['answers drop by drop', trickling, undefined],
]

t.test('whatever the server does, the message arrives in the end, and nobody waits for it', async (t) => {
  const { sql, port, tell, rows, settings, hurry } = await setUp(t)
  const service = await ServiceProcess.start(t, settings)
  const last = async () => (await rows()).at(-1) ?? {}
  for (const [what, fault, says] of FAULTS) {
    const fails = async () => {
      await tell()
      await waitUntil(
        async () =>
          says === undefined ? (await last())['status'] === 'sent' : (await last())['last_error'] !== null,
        { timeoutMs: 60_000, what: `the try at one that ${what}` },
      )
      const theme = await ask(service.url, 'GET', '/acme/api/public/load-theme')
      t.equal(theme.status, 200, `it serves while one ${what}`)
    }
    if (fault === 'refused') await fails()
    else if (typeof fault === 'string') {
      const end = await frozenAt(port, fault === 'black hole')
      await fails()
      await end()
    } else await beside(port, fault, fails)
    t.match(
      await last(),
      says === undefined ? { status: 'sent' } : { status: 'pending', last_error: says },
      what,
    )
    if (says === undefined) continue
    await beside(port, withStatus(204), async (server) => {
      await waitUntil(async () => (await hurry()) && (await last())['status'] === 'sent', {
        timeoutMs: 60_000,
        what,
      })
      t.equal(server.heard.length, 1, `it arrives when one no longer ${what}`)
      t.ok(server.heard.every(isSigned), 'signed')
    })
  }
  t.equal((await sql.query(`select from jobs.job_common where name = 'notify.dead'`)).rowCount, 0)
  t.notMatch(service.stdout + service.stderr, HIDDEN)
})

t.test('a redirect leads to the dead letters; replayed by an operator it arrives', async (t) => {
  const { sql, port, tell, rows, settings } = await setUp(t)
  const service = await ServiceProcess.start(t, settings)
  const inside = await startToldServer(t)
  const redirects = withStatus(307, { location: `${inside.url}/latest/meta-data` })
  const dead = async () =>
    (await ask(service.url, 'GET', '/admin/dlq/notify', undefined, OPERATOR)).body.items ?? []
  // No more often than operators may ask.
  const patiently = { timeoutMs: 60_000, intervalMs: 2000 }
  let letter: Record<string, unknown> | undefined
  await beside(port, redirects, async () => {
    await tell()
    await waitUntil(async () => {
      letter = (await dead())[0]
      return letter !== undefined
    }, patiently)
  })
  t.match(await rows(), [{ status: 'dead', last_error: 'answered 307, and no redirect is followed' }])
  t.equal(inside.connections, 0)
  await beside(port, GIVEN, async (server) => {
    const path = `/admin/dlq/notify/${letter?.['id']}/replay`
    t.match(await ask(service.url, 'POST', path, {}, OPERATOR), { status: 200 })
    await waitUntil(async () => (await rows())[0]?.['status'] === 'sent', { timeoutMs: 60_000 })
    t.equal(server.heard.length, 1)
  })
  t.match((await sql.query(`select action, actor from audit_log where action like 'dead_letter.%'`)).rows, [
    { action: 'dead_letter.replay', actor: 'operator token' },
  ])
})

t.test('who is killed between the answer and the row leaves it to another, by the same id', async (t) => {
  const { sql, port, tell, rows, settings } = await setUp(t)
  await sql.query(`update jobs.queue set heartbeat_seconds = 2 where name = 'notify'`)
  const killed = await ServiceProcess.start(t, settings)
  await beside(port, withStatus(204), async (server) => {
    const holder = await sql.connect()
    const noting = async () =>
      (
        await sql.query(
          `select pid from pg_stat_activity where wait_event_type = 'Lock' and query like 'update notifications%'`,
        )
      ).rows
    // Whoever has the row keeps others from noting what the server has said.
    server.answer(async (response) => {
      if (server.heard.length === 1) {
        await holder.query('begin')
        await holder.query('select from notifications for update')
      }
      response.writeHead(204).end()
    })
    try {
      await tell()
      await waitUntil(async () => (await noting()).length === 1, {
        timeoutMs: 60_000,
        what: 'the process that wants to note it',
      })
      killed.kill('SIGKILL')
      t.match(await killed.ended, { signal: 'SIGKILL' })
      // What it has asked ends with it; else that would still be done when the row is free.
      for (const { pid } of await noting()) await sql.query('select pg_terminate_backend($1)', [pid])
      await waitUntil(async () => (await noting()).length === 0)
    } finally {
      await holder.query('rollback')
      holder.release()
    }
    t.match(await rows(), [{ status: 'pending', attempts: 1 }])

    const killedMs = performance.now()
    await ServiceProcess.start(t, settings)
    await waitUntil(async () => (await rows())[0]?.['status'] === 'sent', { timeoutMs: 180_000 })
    t.comment(`noted ${Math.round(performance.now() - killedMs)} ms later`)
    const [first, second] = server.heard
    t.equal(server.heard.length, 2, 'at least once')
    t.match(first?.headers['webhook-id'], /^msg_\d+$/)
    t.equal(second?.headers['webhook-id'], first?.headers['webhook-id'], 'by which the receiver can tell')
    t.equal(second?.body, first?.body)
    t.ok(server.heard.every(isSigned))
  })
})

t.test(
  'a server that is away for long is left alone; when it is back, all that waited arrives once',
  async (t) => {
    const { sql, port, tell, rows, settings, hurry } = await setUp(t)
    const service = await ServiceProcess.start(t, settings)
    const breaker = async () => {
      const { text } = await ask(service.url, 'GET', '/metrics', undefined, OPERATOR)
      return /^circuit_breaker_state\{breaker="notification"\} (\d)$/m.exec(text)?.[1]
    }
    const waiting = async () =>
      (
        await sql.query(
          `select extract(epoch from start_after - clock_timestamp())::float8 as seconds from jobs.job_common
         where name = 'notify' and state in ('created', 'retry')`,
        )
      ).rows.map(({ seconds }) => Number(seconds))
    let asked = 0
    await beside(port, withStatus(503), async (server) => {
      for (let at = 0; at < 15; at += 1) await tell()
      await waitUntil(async () => (await hurry()) && (await breaker()) === '1', {
        timeoutMs: 60_000,
        what: 'the breaker',
      })
      await waitUntil(
        async () => (await waiting()).length === 15 && (await waiting()).every((seconds) => seconds > 30),
        {
          timeoutMs: 60_000,
          what: 'jobs that are put off',
        },
      )
      asked = server.heard.length
      // Those that were on their way when it opened end as they may.
      t.ok(asked >= 10 && asked < 14, `${asked} were asked`)
      await hurry()
      await waitUntil(async () => (await waiting()).every((seconds) => seconds > 30), { timeoutMs: 60_000 })
      t.equal(server.heard.length, asked, 'and nobody any more')
    })
    await beside(port, withStatus(204), async (server) => {
      await waitUntil(async () => (await rows()).every(({ status }) => status === 'sent'), {
        timeoutMs: 400_000,
        what: 'all of them',
      })
      t.equal(server.heard.length, 15)
      t.equal(new Set(server.heard.map(({ headers }) => headers['webhook-id'])).size, 15)
    })
    t.equal(await breaker(), '0')
    t.equal((await sql.query(`select from jobs.job_common where name = 'notify.dead'`)).rowCount, 0)
  },
)

t.test('no failure of a bot tells its token, not even when its server does', async (t) => {
  const { sql, port, tell, rows, settings, hurry } = await setUp(t)
  const service = await ServiceProcess.start(t, {
    DATABASE_URL: settings.DATABASE_URL,
    PROCESS_TYPE: settings.PROCESS_TYPE,
    ENABLE_METRICS: 'true',
    METRICS_TOKEN: TOKEN,
    LOG_LEVEL: 'trace',
    NOTIFY_ALLOW_PRIVATE: 'true',
    BOT_TOKEN: BOT,
    BOT_API_URL: `http://127.0.0.1:${port}`,
    ADMIN_IDS: '42,-1001',
  })
  const bot: Channels = [{ name: 'telegram', recipients: ['42', '-1001'] }]
  const echo = JSON.stringify({ ok: false, description: `no bot ${BOT}`, parameters: { retry_after: 1 } })
  const failing: readonly (Answering | undefined)[] = [
    undefined,
    withStatus(500, {}, echo),
    withStatus(429, { 'x-bot': BOT }, echo),
    withStatus(302, { location: `http://127.0.0.1:${port}/bot${BOT}/getMe` }),
    withStatus(200, {}, echo),
    withStatus(404, {}, echo),
    (response) => response.socket?.end(`HTTP/1.1 ${BOT} wrong\r\n\r\n`),
  ]
  for (const answering of failing) {
    const fails = async () => {
      await tell(bot)
      await waitUntil(async () => (await rows()).slice(-2).every(({ last_error: why }) => why !== null), {
        timeoutMs: 60_000,
      })
    }
    if (answering === undefined) await fails()
    else await beside(port, answering, fails)
  }
  await beside(port, GIVEN, async (server) => {
    await waitUntil(
      async () => (await hurry()) && (await rows()).every(({ status }) => status !== 'pending'),
      {
        timeoutMs: 120_000,
        what: 'the end of each',
      },
    )
    t.ok(server.heard.length > 0)
    t.ok(server.heard.every(({ path }) => path === `/bot${BOT}/sendMessage`))
    t.strictSame(new Set(server.heard.map(({ body }) => JSON.parse(body).chat_id)), new Set(['42', '-1001']))
  })
  const stored = await sql.query(
    `select 'notifications', to_jsonb(n) as kept from notifications n union all
     select 'audit_log', to_jsonb(a) from audit_log a union all
     select 'jobs', to_jsonb(j) from jobs.job_common j`,
  )
  t.ok(stored.rows.length > 14)
  t.notMatch(JSON.stringify(stored.rows), BOT)
  for (const path of ['/metrics', '/health/check', '/admin/dlq/notify', '/admin/audit']) {
    const answer = await ask(service.url, 'GET', path, undefined, OPERATOR)
    t.equal(answer.status, 200, path)
    t.notMatch(answer.text, BOT, path)
  }
  t.notMatch(service.stdout + service.stderr, BOT)
  t.match(service.stdout, /a job has become a dead letter/)
})
