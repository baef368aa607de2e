// What a rule of one process means in another: for one tenant, for reading, with a bypass, for operators who may lock
// themselves out, and for what is being written when a process dies.

import { waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { bearerOf } from './bearer-of.ts'
import { testPool } from './fresh-database.ts'
import { loneApp } from './lone-app.ts'
import { startProcessFleet, TOKEN } from './process-fleet.ts'
import { type Answer, ask } from './sign-in-client.ts'

t.setTimeout(600_000)

type Headers = Readonly<Record<string, string>>

const OPERATOR = { authorization: `Bearer ${TOKEN}` }
const NO_BOT = { bot_id: '999999' }

/** Has a process change something; one that has just started may still be connecting to Redis. */
async function change(
  { url }: { url: string },
  method: string,
  path: string,
  body?: object,
): Promise<Answer> {
  let answer: Answer | undefined
  await waitUntil(
    async () => {
      answer = await ask(url, method, `/admin/${path}`, body, OPERATOR)
      return answer.status !== 503
    },
    { timeoutMs: 60_000, what: 'Redis' },
  )
  return answer as Answer
}

/** Waits until a process answers a request so. */
const answers = (
  service: { url: string },
  request: readonly [string, string, (object | undefined)?],
  headers: Headers,
  status: number,
) =>
  waitUntil(async () => (await ask(service.url, ...request, headers)).status === status, {
    timeoutMs: 6000,
    intervalMs: 10,
    what: `${request[0]} ${request[1]} to be answered ${status}`,
  })

const START = ['POST', '/api/bot/start', NO_BOT] as const
const BOTS = ['GET', '/api/bot/status', undefined] as const

/** Two processes, and who asks them. */
async function twoProcesses(t: Test, environment: Headers = {}) {
  const { postgres, start } = await startProcessFleet(t, environment)
  const [one, two] = [await start(), await start()]
  const of = async (user: string): Promise<Headers> => ({
    authorization: `Bearer ${await bearerOf(postgres.directUrl, user)}`,
  })
  return { postgres, start, one, two, of }
}

t.test('a rule of one process is a rule of the other, whatever it is about', async (t) => {
  const { one, two, of } = await twoProcesses(t)
  const trader = await of('acme/trader@acme.example')
  const stranger = await of('globex/trader@globex.example')
  const admin = await of('acme/admin@acme.example')
  await answers(two, START, trader, 404)

  await t.test('one tenant', async (t) => {
    await change(one, 'POST', 'maintenance/enable', { scope: { tenant: 'acme' }, mode: 'block' })
    await answers(two, BOTS, trader, 403)
    await answers(two, ['GET', '/acme/api/public/load-theme', undefined], {}, 403)
    t.equal((await ask(two.url, ...BOTS, stranger)).status, 200)
    t.equal((await ask(two.url, 'GET', '/globex/api/public/load-theme')).status, 200)
    await change(two, 'POST', 'maintenance/disable', { tenants: true })
    await answers(one, BOTS, trader, 200)
  })

  await t.test('reading goes on: whoever is signed in, and whoever signs in', async (t) => {
    await change(one, 'POST', 'maintenance/enable', { scope: 'all', mode: 'read-only' })
    await answers(two, START, trader, 503)
    t.equal((await ask(two.url, ...BOTS, trader)).status, 200)
    t.equal((await ask(two.url, 'GET', '/acme/api/theme/history')).status, 200)
    t.equal((await ask(two.url, ...START, admin)).status, 404, 'administrators may write')
    const wrong = { tenant: 'acme', email: 'trader@acme.example', password: 'not the right one' }
    t.match(await ask(two.url, 'POST', '/auth/login', wrong), {
      body: { error: 'HOLDFAST_ERR_API_SIGN_IN_REFUSED' },
    })
    await change(two, 'POST', 'maintenance/disable')
    await answers(one, START, trader, 404)
  })

  await t.test('a bypass', async (t) => {
    const { body } = await change(one, 'POST', 'maintenance/bypasses', { duration_ms: 60_000 })
    const bypass = { ...trader, 'x-maintenance-bypass': String(body['token']) }
    const taken = await ask(two.url, 'POST', '/api/status/maintenance/bypass', { token: body['token'] })
    const cookie = { ...trader, cookie: String(taken.headers.get('set-cookie')).split(';')[0] ?? '' }
    await change(one, 'POST', 'maintenance/enable')
    await answers(two, START, trader, 503)
    for (const headers of [bypass, cookie]) t.equal((await ask(two.url, ...START, headers)).status, 404)
    await change(one, 'DELETE', 'maintenance/bypasses?reason=lost')
    for (const headers of [bypass, cookie]) await answers(two, START, headers, 503)
    await change(two, 'POST', 'maintenance/disable')
    await answers(one, START, trader, 404)
  })

  await t.test('everything is closed to everybody: an administrator can open it again', async (t) => {
    const everybody = { scope: 'all', mode: 'block', allow: { roles: [] } }
    await change(one, 'POST', 'maintenance/enable', everybody)
    await answers(two, BOTS, admin, 503)
    for (const path of ['/healthz', '/readyz', '/api/status'])
      t.equal((await ask(two.url, 'GET', path)).status, 200, path)
    for (const path of ['/admin/lifecycle', '/admin/deployment', '/admin/log-level', '/admin/limits'])
      t.equal((await ask(two.url, 'GET', path, undefined, admin)).status, 200, path)
    t.equal((await ask(two.url, 'GET', '/auth/me', undefined, admin)).status, 200)
    t.equal((await ask(two.url, 'POST', '/admin/maintenance/disable', undefined, admin)).status, 200)
    await answers(one, BOTS, admin, 200)
  })
})

t.test('a GET that writes is stopped by the database, whichever process was told', async (t) => {
  const { postgres, redis } = await startProcessFleet(t, {})
  const environment = { REDIS_URL: redis.url, METRICS_TOKEN: TOKEN }
  const [one, two] = await Promise.all(
    [1, 2].map(async () => {
      const app = await loneApp(t, environment, { databaseUrl: postgres.directUrl })
      app.get('/api/bot/careless', { config: { poolGuard: {} } }, async () => {
        const { rowCount } = await app.poolGuard.query(
          'update bots set changed_at = now() where id = (select min(id) from bots)',
        )
        return rowCount
      })
      return { app, url: await app.listen({ host: '127.0.0.1', port: 0 }) }
    }),
  )
  if (one === undefined || two === undefined) throw new Error('there are two')
  const careless = ['GET', '/api/bot/careless', undefined] as const
  await waitUntil(async () => (await ask(two.url, ...careless)).text === '1', {
    timeoutMs: 60_000,
    what: 'the bots',
  })
  await change(one, 'POST', 'maintenance/enable')
  await answers(two, careless, {}, 503)
  t.match((await ask(two.url, ...careless)).body, { error: 'HOLDFAST_ERR_API_READ_ONLY' })
  await change(one, 'POST', 'maintenance/disable')
  await answers(two, careless, {}, 200)
})

/** What a process says of the writes that a rule waits for. */
interface Quiescence {
  readonly quiescent: boolean
  readonly in_flight: number
  readonly complete: boolean
  readonly processes: readonly { readonly state: string }[]
}

/** Holds the row of a bot, so that whoever changes it waits. */
async function holdBot(t: Test, databaseUrl: string, botId: string) {
  const pool = testPool(databaseUrl, 2)
  t.teardown(() => pool.end())
  const holder = await pool.connect()
  await holder.query('begin')
  await holder.query('select from bots where id = $1 for update', [botId])
  let isHeld = true
  const letGo = async () => {
    if (isHeld) await holder.query('rollback')
    if (isHeld) holder.release()
    isHeld = false
  }
  t.teardown(letGo)
  return {
    letGo,
    /** Until somebody waits for it. */
    isWantedBy: (who: string) =>
      waitUntil(
        async () =>
          (await pool.query("select from pg_stat_activity where wait_event_type = 'Lock'")).rowCount === 1,
        { timeoutMs: 60_000, what: `${who} to wait for the row` },
      ),
  }
}

t.test('drained: said when the last write of all processes is over, also of one that died', async (t) => {
  const { postgres, start, one, two, of } = await twoProcesses(t, {
    DB_STATEMENT_TIMEOUT: '5m',
    DB_LOCK_TIMEOUT: '4m',
    HANDLER_TIMEOUT: '5m',
    BOT_OPERATION_LEASE: '5m',
  })
  const { url } = one
  const trader = await of('acme/trader@acme.example')
  const { items = [] } = (await ask(url, ...BOTS, trader)).body
  const bot = { bot_id: String(items[0]?.['bot_id']) }
  /** Until the operators are told so; while Redis is slow they are told nothing. */
  const until = async (what: string, isSo: (now: Quiescence) => boolean) =>
    waitUntil(
      async () => {
        const path = '/admin/maintenance/rules/upgrade/quiescence'
        const { status, body } = await ask(url, 'GET', path, undefined, OPERATOR)
        return status === 200 && isSo(body as unknown as Quiescence)
      },
      { timeoutMs: 120_000, intervalMs: 250, what },
    )

  // A Redis that has just started may not have heard of everybody, and an operation of a bot has three seconds.
  await change(one, 'PUT', 'maintenance/rules/upgrade', { mode: 'drain-writes' })
  await until('all to be heard of', ({ complete }) => complete)
  await change(one, 'DELETE', 'maintenance/rules/upgrade')
  await answers(two, START, trader, 404)

  await t.test('what had begun is finished, and nothing begins', async (t) => {
    const row = await holdBot(t, postgres.directUrl, bot.bot_id)
    let isOver = false
    const begun = ask(two.url, 'POST', '/api/bot/start', bot, trader).finally(() => {
      isOver = true
    })
    await row.isWantedBy('the write')
    await change(one, 'PUT', 'maintenance/rules/upgrade', { mode: 'drain-writes' })
    await answers(two, START, trader, 503)
    await until('all to be known', (now) => {
      t.equal(now.quiescent, false)
      return now.complete && now.in_flight === 1 && now.processes.length === 2
    })
    t.equal(isOver, false)
    await row.letGo()
    t.equal((await begun).status, 200)
    await until('the end of it', ({ quiescent }) => quiescent)
    await change(one, 'DELETE', 'maintenance/rules/upgrade')
    await answers(two, START, trader, 404)
  })

  await t.test('a process that dies in the middle is waited for until it cannot be alive', async (t) => {
    const row = await holdBot(t, postgres.directUrl, bot.bot_id)
    const begun = ask(two.url, 'POST', '/api/bot/stop', bot, trader).catch(() => undefined)
    await row.isWantedBy('the write')
    await change(one, 'PUT', 'maintenance/rules/upgrade', { mode: 'drain-writes' })
    await until('the write to be told of', ({ in_flight }) => in_flight === 1)
    two.kill('SIGKILL')
    await Promise.all([begun, two.ended])
    const diedMs = performance.now()
    const states = new Set<string>()
    await until('the dead one to be forgotten', ({ quiescent, processes }) => {
      for (const { state } of processes) states.add(state)
      return quiescent
    })
    const waitedMs = performance.now() - diedMs
    t.comment(`forgotten after ${Math.round(waitedMs)} ms, and was ${[...states].join(', ')}`)
    t.ok(waitedMs > 45_000)
    t.ok(states.has('silent'))
    const three = await start()
    await answers(three, START, trader, 503)
    await until('the new one to be known', ({ quiescent, processes }) => quiescent && processes.length === 2)
  })
})
