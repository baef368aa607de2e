import { createServer } from 'node:net'
import Fastify from 'fastify'
import t from 'tap'
import { health } from '../src/index.ts'
import { allPaths } from '../src/route-table.ts'
import { appWithHealth, portOf } from './app-with-health.ts'

t.test('the management listener answers the same table with details, without credentials', async (t) => {
  const app = await appWithHealth(t, {
    management: { port: 0 },
    checks: {
      database: {
        check: () => Promise.reject(Object.assign(new Error('down'), { code: 'ECONNREFUSED' })),
        groups: ['ready', 'live', 'jobs'],
        severity: 'critical',
      },
    },
  })
  await new Promise(setImmediate)
  const base = `http://127.0.0.1:${portOf(app.health.management?.server)}`
  for (const path of allPaths) {
    const response = await fetch(base + path.replace(':check', 'database').replace(':group', 'jobs'))
    t.not(response.status, 404, path)
    await response.text()
  }
  const detailed = await (await fetch(`${base}/health/check`)).json()
  t.match(detailed, { checks: { database: { code: 'ECONNREFUSED', reason: 'down' } } })
  t.match(await (await fetch(`${base}/readyz?verbose`)).json(), { checks: { database: { reason: 'down' } } })
  t.equal((await app.inject('/health/check')).statusCode, 403, 'the main port tells nobody')
  await app.close()
  await t.rejects(fetch(`${base}/livez`), 'it closes with the application')
})

t.test('a page it does not have is answered as a problem document', async (t) => {
  const app = await appWithHealth(t, { management: { port: 0 } })
  const response = await fetch(`http://127.0.0.1:${portOf(app.health.management?.server)}/nothing`)
  t.equal(response.status, 404)
  t.equal(response.headers.get('content-type'), 'application/problem+json; charset=utf-8')
  t.match(await response.json(), { status: 404, error: 'HOLDFAST_ERR_HEALTH_UNKNOWN_PAGE' })
})

t.test('its server takes options of its own', async (t) => {
  const app = await appWithHealth(t, {
    management: { port: 0, server: { genReqId: () => 'own', http: { maxHeaderSize: 4096 } } },
  })
  const base = `http://127.0.0.1:${portOf(app.health.management?.server)}`
  t.equal((await fetch(`${base}/livez`)).status, 200)
  t.equal((await fetch(`${base}/livez`, { headers: { long: 'x'.repeat(5000) } })).status, 431)
})

t.test('other plugins may add routes of their own to it before it listens', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(health, { management: { port: 0 } })
  app.health.management?.get('/metrics', async () => 'up 1\n')
  await app.ready()
  const url = `http://127.0.0.1:${portOf(app.health.management?.server)}/metrics`
  t.equal(await (await fetch(url)).text(), 'up 1\n')
})

t.test('the pages are there without a port, for who asks in the process', async (t) => {
  const app = await appWithHealth(t, { management: { port: 0, listen: false } })
  await app.ready()
  const { management } = app.health
  t.equal(management?.server.listening, false)
  const answer = await management?.inject('/readyz?verbose')
  t.match(answer, { statusCode: 200 })
})

t.test('a management port that is taken fails the start with a clear error', async (t) => {
  const other = createServer()
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  t.teardown(() => other.close())
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(health, { management: { port: portOf(other) } })
  await t.rejects(async () => app.ready(), {
    code: 'HOLDFAST_ERR_HEALTH_MANAGEMENT_LISTEN',
    message: /cannot listen on 127\.0\.0\.1:\d+: listen EADDRINUSE.*choose another "management.port"/,
    cause: { code: 'EADDRINUSE' },
  })
})

t.test('without the option there is none', async (t) => {
  const app = await appWithHealth(t)
  t.equal(app.health.management, undefined)
  t.equal(app.health.livenessWorker, undefined)
})
