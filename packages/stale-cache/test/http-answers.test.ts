import { once } from 'node:events'
import { connect } from 'node:http2'
import compress from '@fastify/compress'
import etag from '@fastify/etag'
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import t from 'tap'
import { checkPreconditions, createRepresentation, staleCache } from '../src/index.ts'
import { type ProbedServer, probes } from './http-probes.ts'
import { portOf } from './raw-http.ts'

const body = JSON.stringify({ name: 'Acme', colors: Array.from({ length: 120 }, (_, index) => `#${index}`) })
const contentType = 'application/json; charset=utf-8'

async function listening(app: FastifyInstance): Promise<number> {
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  return portOf(app.server)
}

async function ourServer(options: { compress?: boolean; ownHead?: boolean } = {}): Promise<ProbedServer> {
  const app = Fastify()
  if (options.compress) await app.register(compress, { threshold: 0 })
  await app.register(staleCache)
  const representation = await createRepresentation({ body, contentType })
  const send = (_request: unknown, reply: FastifyReply) => {
    reply.sendRepresentation({ source: 'fresh', ageMs: 1000, ttlMs: 299_000, representation })
  }
  let writes = 0
  if (options.ownHead) app.head('/theme', send)
  app.get('/theme', send)
  app.get('/broken', (_request, reply) => {
    reply.code(500).sendRepresentation(representation)
  })
  app.put('/theme', (request, reply) => {
    const outcome = checkPreconditions(request, representation)
    if (outcome === 'precondition-failed') return reply.code(412).send()
    writes += 1
    return reply.send({ written: true })
  })
  return { port: await listening(app), body, writes: () => writes }
}

/** The same routes as somebody builds them with the two plugins today. */
async function peerServer(): Promise<ProbedServer> {
  const app = Fastify()
  await app.register(compress, { threshold: 0 })
  await app.register(etag)
  let writes = 0
  const send = (_request: unknown, reply: FastifyReply) =>
    reply.type(contentType).header('cache-control', 'public, max-age=300').send(body)
  app.get('/theme', send)
  app.get('/broken', (request, reply) => send(request, reply.code(500)))
  app.put('/theme', (request, reply) => {
    writes += 1
    return send(request, reply)
  })
  return { port: await listening(app), body, writes: () => writes }
}

const servers: readonly (readonly [string, () => Promise<ProbedServer>])[] = [
  ['with the HEAD routes that Fastify makes', () => ourServer()],
  ['with a HEAD route of its own', () => ourServer({ ownHead: true })],
  ['with @fastify/compress registered', () => ourServer({ compress: true })],
]
for (const [name, start] of servers) {
  t.test(`a server that sends representations, ${name}`, async (t) => {
    const server = await start()
    for (const probe of probes) t.test(probe.rule, () => probe.check(server))
  })
}

t.test('@fastify/etag with @fastify/compress breaks each rule that is noted as broken', async (t) => {
  const server = await peerServer()
  const noted = probes.filter((probe) => probe.peerBreaksIt)
  t.ok(noted.length >= 8)
  for (const probe of noted) await t.rejects(probe.check(server), { code: 'ERR_ASSERTION' }, probe.rule)
})

t.test('follows the same rules over HTTP/2', async (t) => {
  const app = Fastify({ http2: true })
  await app.register(staleCache)
  const representation = await createRepresentation({ body, contentType })
  app.get('/theme', (_request, reply) => reply.sendRepresentation(representation))
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  const session = connect(app.listeningOrigin)
  t.teardown(() => session.close())
  const ask = async (headers: Record<string, string>) => {
    const stream = session.request({ ':path': '/theme', ...headers })
    const [head] = await once(stream, 'response')
    return { head, body: Buffer.concat(await stream.toArray()) }
  }
  const full = await ask({ 'accept-encoding': 'br' })
  t.equal(full.head[':status'], 200)
  t.same(full.body, representation.br?.body)
  for (const method of ['GET', 'HEAD']) {
    const short = await ask({
      ':method': method,
      'accept-encoding': 'br',
      'if-none-match': String(full.head.etag),
    })
    t.equal(short.head[':status'], 304)
    t.equal(short.head['content-length'], undefined)
    t.equal(short.head.vary, 'Accept-Encoding')
    t.equal(short.body.byteLength, 0)
  }
})
