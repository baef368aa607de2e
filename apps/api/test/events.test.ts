// What happens in the service and concerns somebody, as events of the log: of the five types, by the ids of the request.

import { AsyncLocalStorage } from 'node:async_hooks'
import { channel } from 'node:diagnostics_channel'
import { setImmediate } from 'node:timers/promises'
import { Logs } from '@holdfast/logging'
import { HandClock, startPostgres, waitUntil } from '@holdfast/test-kit'
import type { FastifyRequest } from 'fastify'
import t from 'tap'
import { RareEvents } from '../src/rare-events.ts'
import { demoDatabase, testPool } from './fresh-database.ts'
import { loneApp } from './lone-app.ts'
import { ServiceApp } from './service-app.ts'
import { scratchDirectory } from './service-process.ts'
import { ask, Browser, credentialsOf, demoAccounts, tokensOf } from './sign-in-client.ts'

t.setTimeout(240_000)

const ADMIN_TOKEN = 'a-token-for-operators-of-tests'
const OPERATOR = { authorization: `Bearer ${ADMIN_TOKEN}` }

type Line = Readonly<Record<string, unknown>>

t.test('who signs in, what he does, and what operators decide is in the log by its event', async (t) => {
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  const directory = scratchDirectory(t)
  const databaseUrl = await demoDatabase(postgres.directUrl, directory)
  const service = await ServiceApp.start(
    t,
    { DATABASE_URL: databaseUrl, ADMIN_TOKEN, LOG_LEVEL: 'info', RATE_LIMITS_ACCOUNT: '2/minute' },
    directory,
  )
  const { url } = service
  const events = (): readonly Line[] =>
    service.stdout
      .split('\n')
      .filter((line) => line.includes('"event_type"'))
      .map((line) => JSON.parse(line) as Line)
  /** The one event of this name since `done` began, with the ids of its answer. */
  const toldBy = async (event: string, done: () => Promise<{ readonly headers?: Headers } | unknown>) => {
    const before = events().length
    const answer = (await done()) as { readonly headers?: Headers; readonly status?: number }
    await waitUntil(
      () =>
        events()
          .slice(before)
          .some((line) => line['event'] === event),
      { what: event },
    )
    const told = events()
      .slice(before)
      .filter((line) => line['event'] === event)
    t.equal(told.length, 1, event)
    const id = answer?.headers?.get?.('x-request-id')
    if (id !== undefined && id !== null)
      t.equal(told[0]?.['request_id'], id, `${event} by the id of its answer`)
    return told[0]
  }
  const user = credentialsOf(demoAccounts(directory), 'user')
  const browser = new Browser()

  t.match(
    await toldBy('sign-in.refused', () =>
      ask(url, 'POST', '/auth/login', { ...user, password: 'not that one' }),
    ),
    { event_type: 'SECURITY_EVENT', level: 40, tenant: 'acme', address: '127.0.0.1' },
  )
  const accepted = await toldBy('sign-in.accepted', () => browser.post(url, '/auth/login', user))
  t.match(accepted, { event_type: 'SECURITY_EVENT', level: 30, mode: 'session', role: 'user', user_id: /./ })
  const tokens = await tokensOf(url, user)
  await browser.post(url, '/auth/login', { ...user, password: 'not that one' })
  t.match(
    await toldBy('sign-in.limited', () =>
      browser.post(url, '/auth/login', { ...user, password: 'nor that one' }),
    ),
    { event_type: 'SECURITY_EVENT', times: 1, address: '127.0.0.1' },
  )
  await toldBy('password.reset_asked', () =>
    ask(url, 'POST', '/auth/password/forgot', { tenant: 'acme', email: 'nobody@acme.example' }),
  )

  const status = await browser.get(url, '/api/bot/status')
  const bot = status.body.items?.find((each) => each['status'] !== 'running') ?? {}
  t.match(
    await toldBy('bot.start', () =>
      browser.post(url, '/api/bot/start', { bot_id: bot['bot_id'] ?? bot['id'] }),
    ),
    { event_type: 'USER_ACTION', level: 30, user_id: accepted?.['user_id'], bot_id: /^\d+$/ },
  )

  const rule = { message: 'soon', reason: 'a test' }
  for (const [event, method, path, body] of [
    ['instance.cordoned', 'POST', '/admin/lifecycle/cordon', { reason: 'a test' }],
    ['instance.uncordoned', 'POST', '/admin/lifecycle/uncordon', undefined],
    ['limits.changed', 'PUT', '/admin/limits', { limits: { ip: '999999/minute' } }],
    ['limits.reset', 'DELETE', '/admin/limits', undefined],
    ['maintenance.changed', 'POST', '/admin/maintenance/enable', rule],
    ['maintenance.changed', 'POST', '/admin/maintenance/disable', undefined],
    [
      'abuse.blocked',
      'POST',
      '/admin/abuse/blocks',
      { address: '192.0.2.7', reason: 'a test', duration_ms: 60_000 },
    ],
    ['abuse.unblocked', 'DELETE', '/admin/abuse/blocks/192.0.2.7', undefined],
    ['log.level.changed', 'PUT', '/admin/log-level', { level: 'ERROR', for_seconds: 60 }],
    ['log.level.reset', 'DELETE', '/admin/log-level', undefined],
  ] as const) {
    let answered = 0
    const told = await toldBy(event, async () => {
      const answer = await ask(url, method, path, body, OPERATOR)
      answered = answer.status
      if (answer.status >= 400) t.fail(`${path} answered ${answer.status}: ${answer.text}`)
      return answer
    })
    t.match(told, { event_type: 'SECURITY_EVENT' }, `${path} ${answered}`)
  }
  await toldBy('operator-token.refused', () =>
    ask(url, 'GET', '/admin/limits', undefined, { authorization: 'Bearer a-wrong-one' }),
  )

  await toldBy('sign-out', () => browser.post(url, '/auth/logout'))
  await toldBy('sessions.revoked', () =>
    ask(url, 'POST', '/auth/sessions/revoke-all', undefined, tokens.bearer),
  )
  // Without anybody asking this service: in the database.
  const sql = testPool(databaseUrl)
  t.teardown(() => sql.end())
  const before = events().length
  await sql.query(`update users set status = 'suspended' where id = $1`, [accepted?.['user_id']])
  await waitUntil(
    () =>
      events()
        .slice(before)
        .some(
          ({ event, holder }) => event === 'sign-ins.ended' && holder === `user:${accepted?.['user_id']}`,
        ),
    { timeoutMs: 30_000, what: 'the suspension to be told' },
  )

  const kinds = new Set(events().map((line) => line['event_type']))
  t.same([...kinds].toSorted(), ['PERFORMANCE_EVENT', 'SECURITY_EVENT', 'SYSTEM_EVENT', 'USER_ACTION'])
  t.notOk(service.stdout.includes(user.email) || service.stdout.includes(user.password))
  t.notOk(service.stdout.includes('nobody@acme'))
})

t.test('what the plugins say of themselves is an event; what another process decided is not', async (t) => {
  const lines: Line[] = []
  const logs = new Logs<FastifyRequest>({ destination: { write: (line) => lines.push(JSON.parse(line)) } })
  const fastify = await loneApp(t, {}, { logs })
  const breaker = fastify.circuitBreaker.create('here', { failureThreshold: 1 })
  fastify.get('/breaks', { config: { access: 'public' } }, () =>
    breaker.execute(async () => {
      await setImmediate()
      throw new Error('x')
    }),
  )
  await fastify.ready()
  const told = (name: string, message: object) => {
    const before = lines.length
    channel(`holdfast:${name}`).publish(message)
    return lines.slice(before)
  }
  for (const [name, message, expected] of [
    [
      'circuit-breaker:transition',
      { breaker: 'quotes', from: 'closed', to: 'open', cause: 'tripped', reason: 'it fails' },
      { event_type: 'SYSTEM_EVENT', event: 'breaker.open', level: 40, breaker: 'quotes' },
    ],
    [
      'circuit-breaker:transition',
      { breaker: 'quotes', from: 'half-open', to: 'closed' },
      { event: 'breaker.closed', level: 30 },
    ],
    [
      'pool-guard:pressure',
      { pool: 'main', state: 'pressed', usage: 0.9, waiting: 6 },
      { event: 'pool.pressed', level: 40, usage: 0.9 },
    ],
    [
      'pool-guard:pressure',
      { pool: 'main', state: 'normal', usage: 0.1, waiting: 0 },
      { event: 'pool.normal', level: 30 },
    ],
    [
      'redis-guard:state',
      { from: 'up', to: 'down', reason: 'redis://app:hunter22@r failed' },
      { event: 'redis.down', level: 40 },
    ],
    ['redis-guard:state', { from: 'down', to: 'up', reason: undefined }, { event: 'redis.up', level: 30 }],
    [
      'lifecycle:state',
      { from: 'ready', to: 'draining', reason: 'SIGTERM' },
      { event_type: 'SYSTEM_EVENT', event: 'lifecycle.draining' },
    ],
    [
      'maintenance:begun',
      { id: 'm', mode: 'block', scope: 'all' },
      { event_type: 'SYSTEM_EVENT', event: 'maintenance.begun', rule: 'm', level: 40 },
    ],
    [
      'maintenance:ended',
      { id: 'm', mode: 'block', scope: 'all' },
      { event: 'maintenance.ended', level: 30 },
    ],
    [
      'abuse-guard:flag',
      { user: '7', reason: 'bot.start.limited', events: 50 },
      { event_type: 'SECURITY_EVENT', event: 'abuse.flagged', flagged: '7' },
    ],
    [
      'error-pages:failed',
      { status: 500, error: Object.assign(new Error('x'), { code: 'HOLDFAST_ERR_REDIS_GUARD_X' }) },
      { event_type: 'ERROR_EVENT', event: 'request.failed', level: 50, component: 'redis' },
    ],
  ] as const) {
    t.match(told(name, message), [expected], name)
  }
  t.notOk(JSON.stringify(lines).includes('hunter22'))
  for (const [name, message] of [
    ['abuse-guard:block', { address: '192.0.2.7', learnt: true }],
    ['abuse-guard:unblock', { address: '192.0.2.7', learnt: true }],
    ['maintenance:changed', { version: 1, change: undefined, learnt: true }],
  ] as const) {
    t.same(told(name, message), [], `${name}, learnt`)
  }
  const id = 'events-00000001'
  await fastify.inject({ url: '/breaks', headers: { 'x-correlation-id': id } })
  t.match(
    lines.filter(({ event }) => event === 'breaker.open').at(-1),
    { correlation_id: id, breaker: 'here', path: '/breaks' },
    'by the ids of the request that made it so',
  )
  await fastify.close()
  t.same(told('lifecycle:state', { from: 'a', to: 'b', reason: 'c' }), [], 'nothing any more')
})

t.test(
  'of what anybody can cause the first is told, and how often it came in the minute after',
  async (t) => {
    const clock = new HandClock()
    const told: (readonly unknown[])[] = []
    const rare = new RareEvents((...event) => told.push(event), clock)
    for (let each = 0; each < 1000; each++) rare.tell('SECURITY_EVENT', 'a', { each })
    rare.tell('SYSTEM_EVENT', 'b', {}, 'info')
    const first = [
      ['SECURITY_EVENT', 'a', { times: 1, each: 0 }, 'warn'],
      ['SYSTEM_EVENT', 'b', { times: 1 }, 'info'],
    ]
    await clock.advance(59_999)
    t.strictSame(told, first)
    await clock.advance(1)
    const rest = ['SECURITY_EVENT', 'a', { times: 999, each: 999 }, 'warn']
    t.strictSame(told, [...first, rest], 'also where nothing comes any more')

    rare.tell('SECURITY_EVENT', 'a', { each: 'later' })
    rare.tell('SYSTEM_EVENT', 'b', {}, 'info')
    t.strictSame(told.slice(3), [['SYSTEM_EVENT', 'b', { times: 1 }, 'info']], 'b was quiet for a minute')
    await clock.advance(60_000)
    t.strictSame(told.slice(4), [['SECURITY_EVENT', 'a', { times: 1, each: 'later' }, 'warn']])
    await clock.advance(600_000)
    t.equal(told.length, 5, 'and then nobody waits for anything')
  },
)

t.test('what is told at the end of a minute is not of the request that began it', async (t) => {
  const clock = new HandClock()
  const scope = new AsyncLocalStorage<string>()
  const told: unknown[] = []
  const rare = new RareEvents(() => told.push(scope.getStore()), clock)
  for (const request of ['first', 'second']) {
    scope.run(request, () => rare.tell('SECURITY_EVENT', 'a', {}))
  }
  await scope.run('somebody', () => clock.advance(60_000))
  t.strictSame(told, ['first', undefined])
})
