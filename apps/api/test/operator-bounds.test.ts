// What others at the address of an operator do.

import t from 'tap'
import { loneApp } from './lone-app.ts'

t.setTimeout(120_000)

const TOKEN = 'a-token-of-this-test'

t.test('a flood from his address, and a block of it, keep no operator out', async (t) => {
  const app = await loneApp(t, {
    ADMIN_TOKEN: TOKEN,
    RATE_LIMITS_IP: '3/hour',
    ABUSE_MAX_PER_MINUTE: '10',
  })
  const ask = async (method: 'GET' | 'POST' | 'PUT', url: string, payload?: object) => {
    const headers = { authorization: `Bearer ${TOKEN}` }
    const given = payload === undefined ? {} : { payload }
    return app.inject({ method, url, headers, remoteAddress: '203.0.113.7', ...given })
  }
  for (let turn = 0; turn < 12; turn += 1) await ask('GET', '/nothing')
  t.match((await ask('GET', '/nothing')).json(), { error: 'HOLDFAST_ERR_ABUSE_GUARD_BLOCKED' })
  for (const url of [
    '/admin/abuse/blocks',
    '/admin/limits',
    '/admin/lifecycle',
    '/admin/deployment',
    '/admin/log-level',
    '/admin/maintenance',
  ]) {
    for (let turn = 0; turn < 5; turn += 1) t.equal((await ask('GET', url)).statusCode, 200, url)
  }
  t.equal((await ask('POST', '/admin/maintenance/enable', {})).statusCode, 200)
  t.equal((await ask('POST', '/admin/banner', { message: 'closed' })).statusCode, 200)
  t.equal((await ask('POST', '/admin/maintenance/disable', {})).statusCode, 200)
  t.equal((await ask('PUT', '/admin/log-level', { level: 'debug' })).statusCode, 200)
  let limited = 0
  for (let turn = 0; turn < 70; turn += 1) limited = (await ask('GET', '/admin/maintenance')).statusCode
  t.equal(limited, 429, 'there is a limit all the same')
})
