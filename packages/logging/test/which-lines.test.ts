import t from 'tap'
import { serviceWith } from './service-with.ts'

t.setTimeout(60_000)

t.test('a level of a route is that of its requests', async (t) => {
  const { app, reader } = await serviceWith(t)
  app.get('/loud', { logLevel: 'debug' }, async (request) => {
    request.log.debug('inside')
    return 'x'
  })
  app.get('/still', { logLevel: 'error' }, async () => 'x')
  await app.inject('/loud')
  await app.inject('/still')
  t.same(
    reader.lines.map(({ msg, route }) => [msg, route]),
    [
      ['inside', undefined],
      ['request completed', '/loud'],
    ],
  )
})

t.test('how loud a line is', async (t) => {
  const { app, reader } = await serviceWith(t, { slowMs: 0 })
  app.get('/slow', async () => 'x')
  app.get('/patient', { config: { logging: { slowMs: 60_000 } } }, async () => 'x')
  app.get('/status/:code', { config: { logging: { slowMs: 60_000 } } }, async (request, reply) =>
    reply.code(Number((request.params as { code: string }).code)).send('x'),
  )
  for (const [url, level] of [
    ['/slow', 40],
    ['/patient', 30],
    ['/status/204', 30],
    ['/status/302', 30],
    ['/status/404', 40],
    ['/status/503', 50],
  ] as const) {
    reader.lines.length = 0
    await app.inject(url)
    t.equal(reader.completions[0]?.['level'], level, url)
    t.equal(reader.completions[0]?.['slow'], url === '/slow' ? true : undefined, url)
  }
})

t.test('what is not worth a line has none, unless it fails', async (t) => {
  const { app, reader, logs } = await serviceWith(t, { sampleSuccess: 0, quietRoutes: ['/quiet'] })
  let status = 200
  const handler = async (_request: unknown, reply: import('fastify').FastifyReply) =>
    reply.code(status).send('x')
  app.get('/probe', { config: { health: 'probe' } as object }, handler)
  app.get('/quiet', handler)
  app.get('/off', { config: { logging: false } }, handler)
  app.get('/unsampled', handler)
  app.get('/sampled', { config: { logging: { sample: 1 } } }, handler)
  const urls = ['/probe', '/quiet', '/off', '/unsampled', '/sampled']
  for (const url of urls) await app.inject(url)
  t.same(
    reader.completions.map(({ route }) => route),
    ['/sampled'],
  )
  t.equal(logs.snapshot().unsampled, 1)
  reader.lines.length = 0
  status = 500
  for (const url of urls) await app.inject(url)
  t.same(
    reader.completions.map(({ route }) => route),
    urls,
  )
})
