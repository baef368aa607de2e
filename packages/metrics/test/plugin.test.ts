// Who may read the metrics, and where; what other plugins add; what is left after close.

import type { AddressInfo } from 'node:net'
import { gunzipSync } from 'node:zlib'
import { type MetricsOptions, metrics } from '@holdfast/metrics'
import { HandClock } from '@holdfast/test-kit'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import { Gauge, Registry } from 'prom-client'
import t, { type Test } from 'tap'
import { promtoolCheck } from './promtool.ts'

t.setTimeout(60_000)

async function appWith(t: Test, options: MetricsOptions<FastifyRequest> = {}): Promise<FastifyInstance> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(metrics, options)
  return app
}

t.test('nobody may read them unless it is said who may', async (t) => {
  const app = await appWith(t)
  const { statusCode, headers, body } = await app.inject({
    url: '/metrics',
    headers: { authorization: 'Bearer x' },
  })
  t.equal(statusCode, 403)
  t.equal(headers['www-authenticate'], undefined)
  t.equal(JSON.parse(body).code, 'HOLDFAST_ERR_METRICS_FORBIDDEN')
  t.match(await app.metrics.scrape(), 'app_info')
})

t.test('who has the token may, and nobody with another one', async (t) => {
  const app = await appWith(t, { token: 'a-token' })
  const ask = (authorization?: string) =>
    app.inject({ url: '/metrics', headers: authorization === undefined ? {} : { authorization } })
  const nobody = await ask()
  t.equal(nobody.statusCode, 401)
  t.equal(nobody.headers['www-authenticate'], 'Bearer realm="metrics"')
  t.equal(nobody.json().code, 'HOLDFAST_ERR_METRICS_UNAUTHENTICATED')
  for (const wrong of [
    'Bearer a-toke',
    'Bearer a-token2',
    'Basic a-token',
    'Bearer',
    `Bearer ${'x'.repeat(5000)}`,
  ]) {
    t.equal((await ask(wrong)).statusCode, 401, wrong.slice(0, 20))
  }
  const { statusCode, headers, body } = await ask('Bearer a-token')
  t.equal(statusCode, 200)
  t.equal(headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
  t.equal(headers['cache-control'], 'no-store')
  t.equal(headers.vary, 'accept, accept-encoding')
  t.equal(promtoolCheck(body), '')
  t.notMatch(body, 'route="/metrics"')
  const head = await app.inject({
    method: 'HEAD',
    url: '/metrics',
    headers: { authorization: 'Bearer a-token' },
  })
  t.equal(head.statusCode, 200)
})

t.test('who is known by other means may, when authorize says so in time', async (t) => {
  let answer: () => boolean | Promise<boolean> = () => true
  const clock = new HandClock()
  const app = await appWith(t, { authorize: () => answer(), clock, runtime: false })
  const ask = async () =>
    (await app.inject({ url: '/metrics', headers: { authorization: 'Bearer x' } })).statusCode
  t.equal(await ask(), 200)
  answer = async () => false
  t.equal(await ask(), 401)
  answer = () => {
    throw new Error('no')
  }
  t.equal(await ask(), 401)
  answer = () => new Promise(() => {})
  const late = ask()
  await app.ready()
  while (clock.pendingTimers === 0) await clock.advance(0)
  await clock.advance(100)
  t.equal(await late, 401)
})

t.test('OpenMetrics and gzip where they are asked for', async (t) => {
  const app = await appWith(t, { token: 'a-token' })
  const headers = {
    authorization: 'Bearer a-token',
    accept: 'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5',
    'accept-encoding': 'deflate, gzip;q=0.8',
  }
  const zipped = await app.inject({ url: '/metrics', headers })
  t.equal(zipped.headers['content-type'], 'application/openmetrics-text; version=1.0.0; charset=utf-8')
  t.equal(zipped.headers['content-encoding'], 'gzip')
  t.match(gunzipSync(zipped.rawPayload).toString(), /# EOF\n$/)
  const plain = await app.inject({ url: '/metrics', headers: { ...headers, 'accept-encoding': 'gzip;q=0' } })
  t.equal(plain.headers['content-encoding'], undefined)
})

t.test('the path, its config, and whether there is one, are options', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  const routes: unknown[] = []
  app.addHook('onRoute', ({ url, config }) => void routes.push([url, (config as { guard?: string }).guard]))
  await app.register(metrics, { path: '/inside/metrics', routeConfig: { guard: 'mine' }, runtime: false })
  t.strictSame(routes[0], ['/inside/metrics', 'mine'])
  const none = await appWith(t, { path: false, runtime: false })
  t.equal((await none.inject({ url: '/metrics' })).statusCode, 404)
})

t.test('a listener of the cluster has them without a token, whoever is registered first', async (t) => {
  for (const first of ['metrics', 'health']) {
    const app = Fastify()
    t.teardown(() => app.close())
    const management = Fastify()
    const reports = new Map<string, () => object>()
    const health = async (scope: FastifyInstance) => {
      scope.decorate('health', {
        management,
        addReport: (page: string, name: string, produce: () => object) =>
          reports.set(`${page} ${name}`, produce),
      } as never)
      scope.addHook('onReady', async () => {
        await management.listen({ host: '127.0.0.1', port: 0 })
      })
      scope.addHook('onClose', () => management.close())
    }
    const skipScope = { [Symbol.for('skip-override')]: true }
    if (first === 'metrics') await app.register(metrics, { runtime: false })
    await app.register(Object.assign(health, skipScope))
    if (first === 'health') await app.register(metrics, { runtime: false })
    await app.ready()
    const { port } = management.server.address() as AddressInfo
    const answer = await fetch(`http://127.0.0.1:${port}/metrics`)
    t.equal(answer.status, 200, first)
    t.match(await answer.text(), 'app_info')
    app.metrics.recordTime('settle', 12.5)
    t.match(reports.get('metrics operations')?.(), { settle: { count: 1, max_ms: 12.5 } })
  }
})

t.test('it is registered once, and its names are its own', async (t) => {
  const app = await appWith(t, { runtime: false })
  await t.rejects(Promise.resolve(app.register(metrics)), { code: 'HOLDFAST_ERR_METRICS_ALREADY_REGISTERED' })
  const registry = new Registry()
  const one = Fastify()
  await one.register(metrics, { registry, runtime: false })
  const other = Fastify()
  t.teardown(() => Promise.all([one.close(), other.close()]))
  await t.rejects(Promise.resolve(other.register(metrics, { registry })), {
    code: 'HOLDFAST_ERR_METRICS_DUPLICATE',
  })
})

t.test('a metric that cannot be read is named in the next scrape', async (t) => {
  const registry = new Registry()
  new Gauge({
    name: 'broken',
    help: 'Broken',
    registers: [registry],
    collect: () => {
      throw new Error('no')
    },
  })
  const app = await appWith(t, { registry, runtime: false })
  t.notMatch(await app.metrics.scrape(), /^broken/m)
  t.match(await app.metrics.scrape(), /^metrics_unread_total\{metric="broken"\} [12]$/m)
})

t.test('a wrong option is refused', async (t) => {
  const wrong: readonly [object, RegExp][] = [
    [{ paht: '/x' }, /"paht" must be left out/],
    [{ path: 'metrics' }, /"path" must be a path that begins with \//],
    [{ token: '' }, /"token" must be a text of 1/],
    [{ registry: {} }, /"registry" must be an object with registerMetric/],
    [{ buckets: [1, 1] }, /"buckets" must be 1 to 40 numbers/],
    [{ maxRoutes: 0 }, /"maxRoutes" must be a whole number/],
    [{ tenant: async () => 'a' }, /"tenant" must be a function that is not async/],
    [{ maxTenants: 1001 }, /"maxTenants"/],
    [{ routeConfig: 3 }, /"routeConfig" must be an object/],
    [{ runtime: 'yes' }, /"runtime" must be true or false/],
    [{ cluster: true }, /"cluster" must be left out in a process that node:cluster has not forked/],
    [{ clock: {} }, /"clock" must be an object with nowMs/],
    [{ runtimeClock: {} }, /"runtimeClock" must be an object with loop/],
  ]
  for (const [options, message] of wrong) {
    await t.rejects(Promise.resolve(Fastify().register(metrics, options as MetricsOptions<FastifyRequest>)), {
      code: 'HOLDFAST_ERR_METRICS_OPTION',
      message,
    })
  }
})

t.test(
  'errors of what is no request are counted, and of other codes where it is said whose they are',
  async (t) => {
    const app = await appWith(t, {
      runtime: false,
      component: (error) =>
        (error as { code?: string }).code === 'ECONNREFUSED' ? 'database' : 'application',
    })
    app.get('/away', async (_request, reply) => {
      reply.code(503)
      throw Object.assign(new Error('away'), { code: 'ECONNREFUSED' })
    })
    app.get('/teapot', async () => {
      throw Object.assign(new Error('short'), { statusCode: 418 })
    })
    await app.inject({ url: '/away' })
    await app.inject({ url: '/teapot' })
    app.metrics.countError('timeout', 'settlement')
    const text = await app.metrics.scrape()
    t.match(text, /^errors_total\{type="unavailable",component="database"\} 1$/m)
    t.match(text, /^errors_total\{type="client",component="application"\} 1$/m)
    t.match(text, /^errors_total\{type="timeout",component="settlement"\} 1$/m)
  },
)

t.test('the times of operations are those of the last 1000, of so many operations', async (t) => {
  const app = await appWith(t, { runtime: false, maxOperations: 2 })
  for (let ms = 1; ms <= 1500; ms += 1) app.metrics.recordTime('bet', ms)
  app.metrics.recordTime('theme', 2)
  for (const ms of [3, Number.NaN, -1]) app.metrics.recordTime('third', ms)
  app.metrics.recordTime('bet', Number.NaN)
  app.metrics.recordTime(undefined as never, 1)
  t.strictSame(app.metrics.snapshot(), {
    inFlight: 0,
    operations: {
      bet: { count: 1500, min_ms: 501, max_ms: 1500, average_ms: 1000.5, p95_ms: 1450 },
      theme: { count: 1, min_ms: 2, max_ms: 2, average_ms: 2, p95_ms: 2 },
    },
    droppedMeasurements: 5,
  })
})
