import { once } from 'node:events'
import { connect } from 'node:net'
import { Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import t from 'tap'
import singleflight, { type SingleflightPluginOptions, singleflight as named } from '../src/index.ts'

type Handler = (request: FastifyRequest, reply: FastifyReply) => unknown

/** An app with one coalesced route `/prices` whose handler can be held back, and a count of its runs. */
async function priceApp(handler: Handler, options: SingleflightPluginOptions & { shared?: boolean } = {}) {
  const { shared = false, ...pluginOptions } = options
  const app = Fastify()
  await app.register(singleflight, pluginOptions)
  const gate = Promise.withResolvers<void>()
  const seen = { runs: 0, app, open: gate.resolve, gate: gate.promise }
  const key = (request: FastifyRequest) => ['prices', (request.query as { market?: string }).market]
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-correlation-id', request.id)
  })
  app.get('/prices', { config: { singleflight: { key, shared } } }, (request, reply) => {
    seen.runs += 1
    return handler(request, reply)
  })
  return seen
}

/** Sends `count` requests, lets them all arrive, and then opens the gate. */
async function herd(
  seen: { app: FastifyInstance; open: () => void },
  count: number,
  request: { url?: string; method?: 'GET' | 'HEAD'; headers?: Record<string, string> } = {},
) {
  const sent = Array.from({ length: count }, () => seen.app.inject({ url: '/prices', ...request }))
  for (let turns = 0; turns < 20; turns++) await turn()
  seen.open()
  return Promise.all(sent)
}

t.test('the plugin is exported by default and by name', async (t) => {
  t.equal(singleflight, named)
  const app = Fastify()
  await app.register(singleflight)
  t.equal(await app.singleflight.run(['a'], () => 1), 1)
  await app.close()
  await t.rejects(app.singleflight.run(['a'], () => 1), { code: 'HOLDFAST_ERR_SINGLEFLIGHT_CLOSED' })
})

t.test('fifty equal requests run the handler once and all get its status, headers and body', async (t) => {
  const seen = await priceApp(async (_request, reply) => {
    await seen.gate
    reply.code(203).header('x-source', 'db').header('cache-control', 'max-age=1')
    return { price: 42 }
  })
  const answers = await herd(seen, 50)
  t.equal(seen.runs, 1)
  for (const answer of answers) {
    t.equal(answer.statusCode, 203)
    t.equal(answer.headers['x-source'], 'db')
    t.equal(answer.headers['content-type'], 'application/json; charset=utf-8')
    t.equal(answer.body, '{"price":42}')
  }
  t.equal(new Set(answers.map((answer) => answer.headers['x-correlation-id'])).size, 50, 'each keeps its own id')
  t.match(seen.app.singleflight.responses.snapshot(), { executions: 1, joined: 49, replayed: 49, inFlight: 0 })
})
