import { connect as connectHttp2 } from 'node:http2'
import { json } from 'node:stream/consumers'
import { HandClock } from '@holdfast/test-kit'
import Fastify from 'fastify'
import t from 'tap'
import { health } from '../src/index.ts'
import { maxExcluded } from '../src/probe-query.ts'
import { allPaths, routes } from '../src/route-table.ts'
import { appWithHealth, portOf } from './app-with-health.ts'

const bearer = { authorization: 'Bearer secret' }
const authorize = (request: { headers: { authorization?: string | undefined } }) =>
  request.headers.authorization === bearer.authorization
const refused = () =>
  Promise.reject(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }))

t.test('/healthz answers status, version, timestamp and service, in this order', async (t) => {
  const app = await appWithHealth(t)
  const response = await app.inject('/healthz')
  t.equal(response.statusCode, 200)
  t.equal(response.headers['content-type'], 'application/json; charset=utf-8')
  t.equal(response.headers['cache-control'], 'no-store')
  const body = response.json()
  t.strictSame(Object.keys(body), ['status', 'version', 'timestamp', 'service'])
  t.match(body, { status: 'ok', version: '1.2.3', service: 'shop', timestamp: /^\d{4}-\d\d-\d\dT[\d:.]+Z$/ })
})

t.test('/livez answers status and timestamp, /readyz also checks', async (t) => {
  const app = await appWithHealth(t, { checks: { database: { check: () => {} } } })
  await app.health.confirmed()
  t.strictSame(Object.keys((await app.inject('/livez')).json()), ['status', 'timestamp'])
  const ready = (await app.inject('/readyz')).json()
  t.strictSame(Object.keys(ready), ['status', 'timestamp', 'checks'])
  t.match(ready, { status: 'ok', checks: { database: { status: 'healthy' } } })
})

t.test('every path of the table answers GET, HEAD and OPTIONS with the same status', async (t) => {
  const app = await appWithHealth(t, {
    checks: { database: { check: () => {}, severity: 'critical', groups: ['ready', 'live', 'jobs'] } },
    authorize,
  })
  await app.health.confirmed()
  for (const path of allPaths) {
    const url = path.replace(':check', 'database').replace(':group', 'jobs')
    for (const method of ['GET', 'HEAD', 'OPTIONS'] as const) {
      const response = await app.inject({ method, url, headers: bearer })
      t.equal(response.statusCode, 200, `${method} ${url}`)
      t.equal(response.headers['cache-control'], 'no-store', `${method} ${url} is not stored`)
      if (method === 'HEAD') t.equal(response.body, '', `${method} ${url} has no body`)
      else t.type(response.json().timestamp, 'string', `${method} ${url} has a timestamp`)
      if (method === 'OPTIONS') t.equal(response.headers.allow, 'GET, HEAD, OPTIONS')
    }
    t.equal((await app.inject({ method: 'POST', url })).statusCode, 404, `POST ${url}`)
  }
})

t.test('the aliases of four naming schemes are in the table', async (t) => {
  const asked =
    '/healthz /livez /readyz /startupz /health /ready /live /health/live /health/ready /health/check /health/summary /health/metrics /health/security /health/detailed'
  for (const path of asked.split(' ')) t.ok(allPaths.includes(path), path)
  t.strictSame(
    routes.filter(({ guarded }) => guarded).map(({ path }) => path),
    ['/health/check', '/health/detailed', '/health/metrics', '/health/security'],
  )
})

t.test('not ready is 503 on every path that tells readiness, and liveness stays 200', async (t) => {
  const app = await appWithHealth(t, {
    checks: { database: { check: refused, severity: 'critical' } },
    authorize,
  })
  await new Promise(setImmediate)
  const expected: Record<string, number> = {}
  for (const { path, page } of routes) {
    const url = path.replace('/:check', '/database').replace(':group', 'ready')
    if (page === 'live' && path.includes(':')) continue
    expected[url] = ['ready', 'startup', 'summary', 'group'].includes(page) ? 503 : 200
    t.equal((await app.inject({ url, headers: bearer })).statusCode, expected[url], url)
  }
  t.match((await app.inject('/readyz')).json(), {
    status: 'error',
    phase: 'starting',
    checks: { database: { status: 'unhealthy' } },
  })
})

t.test('draining turns readiness to 503 and leaves liveness and start-up', async (t) => {
  const app = await appWithHealth(t, { checks: { database: { check: () => {}, severity: 'critical' } } })
  await app.health.confirmed()
  t.equal((await app.inject('/readyz')).statusCode, 200)
  app.health.drain()
  const ready = await app.inject('/readyz')
  t.equal(ready.statusCode, 503, 'at once, although the answer before was kept')
  t.match(ready.json(), { status: 'error', phase: 'draining', checks: { database: { status: 'healthy' } } })
  t.equal((await app.inject('/readyz?verbose')).statusCode, 503)
  for (const url of ['/livez', '/startupz', '/healthz']) t.equal((await app.inject(url)).statusCode, 200, url)
  t.equal((await app.inject('/health')).statusCode, 503)
})

t.test('degraded is 200', async (t) => {
  const app = await appWithHealth(t, { checks: { mail: { check: refused } } })
  await new Promise(setImmediate)
  const response = await app.inject('/readyz')
  t.equal(response.statusCode, 200)
  t.match(response.json(), { status: 'degraded', checks: { mail: { status: 'unhealthy' } } })
  t.match((await app.inject('/health/summary')).json(), {
    status: 'degraded',
    level: 'degraded',
    service: 'shop',
    version: '1.2.3',
    phase: 'serving',
  })
})

t.test('?verbose is text for whoever prefers text, JSON otherwise', async (t) => {
  const app = await appWithHealth(t, {
    checks: {
      database: { check: () => {}, groups: ['ready', 'live'] },
      mail: { check: refused },
      ledger: { check: refused, severity: 'critical', groups: ['ready', 'live'] },
      cache: { check: () => ({ status: 'degraded', reason: 'two\n[+]lines' }) },
      queue: { check: () => new Promise<undefined>(() => {}) },
    },
    authorize,
  })
  app.health.degrade('theme', 'store away')
  await new Promise(setImmediate)
  for (const type of ['constructor', '__proto__']) {
    const accept = `${type}, text/plain;q=0.5`
    const { headers } = await app.inject({ url: '/readyz', headers: { accept } })
    t.match(headers['content-type'], 'text/plain', 'what every object has is no media type')
  }
  const text = { accept: 'text/plain' }
  const anonymous = await app.inject({ url: '/readyz?verbose', headers: text })
  t.equal(anonymous.statusCode, 503)
  t.equal(anonymous.headers['content-type'], 'text/plain; charset=utf-8')
  t.equal(
    anonymous.body,
    [
      '[+]database ok',
      '[~]mail failed: reason withheld',
      '[-]ledger failed: reason withheld',
      '[~]cache degraded: reason withheld',
      '[~]queue starting: reason withheld',
      '[~]feature theme degraded: reason withheld',
      'readyz check failed (starting)',
      '',
    ].join('\n'),
  )
  t.equal(
    (await app.inject({ url: '/readyz?verbose', headers: { ...text, ...bearer } })).body,
    [
      '[+]database ok',
      '[~]mail failed: error: ECONNREFUSED: connect ECONNREFUSED',
      '[-]ledger failed: error: ECONNREFUSED: connect ECONNREFUSED',
      '[~]cache degraded: reported: two [+]lines',
      '[~]queue starting: no reason given',
      '[~]feature theme degraded: store away',
      'readyz check failed (starting)',
      '',
    ].join('\n'),
  )
  t.equal((await app.inject({ url: '/readyz', headers: text })).body, 'error\n', 'without verbose one word')
  t.match((await app.inject('/livez?verbose')).json(), {
    status: 'error',
    checks: { ledger: { status: 'unhealthy' } },
  })
  t.equal(
    (await app.inject({ url: '/livez?verbose&exclude=ledger', headers: text })).body,
    '[+]database ok\n[+]ledger excluded\nlivez check passed (starting)\n',
  )
  for (const value of ['0', 'false']) {
    t.notOk((await app.inject(`/livez?verbose=${value}`)).json().checks, `verbose=${value} is not verbose`)
  }
})

t.test('Accept decides the form; a probe is never refused over it', async (t) => {
  const app = await appWithHealth(t, { checks: { mail: { check: refused } }, authorize })
  await new Promise(setImmediate)
  const typeFor = async (accept: string) =>
    (await app.inject({ url: '/readyz', headers: { accept } })).headers['content-type']
  const asJson = 'application/json; charset=utf-8'
  const asText = 'text/plain; charset=utf-8'
  t.equal(await typeFor('*/*'), asJson)
  t.equal(await typeFor('application/json'), asJson)
  t.equal(await typeFor('text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'), asJson)
  t.equal(await typeFor('image/png'), asJson)
  t.equal(await typeFor('constructor, text/plain;q=0.5'), asText, 'what is no type is not looked at')
  t.equal(await typeFor('TEXT/PLAIN'), asText)
  t.equal(await typeFor('application/json;q=0.5, text/*; q=0.9'), asText)
  t.equal(await typeFor('text/plain;q=0, */*;q=0.1'), asJson)
  t.equal(await typeFor('text/plain;q=9'), asJson, 'a q that is none counts as 0')
  t.equal(await typeFor('text/plain;format=flowed'), asText)
  t.equal(await typeFor(`${'x/y,'.repeat(20)}text/plain`), asJson, 'only the first 20 alternatives are read')
  t.equal(await typeFor('application/health+json'), 'application/health+json; charset=utf-8')
  const accept = 'application/health+json'
  t.strictSame((await app.inject({ url: '/readyz', headers: { accept } })).json(), {
    status: 'warn',
    releaseId: '1.2.3',
    serviceId: 'shop',
    checks: { mail: [{ status: 'fail' }] },
  })
  t.match((await app.inject({ url: '/readyz?verbose&exclude=x', headers: { accept, ...bearer } })).json(), {
    status: 'warn',
    notes: ['no check named "x" to exclude'],
    checks: {
      mail: [
        { status: 'fail', observedUnit: 'ms', observedValue: Number, time: String, output: /ECONNREFUSED/ },
      ],
    },
  })
  t.strictSame((await app.inject({ url: '/livez', headers: { accept } })).json(), {
    status: 'pass',
    releaseId: '1.2.3',
    serviceId: 'shop',
  })
  app.health.addCheck('slow', { check: () => new Promise<undefined>(() => {}) })
  t.match(
    (await app.inject({ url: '/readyz?verbose', headers: { accept, ...bearer } })).json().checks.slow,
    [{ status: 'fail', time: String }],
    'a check that was never answered has the time of the report',
  )
})

t.test('?exclude leaves checks out of the verdict, and warns about what it cannot', async (t) => {
  const app = await appWithHealth(t, {
    checks: {
      ledger: { check: () => ({ status: 'unhealthy' }) },
      mail: { check: refused },
      disk: { check: () => {} },
    },
  })
  await new Promise(setImmediate)
  t.match((await app.inject('/readyz')).json(), { status: 'degraded' })
  for (const url of [
    '/readyz?exclude=ledger&exclude=mail',
    '/readyz?exclude=ledger,mail',
    '/readyz?exclude=,mail,,ledger',
    '/readyz?exclude=mail,mail&exclude=ledger,mail',
  ]) {
    const { status, checks, excluded } = (await app.inject(url)).json()
    t.equal(status, 'ok', url)
    t.strictSame(checks, { disk: { status: 'healthy' } })
    t.strictSame(excluded.toSorted(), ['ledger', 'mail'])
  }
  const response = await app.inject('/readyz?exclude=nothing&exclude=%3Cscript%3E')
  t.equal(response.statusCode, 200)
  t.match(response.json().warnings, [
    'something that is not the name of a check cannot be excluded',
    'no check named "nothing" to exclude',
  ])
  t.notMatch(response.body, 'script')
  t.match((await app.inject('/health?exclude=mail')).json(), { excluded: ['mail'] })
  t.match((await app.inject('/health?exclude=mails')).json(), {
    warnings: ['no check named "mails" to exclude'],
  })
  t.match(
    (await app.inject({ url: '/readyz?verbose&exclude=mails', headers: { accept: 'text/plain' } })).body,
    /\nwarn: no check named "mails" to exclude\nreadyz check degraded\n$/,
  )
})

t.test('the number of excluded names is bounded, in one value and in many', async (t) => {
  const app = await appWithHealth(t)
  const names = Array.from({ length: 500 }, (_, index) => `name-${index}`)
  for (const query of [`exclude=${names.join(',')}`, names.map((name) => `exclude=${name}`).join('&')]) {
    const { warnings } = (await app.inject(`/readyz?${query}`)).json()
    t.equal(warnings.length, maxExcluded + 1)
    t.equal(warnings[0], `only the first ${maxExcluded} names are excluded`)
  }
})

t.test('a query parser of the application cannot break a probe', async (t) => {
  for (const query of [null, 'text', { exclude: { a: 1 } }, { exclude: [1, 'mail', null] }]) {
    const app = await appWithHealth(
      t,
      { checks: { mail: { check: () => {} } } },
      { routerOptions: { querystringParser: () => query as unknown as Record<string, unknown> } },
    )
    t.equal((await app.inject('/readyz?x')).statusCode, 200, JSON.stringify(query))
  }
})

t.test('/readyz/<check> asks about one check, whatever its severity', async (t) => {
  const app = await appWithHealth(t, {
    checks: {
      mail: { check: refused, severity: 'informative' },
      cache: { check: () => ({ status: 'degraded' }) },
      loop: { check: () => {}, groups: ['live'] },
    },
    authorize,
  })
  await new Promise(setImmediate)
  const mail = await app.inject('/readyz/mail')
  t.equal(mail.statusCode, 503)
  t.match(mail.json(), { status: 'error', checks: { mail: { status: 'unhealthy' } } })
  t.strictSame((await app.inject('/readyz/cache')).statusCode, 200)
  t.match((await app.inject('/livez/loop')).json(), { status: 'ok', checks: { loop: { status: 'healthy' } } })
  t.match((await app.inject({ url: '/readyz/mail?verbose', headers: bearer })).json().checks.mail, {
    code: 'ECONNREFUSED',
  })
  for (const url of [
    '/readyz/loop',
    '/livez/mail',
    '/startupz/mail',
    '/readyz/none',
    '/readyz/%3Cb%3E',
    '/readyz/__proto__',
  ]) {
    const response = await app.inject(url)
    t.equal(response.statusCode, 404, url)
    t.equal(response.headers['content-type'], 'application/problem+json; charset=utf-8')
    t.match(response.json(), { status: 404, title: 'Not Found', error: 'HOLDFAST_ERR_HEALTH_UNKNOWN_CHECK' })
    t.notMatch(response.body, '<b>')
  }
})

t.test('groups of your own have a path', async (t) => {
  const app = await appWithHealth(t, {
    checks: { mail: { check: refused, severity: 'critical', groups: ['jobs'] }, disk: { check: () => {} } },
  })
  await new Promise(setImmediate)
  t.notOk((await app.inject('/readyz')).json().checks.mail)
  const jobs = await app.inject('/health/groups/jobs')
  t.equal(jobs.statusCode, 503)
  t.match(jobs.json(), { status: 'error', checks: { mail: { status: 'unhealthy' } } })
  t.match(
    (await app.inject({ url: '/health/groups/jobs?verbose', headers: { accept: 'text/plain' } })).body,
    /jobs check failed/,
  )
  t.match((await app.inject('/health/groups/none')).json(), {
    status: 404,
    error: 'HOLDFAST_ERR_HEALTH_UNKNOWN_GROUP',
  })
  t.match((await app.inject('/health/groups/%0A')).json(), {
    detail: 'there is no group named "(not a name)"',
  })
})

t.test('a kept answer is at most a second old, and never older than a change', async (t) => {
  const clock = new HandClock()
  const app = await appWithHealth(t, { clock, checks: { mail: { check: () => {} } } })
  await clock.advance(0)
  const stamp = async (url: string) => (await app.inject(url)).json().timestamp
  for (const url of ['/healthz', '/livez', '/readyz', '/startupz', '/health']) {
    const before = await stamp(url)
    await clock.advance(999)
    t.equal(await stamp(url), before, `${url} within the second`)
    await clock.advance(1)
    t.not(await stamp(url), before, `${url} after a second`)
  }
  const before = await stamp('/readyz')
  await clock.advance(1)
  app.health.degrade('theme', 'away')
  t.not(await stamp('/readyz'), before)
})

t.test('an application may keep paths for itself', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(health, { omitPaths: ['/health'] })
  app.get('/health', async () => 'mine')
  t.equal((await app.inject('/health')).body, 'mine')
  t.equal((await app.inject('/health/summary')).statusCode, 200)
})

t.test('hooks that come after health do not touch the probes', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(health)
  const touched: string[] = []
  app.addHook('onRoute', (route) => {
    if (route.config?.health === 'probe') t.fail(`onRoute saw ${route.url}`)
  })
  app.addHook('onRequest', async (request, reply) => {
    touched.push(request.url)
    return reply.code(401).send('no')
  })
  for (const hook of [
    'preParsing',
    'preValidation',
    'preHandler',
    'onSend',
    'onError',
    'onTimeout',
  ] as const) {
    app.addHook(hook, async (request: { url: string }) => {
      touched.push(request.url)
    })
  }
  app.setErrorHandler(() => t.fail('the error handler was asked'))
  app.get('/other', async () => 'other')
  t.equal((await app.inject('/other')).statusCode, 401)
  touched.length = 0
  for (const { path } of routes.filter(({ guarded }) => !guarded)) await app.inject(path)
  for (const url of ['/livez?verbose', '/readyz/none']) await app.inject(url)
  t.strictSame(touched, [])
})

t.test('onResponse hooks see probes, and can tell them', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(health)
  const seen: unknown[] = []
  app.addHook('onResponse', async (request) => {
    seen.push(request.routeOptions.config.health)
  })
  await app.inject('/readyz')
  t.strictSame(seen, ['probe'])
})

t.test('the operators pages are ordinary routes: authorize reads what the hooks found out', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  const principals = new WeakMap<object, string>()
  await app.register(health, { authorize: (request) => principals.get(request) === 'admin' })
  app.addHook('onRequest', async (request) => {
    principals.set(request, String(request.headers['x-demo-role']))
  })
  app.addHook('onSend', async (_request, reply, payload) => {
    reply.header('x-frame-options', 'DENY')
    return `${payload}\n`
  })
  for (const [role, statusCode] of [
    ['admin', 200],
    ['user', 401],
  ] as const) {
    const response = await app.inject({ url: '/health/check', headers: { 'x-demo-role': role } })
    t.equal(response.statusCode, statusCode)
    t.equal(response.headers['x-frame-options'], 'DENY')
    t.equal(response.headers['cache-control'], 'no-store')
    t.equal(
      Number(response.headers['content-length']),
      Buffer.byteLength(response.body),
      'also when a hook adds to it',
    )
  }
})

t.test('probes write no log line', async (t) => {
  const lines: string[] = []
  const app = await appWithHealth(
    t,
    {},
    { logger: { level: 'trace', stream: { write: (line) => lines.push(line) } } },
  )
  await app.health.confirmed()
  lines.length = 0
  for (const url of ['/healthz', '/readyz', '/livez?verbose', '/readyz/none']) await app.inject(url)
  t.strictSame(lines, [])
  await app.inject('/other')
  t.ok(lines.length > 0, 'while other requests do')
})

t.test('probes are answered over HTTP/2', async (t) => {
  const app = Fastify({ http2: true })
  t.teardown(() => app.close())
  await app.register(health, { service: 'shop' })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const session = connectHttp2(`http://127.0.0.1:${portOf(app.server)}`)
  const stream = session.request({ ':path': '/healthz' })
  let status: unknown
  stream.on('response', (headers) => (status = headers[':status']))
  t.match(await json(stream), { status: 'ok', service: 'shop' })
  t.equal(status, 200)
  session.close()
})
