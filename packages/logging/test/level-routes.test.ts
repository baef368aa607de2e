import Fastify, { type FastifyRequest } from 'fastify'
import { Registry } from 'prom-client'
import t from 'tap'
import { Logs, logging, serverOptions } from '../src/index.ts'
import { LineReader } from './line-reader.ts'

t.test('operators change the level for a while, and nobody else does', async (t) => {
  const reader = new LineReader()
  const logs = new Logs<FastifyRequest>({ destination: reader, quietRoutes: ['/admin/log-level'] })
  const app = Fastify(serverOptions(logs))
  t.teardown(() => app.close())
  await app.register(logging, {
    logs,
    admin: { authorize: ({ headers }) => headers.authorization === 'Bearer operator' },
  })
  const url = '/admin/log-level'
  const headers = { authorization: 'Bearer operator' }
  t.match((await app.inject(url)).json(), { statusCode: 401, code: 'HOLDFAST_ERR_LOGGING_UNAUTHENTICATED' })
  t.equal((await app.inject(url)).headers['www-authenticate'], 'Bearer realm="logging"')
  const forbidden = await app.inject({
    method: 'PUT',
    url,
    headers: { authorization: 'Bearer x' },
    payload: { level: 'trace' },
  })
  t.match(forbidden.json(), { statusCode: 403, code: 'HOLDFAST_ERR_LOGGING_FORBIDDEN' })
  t.same((await app.inject({ url, headers })).json(), { level: 'info', configured: 'info', until: null })

  for (const payload of [
    {},
    { level: 'loud' },
    { level: 'debug', for_seconds: 0 },
    { level: 'debug', for_seconds: 86_401 },
    { level: 'debug', for_seconds: '5' },
    { level: 'debug', more: 1 },
    'x',
    null,
  ]) {
    const refused = await app.inject({
      method: 'PUT',
      url,
      headers: { ...headers, 'content-type': 'application/json' },
      payload: JSON.stringify(payload),
    })
    t.match(refused.json(), { statusCode: 400, code: 'HOLDFAST_ERR_LOGGING_LEVEL' }, JSON.stringify(payload))
  }
  t.equal(logs.snapshot().level.level, 'info')

  const changed = await app.inject({
    method: 'PUT',
    url,
    headers,
    payload: { level: 'DEBUG', for_seconds: 60 },
  })
  t.match(changed.json(), { level: 'debug', configured: 'info', until: /Z$/ })
  t.equal(changed.headers['cache-control'], 'no-store')
  t.match(reader.named('log.level.changed'), { event_type: 'SECURITY_EVENT', to: 'debug', for_seconds: 60 })
  t.match((await app.inject({ method: 'DELETE', url, headers })).json(), { level: 'info', until: null })
  t.ok(reader.named('log.level.reset'))

  await app.inject({ method: 'PUT', url, headers, payload: { level: 'silent' } })
  t.match(reader.lines.at(-1), { event: 'log.level.changed', to: 'silent', for_seconds: 900 })
  await app.inject({ method: 'DELETE', url, headers })

  app.logging.setLevel('WARN', 1000)
  t.equal(app.logging.snapshot().level.level, 'warn')
  app.logging.resetLevel()
  t.throws(() => app.logging.setLevel('loud', 1000), { code: 'HOLDFAST_ERR_LOGGING_OPTION' })
  t.throws(() => app.logging.setLevel('debug', 86_400_001), { code: 'HOLDFAST_ERR_LOGGING_OPTION' })
  t.throws(() => app.logging.event('NEWS' as never, 'x'), { code: 'HOLDFAST_ERR_LOGGING_OPTION' })
  t.throws(() => app.logging.event('USER_ACTION', ''), { code: 'HOLDFAST_ERR_LOGGING_OPTION' })
  t.equal(await app.logging.timed('x', async () => 7), 7)
})

t.test('other processes are told, and the answer says how many have the level', async (t) => {
  const logs = new Logs<FastifyRequest>({ destination: new LineReader() })
  const app = Fastify(serverOptions(logs))
  t.teardown(() => app.close())
  const told: unknown[] = []
  await app.register(logging, {
    logs,
    admin: {
      path: '/level',
      authorize: () => true,
      share: async (level, forMs) => {
        told.push([level, forMs, logs.snapshot().level.level])
        if (forMs === 7000) throw new Error('nobody answers')
        return { taken: told.length, of: 4 }
      },
    },
  })
  const put = (payload: object) => app.inject({ method: 'PUT', url: '/level', payload })
  t.match((await put({ level: 'TRACE', for_seconds: 5 })).json(), {
    level: 'trace',
    processes: { taken: 1, of: 4 },
  })
  t.equal((await put({ level: 'loud' })).statusCode, 400)
  t.match((await app.inject({ method: 'DELETE', url: '/level' })).json(), {
    level: 'info',
    processes: { taken: 2, of: 4 },
  })
  t.equal((await app.inject('/level')).json().processes, undefined, 'who only asks changes nothing')
  t.equal((await put({ level: 'debug', for_seconds: 7 })).statusCode, 500)
  t.equal(logs.snapshot().level.level, 'debug', 'here it is in force')
  t.strictSame(told, [
    ['trace', 5000, 'trace'],
    [undefined, 0, 'info'],
    ['debug', 7000, 'debug'],
  ])
  const other = Fastify()
  await t.rejects(
    async () => other.register(logging, { admin: { authorize: () => true, share: 'all' as never } }),
    {
      code: 'HOLDFAST_ERR_LOGGING_OPTION',
    },
  )
})

t.test('metrics are read from a snapshot', async (t) => {
  const registry = new Registry()
  const logs = new Logs<FastifyRequest>({ destination: new LineReader(), sampleSuccess: 0 })
  const app = Fastify(serverOptions(logs))
  await app.register(logging, { logs, registry, appName: 'shop' })
  app.get('/', async () => 'x')
  await app.inject('/')
  await app.inject('/nowhere')
  app.logging.event('SECURITY_EVENT', 'x')
  const text = await registry.metrics()
  for (const row of [
    'holdfast_logging_lines_total{app="shop",level="warn"} 2',
    'holdfast_logging_events_total{app="shop",type="SECURITY_EVENT"} 1',
    'holdfast_logging_unsampled_total{app="shop"} 1',
    'holdfast_logging_dropped_total{app="shop"} 0',
    'holdfast_logging_unread_left_out_total{app="shop"} 0',
  ]) {
    t.match(text, row)
  }
  await app.close()
  t.notMatch(await registry.metrics(), 'app="shop"')
})
