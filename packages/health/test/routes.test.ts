import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { health } from '../src/index.ts'
import { allPaths } from '../src/route-table.ts'

type Options = Parameters<typeof health>[1]

async function started(t: Test, options: Options = {}): Promise<FastifyInstance> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(health, { service: 'shop', version: '1.2.3', ...options })
  await app.ready()
  return app
}

t.test('/healthz answers status, version, timestamp and service, in this order', async (t) => {
  const app = await started(t)
  const response = await app.inject('/healthz')
  t.equal(response.statusCode, 200)
  t.equal(response.headers['content-type'], 'application/json; charset=utf-8')
  t.equal(response.headers['cache-control'], 'no-store')
  const body = response.json()
  t.strictSame(Object.keys(body), ['status', 'version', 'timestamp', 'service'])
  t.match(body, { status: 'ok', version: '1.2.3', service: 'shop', timestamp: /^\d{4}-\d\d-\d\dT[\d:.]+Z$/ })
})

t.test('every path of the table answers GET, HEAD and OPTIONS with the same status', async (t) => {
  const app = await started(t, {
    checks: { database: { check: () => {}, severity: 'critical', groups: ['ready', 'live', 'jobs'] } },
    authorize: (request) => request.headers.authorization === 'Bearer secret',
  })
  await app.health.confirmed()
  for (const path of allPaths) {
    const url = path.replace(':check', 'database').replace(':group', 'jobs')
    for (const method of ['GET', 'HEAD', 'OPTIONS'] as const) {
      const response = await app.inject({ method, url, headers: { authorization: 'Bearer secret' } })
      t.equal(response.statusCode, 200, `${method} ${url}`)
      t.equal(response.headers['cache-control'], 'no-store', `${method} ${url} is not stored`)
      if (method === 'HEAD') t.equal(response.body, '', `${method} ${url} has no body`)
      else t.type(response.json().timestamp, 'string', `${method} ${url} has a timestamp`)
      if (method === 'OPTIONS') t.equal(response.headers.allow, 'GET, HEAD, OPTIONS')
    }
  }
})
