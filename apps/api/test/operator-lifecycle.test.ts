// Taking an instance out of rotation, and back.

import { startPostgres } from '@holdfast/test-kit'
import t from 'tap'
import { ServiceApp } from './service-app.ts'
import { readiness } from './service-process.ts'

t.setTimeout(120_000)

const ADMIN_TOKEN = 'a-token-for-operators-of-tests'

t.test('an operator cordons an instance and lifts that; nobody else does', async (t) => {
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  const service = await ServiceApp.start(t, { DATABASE_URL: postgres.directUrl, ADMIN_TOKEN })
  const ask = async (method: string, path: string, body?: object, token = ADMIN_TOKEN) => {
    const answer = await fetch(`${service.url}/admin/lifecycle${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body && { 'content-type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
    })
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
  }
  const reason = { reason: 'a look at its memory' }
  t.match(await ask('GET', '', undefined, 'wrong'), { status: 401 })
  t.match(await ask('POST', '/cordon', reason, 'wrong'), { status: 401 })
  t.match(await ask('POST', '/uncordon', undefined, 'wrong'), { status: 401 })
  t.match(await ask('POST', '/cordon', {}, 'wrong'), { status: 401 }, 'nor is he told what is wrong with it')
  t.match(await ask('POST', '/cordon', {}), { status: 400 })
  t.match(await ask('POST', '/cordon', { reason: 'x'.repeat(201) }), { status: 400 })
  t.match(await ask('GET', ''), { status: 200, body: { state: 'serving', cordon: null } })
  t.equal((await readiness(service.url)).code, 200)

  t.match(await ask('POST', '/cordon', reason), {
    status: 200,
    body: { state: 'cordoned', cordon: { ...reason, for_ms: Number } },
  })
  t.equal((await readiness(service.url)).code, 503)
  const theme = await fetch(`${service.url}/acme/api/public/load-theme`)
  t.match([theme.status, theme.headers.get('connection')], [200, 'close'])
  t.match(await ask('POST', '/uncordon'), { status: 200, body: { state: 'serving', cordon: null } })
  t.equal((await readiness(service.url)).code, 200)

  const { fastify } = service.app
  const ended = fastify.lifecycle.stop('a test', { hold: false })
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}` }
  const late = await fastify.inject({
    method: 'POST',
    url: '/admin/lifecycle/cordon',
    headers,
    payload: reason,
  })
  t.match([late.statusCode, late.json().error], [409, 'HOLDFAST_ERR_API_STOPPING'])
  void ended
})
