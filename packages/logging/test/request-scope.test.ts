// What is written on behalf of a request carries its names, wherever that is.

import { setImmediate } from 'node:timers/promises'
import { waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { serviceWith } from './service-with.ts'

t.setTimeout(60_000)

t.test('what goes on after an answer keeps its names, and not the request', async (t) => {
  const { app, logs, reader } = await serviceWith(t, { user: ({ headers }) => headers['x-user'] as string })
  let later: (() => void) | undefined
  app.get('/', async ({ raw, log }) => {
    later = () => {
      log.info('later')
      const scope = logs.scopeOf(raw)
      t.equal(scope.request, undefined)
      t.equal(scope.reply, undefined)
    }
    return 'x'
  })
  await app.inject({ url: '/?token=canary', headers: { 'x-user': 'u1' } })
  later?.()
  t.match(reader.named('later'), { user_id: 'u1', method: 'GET', path: '/' })
})

t.test('lines carry their request, wherever they are written', async (t) => {
  const { app, reader } = await serviceWith(t, {
    tenant: (request) => (request.headers['x-tenant'] as string | undefined) ?? undefined,
    user: ({ headers }) => {
      if (headers['x-user'] === 'broken') throw new Error('nobody knows')
      return headers['x-user'] as string | undefined
    },
  })
  const repository = async (name: string) => {
    await setImmediate()
    app.log.info(`from the repository, ${name}`)
  }
  app.post('/orders', async (request) => {
    const { name } = request.body as { name: string }
    request.log.info(`from the request, ${name}`)
    await repository(name)
    request.log.child({ part: 'x' }).info(`from a child, ${name}`)
    return 'ok'
  })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const names = Array.from({ length: 50 }, (_, at) => `name-${at}`)
  await Promise.all(
    names.map((name) =>
      fetch(`${url}/orders`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'x-correlation-id': `chain-${name}`,
          'x-tenant': 'acme',
          'x-user': name,
        },
        body: JSON.stringify({ name }),
      }).then((answer) => answer.text()),
    ),
  )
  await waitUntil(() => reader.completions.length === names.length)
  for (const name of names) {
    const own = reader.lines.filter(({ correlation_id }) => correlation_id === `chain-${name}`)
    t.same(own.map(({ msg }) => msg).toSorted(), [
      `from a child, ${name}`,
      `from the repository, ${name}`,
      `from the request, ${name}`,
      'request completed',
    ])
    for (const line of own) t.match(line, { tenant: 'acme', user_id: name, method: 'POST', path: '/orders' })
    t.equal(new Set(own.map(({ request_id }) => request_id)).size, 1)
  }
  reader.lines.length = 0
  app.log.info('outside')
  t.same(Object.keys(reader.lines[0] ?? {}), ['level', 'time', 'msg'])

  await app.inject({ url: '/nowhere', headers: { 'x-user': 'broken' } })
  t.equal(reader.completions[0]?.['user_id'], undefined, 'who cannot be known is not told')
})

t.test('a trace goes on, and what is asked elsewhere belongs to it', async (t) => {
  const { app, reader } = await serviceWith(t)
  app.get('/', async () => app.logging.outgoing())
  const traceId = '0af7651916cd43dd8448eb211c80319c'
  const headers = {
    traceparent: `00-${traceId}-b7ad6b7169203331-01`,
    tracestate: 'rojo=1',
    'x-correlation-id': 'shop-000042',
  }
  const outgoing = (await app.inject({ url: '/', headers })).json()
  const [line] = reader.completions
  t.equal(line?.['trace_id'], traceId)
  t.match(line?.['span_id'], /^(?!b7ad6b7169203331)[0-9a-f]{16}$/)
  t.same(outgoing, {
    'x-correlation-id': 'shop-000042',
    traceparent: `00-${traceId}-${line?.['span_id']}-01`,
    tracestate: 'rojo=1',
  })
  t.same(app.logging.outgoing(), {}, 'outside of requests')
  const bare = (await app.inject('/')).json()
  t.same(Object.keys(bare), ['x-correlation-id'])
})

t.test('a job goes on under the ids of whoever asked for it', async (t) => {
  const { app, reader } = await serviceWith(t)
  app.get('/', async () => ({ ...app.logging.carrier(), job: 'settle', tenant: 'acme', userId: 'u1' }))
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`
  const payload = (
    await app.inject({ url: '/', headers: { 'x-correlation-id': 'shop-000042', traceparent } })
  ).json()
  reader.lines.length = 0
  await app.logging.run(payload, async () => {
    await setImmediate()
    app.log.info({ bet: 7 }, 'settled')
    t.equal(app.logging.correlationId, 'shop-000042')
    t.match(app.logging.outgoing(), { 'x-correlation-id': 'shop-000042', traceparent: /^00-a{32}-/ })
  })
  t.match(reader.lines, [
    {
      correlation_id: 'shop-000042',
      trace_id: 'a'.repeat(32),
      job: 'settle',
      tenant: 'acme',
      user_id: 'u1',
      bet: 7,
      msg: 'settled',
    },
  ])
  app.logging.run({ correlationId: 'no good' }, () => app.log.info('mended'))
  t.match(reader.lines[1]?.['correlation_id'], /^[0-9a-f-]{36}$/)
})
