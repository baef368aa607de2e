import { Authorisation } from '@holdfast/footing'
import { HandClock, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { routes } from '../src/route-table.ts'
import { appWithHealth } from './app-with-health.ts'

const secretText = 'password authentication failed for postgres://admin:hunter2@db.internal:5432/shop'
const failing = () =>
  Promise.reject(Object.assign(new Error(secretText), { code: '28P01', host: 'db.internal' }))
const guarded = routes.filter((route) => route.guarded).map(({ path }) => path)
const credentials = { authorization: 'Bearer secret' }

t.test('anonymous callers see names and states: no error text, code, host, time or data', async (t) => {
  const app = await appWithHealth(t, {
    checks: {
      database: { check: failing, severity: 'critical', groups: ['ready', 'live', 'jobs'] },
      queue: { check: () => ({ status: 'degraded', reason: secretText, data: { host: 'db.internal' } }) },
    },
    authorize: () => false,
  })
  app.health.degrade('theme', secretText)
  for (const page of ['check', 'metrics', 'security'] as const) {
    app.health.addReport(page, 'leak', () => ({ dsn: secretText }))
  }
  await new Promise(setImmediate)
  for (const { path } of routes) {
    const base = path.replace(':check', 'database').replace(':group', 'jobs')
    for (const query of ['', '?verbose', '?verbose&exclude=queue', '?details=1&verbose=full']) {
      for (const accept of ['application/json', 'text/plain', 'application/health+json']) {
        for (const method of ['GET', 'OPTIONS', 'HEAD'] as const) {
          const response = await app.inject({ method, url: base + query, headers: { accept } })
          const wire = JSON.stringify(response.headers) + response.body
          t.notMatch(
            wire,
            /hunter2|internal|password|28P01|postgres:|response_ms|observedValue|reason"/,
            `${method} ${base}${query} as ${accept}`,
          )
        }
      }
    }
  }
  t.match((await app.inject('/health/summary')).json(), {
    checks: { database: { status: 'unhealthy' }, queue: { status: 'degraded' } },
    features: { theme: { status: 'degraded' } },
  })
})

t.test(
  'an operator page answers 401 without credentials, 403 with wrong ones, as a problem document',
  async (t) => {
    const app = await appWithHealth(t, {
      authorize: (request) => request.headers.authorization === 'Bearer secret',
    })
    for (const url of guarded) {
      const anonymous = await app.inject(url)
      t.equal(anonymous.statusCode, 401, url)
      t.equal(anonymous.headers['www-authenticate'], 'Bearer realm="health"')
      t.equal(anonymous.headers['content-type'], 'application/problem+json; charset=utf-8')
      t.equal(anonymous.headers['cache-control'], 'no-store')
      t.match(anonymous.json(), {
        type: 'about:blank',
        title: 'Unauthorized',
        status: 401,
        error: 'HOLDFAST_ERR_HEALTH_UNAUTHENTICATED',
      })
      const wrong = await app.inject({ url, headers: { authorization: 'Bearer guess' } })
      t.equal(wrong.statusCode, 403, url)
      t.match(wrong.json(), { title: 'Forbidden', error: 'HOLDFAST_ERR_HEALTH_FORBIDDEN' })
      t.equal((await app.inject({ url, headers: credentials })).statusCode, 200, url)
    }
  },
)

t.test('without authorize nobody sees details on the main port', async (t) => {
  const app = await appWithHealth(t)
  for (const url of guarded) t.equal((await app.inject({ url, headers: credentials })).statusCode, 403, url)
})

t.test('authorised callers see causes, times, features with reasons, and reports', async (t) => {
  const app = await appWithHealth(t, {
    checks: {
      database: { check: failing, severity: 'critical' },
      sessions: { check: () => ({ data: { active: 12 } }) },
      queue: { check: () => new Promise<undefined>(() => {}) },
    },
    authorize: async () => true,
  })
  app.health.degrade('theme', 'store away')
  app.health.degrade('quotes', 'maintenance', { untilMs: Date.now() + 60_000 })
  app.health.addReport('check', 'breakers', () => ({ database: 'open' }))
  app.health.addReport('security', 'abuse-guard', () => ({ blocked: 2 }))
  await new Promise(setImmediate)
  for (const url of ['/health/check', '/health/detailed']) {
    const response = await app.inject(url)
    t.equal(response.statusCode, 200, 'it reports; the status is in the body')
    t.match(response.json(), {
      status: 'error',
      level: 'unhealthy',
      phase: 'starting',
      checks: {
        database: {
          status: 'unhealthy',
          severity: 'critical',
          groups: ['ready'],
          response_ms: Number,
          checked_at: /Z$/,
          last_outcome: 'unhealthy',
          cause: 'error',
          code: '28P01',
          reason: secretText,
          busy: false,
          executions: 1,
          changes: 1,
        },
        sessions: { status: 'healthy', data: { active: 12 } },
        queue: { status: 'starting', busy: true },
      },
      features: {
        theme: { status: 'degraded', reason: 'store away', since: /Z$/ },
        quotes: { reason: 'maintenance', until: /Z$/ },
      },
      reports: { breakers: { database: 'open' } },
    })
  }
  t.match((await app.inject('/health/security')).json(), { reports: { 'abuse-guard': { blocked: 2 } } })
  const metrics = (await app.inject('/health/metrics')).json()
  t.strictSame(Object.keys(metrics), ['timestamp', 'reports'])
  t.strictSame(metrics.reports, {}, 'nothing registered is nothing reported')
  t.match(
    (await app.inject({ url: '/health/check?verbose', headers: { accept: 'text/plain' } })).body,
    /hunter2/,
  )
})

t.test('an authorize that throws, rejects, lies or is late means no', async (t) => {
  const clock = new HandClock()
  const answers: (() => unknown)[] = [
    () => {
      throw new Error(secretText)
    },
    () => Promise.reject(new Error(secretText)),
    () => 'yes',
    () => 1,
    () => undefined,
    () => Promise.resolve('yes'),
    () => ({ authorised: true }),
  ]
  let answer: () => unknown = () => true
  const app = await appWithHealth(t, { clock, authorizeTimeoutMs: 100, authorize: () => answer() as boolean })
  t.equal((await app.inject('/health/check')).statusCode, 200)
  for (const wrong of answers) {
    answer = wrong
    const response = await app.inject('/health/check')
    t.equal(response.statusCode, 401, String(wrong))
    t.notMatch(response.body, 'hunter2')
  }
  let late: (value: boolean) => void = () => {}
  answer = () => new Promise((resolve) => (late = resolve))
  const waiting = app.inject('/health/check')
  await clock.advance(0)
  await clock.advance(100)
  t.equal((await waiting).statusCode, 401)
  late(true)
  const timers = clock.pendingTimers
  t.equal(timers, 0)
  answer = async () => true
  t.equal((await app.inject('/livez?verbose')).statusCode, 200)
})

t.test('an answer that handlerTimeout gave while authorize was waited for stays the only one', async (t) => {
  const clock = new HandClock()
  const app = await appWithHealth(
    t,
    { clock, authorize: () => new Promise<boolean>(() => {}) },
    { handlerTimeout: 10 },
  )
  const response = await app.inject('/readyz?verbose')
  t.equal(response.statusCode, 503)
  t.equal(response.json().code, 'FST_ERR_HANDLER_TIMEOUT')
  // A second writeHead() would throw here, out of a timer and so past everybody.
  await clock.advance(100)
})

t.test('anonymous callers cannot pile up authorize calls, and plain probes never cause one', async (t) => {
  const clock = new HandClock()
  let calls = 0
  const app = await appWithHealth(t, {
    clock,
    authorize: () => {
      calls += 1
      return new Promise<boolean>(() => {})
    },
  })
  for (const url of ['/healthz', '/readyz', '/livez', '/health', '/readyz?exclude=a']) await app.inject(url)
  t.equal(calls, 0)
  const asked = Array.from({ length: Authorisation.maxWaiting + 20 }, () => app.inject('/health/check'))
  await waitUntil(() => calls >= Authorisation.maxWaiting)
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
  t.equal(calls, Authorisation.maxWaiting)
  await clock.advance(100)
  t.strictSame(new Set((await Promise.all(asked)).map(({ statusCode }) => statusCode)), new Set([401]))
  const after = app.inject('/health/check')
  await waitUntil(() => calls === Authorisation.maxWaiting + 1, { what: 'room' })
  await clock.advance(100)
  await after
})
