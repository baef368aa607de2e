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
  for (const own of ['often', '', '0/minute', '2/hour shadow', '2/hour strict', '1/hour refill 600/s']) {
    t.throws(() => app.get('/own', { config: { addressLimit: own } }, () => 'done'), {
      code: /^HOLDFAST_ERR_TENANT_RATE_LIMIT_/,
    })
  }
})

t.test('a limit that @fastify/rate-limit cannot keep is refused at the start', async (t) => {
  for (const [limit, message] of [
    ['60/minute shadow', /shadow/],
    ['60/minute strict', /strict/],
    ['1/hour refill 2000/s', /within a millisecond/],
    ['1/hour refill 600/s', /whole milliseconds .* not 1\.67$/],
  ] as const) {
    await t.rejects(setUp(t, limit), { code: 'HOLDFAST_ERR_TENANT_RATE_LIMIT_POLICY', message })
  }
  const { app, from } = await setUp(t, '1/hour refill 1000/s')
  app.get('/common', () => 'done')
  t.equal(await from('192.0.2.1', '/common'), 200)
})

t.test(
  'the common limit can be another one while requests are served, and what was used stays used',
  async (t) => {
    const { app, from } = await setUp(t, '10/hour')
    app.get('/common', () => 'done')
    for (let turn = 0; turn < 5; turn += 1) t.equal(await from('192.0.2.1', '/common'), 200)
    t.throws(() => app.addressLimit.set('4/hour strict'), { code: 'HOLDFAST_ERR_TENANT_RATE_LIMIT_POLICY' })
    t.equal(await from('192.0.2.1', '/common'), 200)
    app.addressLimit.set('100/hour')
    for (let turn = 0; turn < 40; turn += 1) t.equal(await from('192.0.2.1', '/common'), 200)
    t.equal(await from('192.0.2.1', '/common'), 429)
    t.equal(await from('192.0.2.2', '/common'), 200)
  },
)
