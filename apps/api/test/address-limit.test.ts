// Limits of addresses that routes have for themselves.

import { tenantRateLimit } from '@holdfast/tenant-rate-limit'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { addressLimit } from '../src/plugins/address-limit.ts'

async function setUp(t: Test, limit: string, exempt: readonly string[] = []) {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(tenantRateLimit, { policies: { unused: '1/s' } })
  await app.register(addressLimit, { limit, exempt })
  const from = async (remoteAddress: string, url: string, method: 'GET' | 'HEAD' | 'POST' = 'GET') =>
    (await app.inject({ method, url, remoteAddress })).statusCode
  return { app, from }
}

t.test('a route may have a limit of its own, in place of that of all', async (t) => {
  const { app, from } = await setUp(t, '4/hour')
  app.get('/common', () => 'done')
  app.get('/own', { config: { addressLimit: '2/hour' } }, () => 'done')
  app.post('/own', { config: { addressLimit: '3/hour' } }, () => 'done')
  app.get('/free', { config: { addressLimit: false } }, () => 'done')
  t.equal(await from('192.0.2.1', '/own'), 200)
  t.equal(await from('192.0.2.1', '/own', 'HEAD'), 200)
  t.equal(await from('192.0.2.1', '/own'), 429)
  t.equal(await from('192.0.2.1', '/own', 'HEAD'), 429)
  for (const status of [200, 200, 200, 429]) t.equal(await from('192.0.2.1', '/own', 'POST'), status)
  t.equal(await from('192.0.2.2', '/own'), 200, 'each address for itself')
  for (const status of [200, 200, 200, 200, 429]) t.equal(await from('192.0.2.1', '/common'), status)
  for (let turn = 0; turn < 10; turn += 1) t.equal(await from('192.0.2.1', '/free'), 200)
})

t.test('a limit that is none is refused where its route is added', async (t) => {
  const { app } = await setUp(t, '4/hour')
  for (const own of ['often', '', '0/minute']) {
    t.throws(() => app.get('/own', { config: { addressLimit: own } }, () => 'done'), {
      code: /^HOLDFAST_ERR_TENANT_RATE_LIMIT_/,
    })
  }
})
