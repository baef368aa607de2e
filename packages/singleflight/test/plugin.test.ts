import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import { connect } from 'node:net'
import { Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { HandClock, QueryBuilder, waitUntil } from '@holdfast/test-kit'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import t from 'tap'
import singleflight, { singleflight as named, type SingleflightPluginOptions } from '../src/index.ts'

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
  await t.rejects(
    app.singleflight.run(['a'], () => 1),
    { code: 'HOLDFAST_ERR_SINGLEFLIGHT_CLOSED' },
  )
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
  t.equal(
    new Set(answers.map((answer) => answer.headers['x-correlation-id'])).size,
    50,
    'each keeps its own id',
  )
  t.match(seen.app.singleflight.responses.snapshot(), {
    executions: 1,
    joined: 49,
    replayed: 49,
    inFlight: 0,
  })
})

t.test('errors are one execution, and each request has its own error reply', async (t) => {
  const seen = await priceApp(async (_request, reply) => {
    await seen.gate
    reply.header('x-source', 'db')
    throw Object.assign(new Error('no such market'), { statusCode: 404, code: 'NO_MARKET' })
  })
  const logged: unknown[] = []
  seen.app.setErrorHandler((error, request, reply) => {
    logged.push(error)
    const { code, statusCode } = error as { code?: string; statusCode?: number }
    return reply.code(statusCode ?? 500).send({ code, id: request.id })
  })
  const answers = await herd(seen, 50)
  t.equal(seen.runs, 1)
  t.ok(answers.every((answer) => answer.statusCode === 404 && answer.json().code === 'NO_MARKET'))
  t.ok(answers.every((answer) => answer.headers['x-source'] === 'db'))
  t.equal(new Set(answers.map((answer) => answer.json().id)).size, 50)
  t.equal(new Set(logged).size, 50, 'nobody mutates the error of another')
})

t.test('the default error handler answers followers with the status of the error', async (t) => {
  for (const [thrown, status] of [
    [Object.assign(new Error('x'), { statusCode: 404 }), 404],
    [new Error('x'), 500],
  ] as const) {
    const seen = await priceApp(async () => {
      await seen.gate
      throw thrown
    })
    t.ok((await herd(seen, 5)).every((answer) => answer.statusCode === status))
    t.equal(seen.runs, 1)
  }
})

t.test('a cookie added to those of a hook keeps the answer with its client', async (t) => {
  const seen = await priceApp(async (_request, reply) => {
    await seen.gate
    reply.header('set-cookie', 'c=3')
    return 'ok'
  })
  seen.app.addHook('onRequest', async (_request, reply) => {
    reply.header('set-cookie', 'a=1').header('set-cookie', 'b=2')
  })
  const answers = await herd(seen, 3)
  t.equal(seen.runs, 3)
  t.ok(answers.every((answer) => answer.headers['set-cookie']?.length === 3))
})

t.test('a handler that throws at once or sends an error is shared like any other error', async (t) => {
  const throws = await priceApp(() => {
    throw Object.assign(new Error('at once'), { statusCode: 418 })
  })
  t.equal((await throws.app.inject('/prices')).statusCode, 418)
  const sends = await priceApp((_request, reply) => {
    sends.gate.then(() => reply.code(409).send(new Error('sent')))
  })
  const answers = await herd(sends, 5)
  t.equal(sends.runs, 1)
  t.ok(answers.every((answer) => answer.statusCode === 409 && answer.json().message === 'sent'))
})

t.test('with copyErrors: false the error handlers see one error', async (t) => {
  const seen = await priceApp(
    async () => {
      await seen.gate
      throw new Error('same')
    },
    { copyErrors: false },
  )
  const logged = new Set<unknown>()
  seen.app.setErrorHandler((error, _request, reply) => {
    logged.add(error)
    return reply.code(500).send('down')
  })
  await herd(seen, 5)
  t.equal(logged.size, 1)
})

for (const [name, body, type] of [
  ['a string', 'hello', 'text/plain; charset=utf-8'],
  ['a Buffer', Buffer.from('bytes'), 'application/octet-stream'],
  ['an empty body', undefined, undefined],
  ['null', null, 'application/json; charset=utf-8'],
  ['a number', 42, 'application/json; charset=utf-8'],
] as const) {
  t.test(`${name} is shared, whether returned or sent`, async (t) => {
    for (const style of ['returned', 'sent']) {
      const seen = await priceApp(async (_request, reply) => {
        await seen.gate
        return style === 'sent' ? reply.send(body) : body
      })
      const answers = await herd(seen, 5)
      t.equal(seen.runs, 1)
      for (const answer of answers) {
        t.equal(answer.body, body === undefined ? '' : String(body))
        t.equal(answer.headers['content-type'], type)
      }
    }
  })
}

t.test('preSerialization runs once and serialization keeps to the response schema', async (t) => {
  const app = Fastify()
  await app.register(singleflight)
  let enveloped = 0
  app.addHook('preSerialization', async (_request, _reply, payload) => {
    enveloped += 1
    return { data: payload, secret: 'stripped by the schema' }
  })
  const schema = {
    type: 'object',
    properties: { data: { type: 'object', properties: { n: { type: 'number' } } } },
  }
  const gate = Promise.withResolvers<void>()
  const options = { config: { singleflight: { key: () => ['n'] } }, schema: { response: { '2xx': schema } } }
  app.get('/prices', options, async () => {
    await gate.promise
    return { n: 1, hidden: 2 }
  })
  const answers = await herd({ app, open: gate.resolve }, 5)
  t.ok(answers.every((answer) => answer.body === '{"data":{"n":1}}'))
  t.equal(enveloped, 1)
})

t.test('onSend hooks run for each request', async (t) => {
  const seen = await priceApp(async () => {
    await seen.gate
    return { n: 1 }
  })
  seen.app.addHook('onSend', async (request, reply, payload) => {
    reply.header('x-tag', `"${request.id}"`)
    return payload
  })
  const answers = await herd(seen, 5)
  t.equal(new Set(answers.map((answer) => answer.headers['x-tag'])).size, 5)
})

t.test(
  'per-request headers that the handler sets stay with the leader, removed headers are removed for all',
  async (t) => {
    const seen = await priceApp(
      async (_request, reply) => {
        await seen.gate
        reply.header('x-request-id', 'leader').header('x-shard', '7').header('x-source', 'db')
        reply.removeHeader('x-correlation-id')
        reply.removeHeader('x-debug')
        return 'ok'
      },
      { perRequestHeaders: ['X-Shard'] },
    )
    seen.app.addHook('onRequest', async (_request, reply) => {
      reply.header('x-debug', 'on')
    })
    const answers = await herd(seen, 5)
    t.equal(answers.filter((answer) => answer.headers['x-request-id'] === 'leader').length, 1)
    t.equal(answers.filter((answer) => answer.headers['x-shard'] === '7').length, 1)
    t.ok(
      answers.every(
        (answer) => answer.headers['x-source'] === 'db' && answer.headers['x-debug'] === undefined,
      ),
    )
  },
)

const unshareable: Record<string, Handler> = {
  'sets a cookie': async (_request, reply) => reply.header('set-cookie', 'id=1').send('ok'),
  'says Vary: *': async (_request, reply) => reply.header('vary', 'Accept, *').send('ok'),
  'says Cache-Control: private': async (_request, reply) =>
    reply.header('cache-control', 'private, max-age=1').send('ok'),
  'says Cache-Control: no-store': async (_request, reply) =>
    reply.header('cache-control', 'max-age=0, no-store').send('ok'),
  'allows one origin without Vary: Origin': async (_request, reply) =>
    reply.header('access-control-allow-origin', 'https://a.example').send('ok'),
  'sends a stream': async (_request, reply) => reply.send(Readable.from(['o', 'k'])),
  'sends a web stream': async (_request, reply) => reply.send(new Blob(['ok']).stream()),
  'sends a Response': async () => new Response('ok'),
  'hijacks the reply': async (_request, reply) => {
    reply.hijack()
    reply.raw.end('ok')
  },
  'writes to reply.raw without hijacking': (_request, reply) => {
    reply.raw.write('o')
    reply.raw.end('k')
  },
  'uses a serializer of its own': async (_request, reply) => reply.serializer(() => 'ok').send({ n: 1 }),
  'sends trailers': async (_request, reply) => {
    reply.trailer('x-sum', async () => 'sum')
    return 'ok'
  },
}
for (const [what, handler] of Object.entries(unshareable)) {
  t.test(`when the handler ${what}, everybody runs it for itself and nobody hangs`, async (t) => {
    const seen = await priceApp(async (request, reply) => {
      await seen.gate
      return handler(request, reply)
    })
    const answers = await herd(seen, 5)
    t.equal(seen.runs, 5)
    t.ok(answers.every((answer) => answer.statusCode === 200 && answer.body === 'ok'))
    t.match(seen.app.singleflight.responses.snapshot(), {
      executions: 1,
      joined: 4,
      ranAlone: 4,
      replayed: 0,
    })
  })
}

for (const [name, value] of [
  ['cache-control', 'private'],
  ['cache-control', 'no-store'],
  ['access-control-allow-origin', 'https://a.example'],
] as const) {
  t.test(`${name}: ${value} is shared where the route vouches for it`, async (t) => {
    const seen = await priceApp(
      async (_request, reply) => {
        await seen.gate
        return reply.header(name, value).send('ok')
      },
      { shared: true },
    )
    const answers = await herd(seen, 5)
    t.equal(seen.runs, 1)
    t.ok(answers.every((answer) => answer.headers[name] === value))
  })
}

t.test('an answer that allows every origin is shared', async (t) => {
  const seen = await priceApp(async (_request, reply) => {
    await seen.gate
    return reply.header('access-control-allow-origin', '*').send('ok')
  })
  const answers = await herd(seen, 5)
  t.equal(seen.runs, 1)
  t.ok(answers.every((answer) => answer.headers['access-control-allow-origin'] === '*'))
})

for (const varies of ['handler', 'hook'] as const) {
  t.test(
    `an origin allowed by the handler, with Vary from the ${varies}, reaches its own pages`,
    async (t) => {
      const seen = await priceApp(async (request, reply) => {
        await seen.gate
        reply.header('access-control-allow-origin', request.headers.origin)
        if (varies === 'handler') reply.header('vary', 'Origin')
        return 'ok'
      })
      seen.app.addHook('onRequest', async (_request, reply) => {
        if (varies === 'hook') reply.header('vary', 'Origin')
      })
      const origins = ['https://a.example', 'https://a.example', 'https://b.example']
      const sent = origins.map((origin) => seen.app.inject({ url: '/prices', headers: { origin } }))
      for (let turns = 0; turns < 20; turns++) await turn()
      seen.open()
      const answers = await Promise.all(sent)
      t.strictSame(
        answers.map((answer) => answer.headers['access-control-allow-origin']),
        origins,
      )
      t.equal(seen.runs, 2)
    },
  )
}

t.test("a header that is absent does not equal the text 'undefined'", async (t) => {
  const seen = await priceApp(async (request, reply) => {
    await seen.gate
    reply.header('vary', 'X-Shop').header('x-note', 'undefined')
    return typeof request.headers['x-shop']
  })
  const sent = [{}, { 'x-shop': 'undefined' }, {}].map((headers) =>
    seen.app.inject({ url: '/prices', headers }),
  )
  for (let turns = 0; turns < 20; turns++) await turn()
  seen.open()
  const answers = await Promise.all(sent)
  t.strictSame(
    answers.map((answer) => answer.body),
    ['undefined', 'string', 'undefined'],
  )
  t.ok(answers.every((answer) => answer.headers['x-note'] === 'undefined'))
  t.equal(seen.runs, 2)
})

t.test('an error that sets a cookie is for its own client alone', async (t) => {
  const seen = await priceApp(async (_request, reply) => {
    await seen.gate
    reply.header('set-cookie', 'attempt=1')
    throw new Error('down')
  })
  await herd(seen, 3)
  t.equal(seen.runs, 3)
})

t.test('an answer is shared only with requests that equal the leader in what Vary names', async (t) => {
  const seen = await priceApp(async (request, reply) => {
    await seen.gate
    reply.header('vary', 'Accept-Language')
    return request.headers['accept-language'] ?? 'none'
  })
  const languages = ['de', 'de', 'en', 'de', undefined]
  const sent = languages.map((language) =>
    seen.app.inject({
      url: '/prices',
      headers: language === undefined ? {} : { 'accept-language': language },
    }),
  )
  for (let turns = 0; turns < 20; turns++) await turn()
  seen.open()
  const bodies = (await Promise.all(sent)).map((answer) => answer.body)
  t.strictSame(bodies, ['de', 'de', 'en', 'de', 'none'])
  t.equal(seen.runs, 3)
})

t.test('what an earlier hook named in Vary does not keep answers apart', async (t) => {
  const seen = await priceApp(async (_request, reply) => {
    await seen.gate
    reply.header('vary', 'Origin, Accept')
    return 'ok'
  })
  seen.app.addHook('onRequest', async (_request, reply) => {
    reply.header('vary', 'Origin')
  })
  const sent = ['https://a.example', 'https://b.example'].map((origin) =>
    seen.app.inject({ url: '/prices', headers: { origin } }),
  )
  for (let turns = 0; turns < 20; turns++) await turn()
  seen.open()
  await Promise.all(sent)
  t.equal(seen.runs, 1)
})

t.test('a 304 is shared only among requests with the same conditions', async (t) => {
  const seen = await priceApp(async (request, reply) => {
    await seen.gate
    if (request.headers['if-none-match'] === '"1"') return reply.code(304).send()
    return 'body'
  })
  const sent = [{ 'if-none-match': '"1"' }, { 'if-none-match': '"1"' }, {}, {}].map((headers) =>
    seen.app.inject({ url: '/prices', headers }),
  )
  for (let turns = 0; turns < 20; turns++) await turn()
  seen.open()
  const answers = await Promise.all(sent)
  t.strictSame(
    answers.map((answer) => answer.statusCode),
    [304, 304, 200, 200],
  )
  t.equal(seen.runs, 2)
})

for (const header of ['authorization', 'cookie']) {
  t.test(`requests with ${header} run on their own unless the route says shared`, async (t) => {
    const alone = await priceApp(async (request) => {
      await alone.gate
      return String(request.headers[header])
    })
    const bodies = await Promise.all(
      ['a', 'b'].map(async (who) => (await herd(alone, 1, { headers: { [header]: who } }))[0]?.body),
    )
    t.strictSame(bodies, ['a', 'b'])
    t.match(alone.app.singleflight.responses.snapshot(), { bypassed: 2, executions: 0 })
    const shared = await priceApp(
      async (_request, reply) => {
        await shared.gate
        return reply.header('cache-control', 'private').send('the same for all')
      },
      { shared: true },
    )
    await herd(shared, 5, { headers: { [header]: 'a' } })
    t.equal(shared.runs, 1)
  })
}

t.test('different keys, routes and methods are different flights', async (t) => {
  const seen = await priceApp(async () => {
    await seen.gate
    return 'ok'
  })
  const sent = [
    { url: '/prices?market=a' },
    { url: '/prices?market=b' },
    { url: '/prices?market=a', method: 'HEAD' as const },
    { url: '/prices?market=a' },
  ].map((request) => seen.app.inject(request))
  for (let turns = 0; turns < 20; turns++) await turn()
  seen.open()
  const [get, , head] = await Promise.all(sent)
  t.equal(seen.runs, 3)
  t.equal(get?.body, 'ok')
  t.equal(head?.body, '')
  t.equal(head?.headers['content-length'], '2')
})

t.test('fifty equal HEAD requests run the handler once', async (t) => {
  const seen = await priceApp(async () => {
    await seen.gate
    return { n: 1 }
  })
  const answers = await herd(seen, 50, { method: 'HEAD' })
  t.equal(seen.runs, 1)
  t.ok(answers.every((answer) => answer.headers['content-length'] === '7' && answer.body === ''))
})

t.test('a key of false lets the request run on its own', async (t) => {
  const app = Fastify()
  await app.register(singleflight)
  let runs = 0
  app.get('/prices', { config: { singleflight: { key: () => false } } }, async () => ++runs)
  await Promise.all([app.inject('/prices'), app.inject('/prices')])
  t.equal(runs, 2)
  t.equal(app.singleflight.responses.snapshot().bypassed, 2)
})

t.test('a request whose key is too long runs on its own instead of failing', async (t) => {
  const seen = await priceApp(async () => 'ok')
  const long = 'x'.repeat(5000)
  t.equal((await seen.app.inject(`/prices?market=${long}`)).statusCode, 200)
  t.equal((await seen.app.inject({ url: '/prices', headers: { 'if-none-match': long } })).statusCode, 200)
  t.equal(seen.app.singleflight.responses.snapshot().bypassed, 2)
})

t.test('routes without the option, or with false, are left alone', async (t) => {
  const app = Fastify()
  await app.register(singleflight)
  const handler = async () => 'ok'
  app.addHook('onRoute', (route) => {
    t.equal(route.handler, handler)
  })
  app.post('/plain', handler)
  app.post('/off', { config: { singleflight: false } }, handler)
  t.equal((await app.inject({ url: '/off', method: 'POST' })).body, 'ok')
})

for (const [what, key, message] of [
  [
    'throws',
    () => {
      throw new Error('throwsOnPurpose')
    },
    /throwsOnPurpose/,
  ],
  ['returns no array', () => 'prices', /the key is no array/],
  ['forgets to return', () => undefined, /the key is no array/],
  ['returns an object part', () => [{ a: 1 }], /part 0 has no canonical form/],
] as [string, never, RegExp][]) {
  t.test(`a key function that ${what} is a 500 that names the route`, async (t) => {
    const app = Fastify()
    await app.register(singleflight)
    app.get('/prices', { config: { singleflight: { key } } }, async () => 'ok')
    let caught: unknown
    app.setErrorHandler((error, _request, reply) => {
      caught = error
      return reply.code(500).send('failed')
    })
    t.equal((await app.inject('/prices')).statusCode, 500)
    t.match(caught, {
      code: 'HOLDFAST_ERR_SINGLEFLIGHT_KEY_FUNCTION_FAILED',
      message: /GET \/prices/,
      cause: { message },
    })
  })
}

for (const [what, method] of [
  ['POST', 'POST'],
  ['GET and POST together', ['GET', 'POST']],
] as const) {
  t.test(`the option on ${what} fails when the route is registered`, async (t) => {
    const app = Fastify()
    await app.register(singleflight)
    const config = { singleflight: { key: () => ['x'] } }
    t.throws(() => app.route({ method: method as 'POST', url: '/x', config, handler: async () => 'ok' }), {
      code: 'HOLDFAST_ERR_SINGLEFLIGHT_UNSAFE_METHOD',
    })
  })
}

t.test('wrong options fail at registration', async (t) => {
  const code = 'HOLDFAST_ERR_SINGLEFLIGHT_INVALID_OPTION'
  for (const options of [{ maxFlights: 0 }, { perRequestHeaders: 'x' }, { perRequestHeaders: [1] }]) {
    await t.rejects(async () => Fastify().register(singleflight, options as SingleflightPluginOptions), {
      code,
    })
  }
  const app = Fastify()
  await app.register(singleflight)
  for (const setting of [true, null, {}, { key: 'x' }, { key: () => [], shared: 1 }]) {
    t.throws(() => app.get('/x', { config: { singleflight: setting as never } }, async () => 1), { code })
  }
})

t.test('an unknown option is refused with the names that are accepted', async (t) => {
  const code = 'HOLDFAST_ERR_SINGLEFLIGHT_INVALID_OPTION'
  const mistyped = { hardTimeoutMS: 5 } as SingleflightPluginOptions
  await t.rejects(async () => Fastify().register(singleflight, mistyped), {
    code,
    message:
      /"hardTimeoutMS" must be left out .*hardTimeoutMs, .*registry, appName, perRequestHeaders\), received 5$/,
  })
  const app = Fastify()
  await app.register(singleflight)
  const setting = { key: () => ['x'], share: true }
  t.throws(() => app.get('/x', { config: { singleflight: setting } }, async () => 1), {
    code,
    message: /GET \/x: share" must be left out \(accepted: key, shared\), received true$/,
  })
})

t.test(
  'the plugin is refused inside a scope that has it, and works in scopes beside each other',
  async (t) => {
    const code = 'HOLDFAST_ERR_SINGLEFLIGHT_ALREADY_REGISTERED'
    const app = Fastify()
    await app.register(singleflight)
    await t.rejects(async () => app.register(singleflight), { code })
    const outer = Fastify()
    await outer.register(singleflight)
    outer.register(async (inner) => {
      await inner.register(singleflight)
    })
    await t.rejects(async () => outer.ready(), { code })
    const beside = Fastify()
    let runs = 0
    for (const prefix of ['/a', '/b']) {
      await beside.register(
        async (scope) => {
          await scope.register(singleflight)
          scope.get('/prices', { config: { singleflight: { key: () => ['x'] } } }, async () => {
            runs += 1
            await turn()
            return prefix
          })
        },
        { prefix },
      )
    }
    const urls = ['/a/prices', '/b/prices', '/a/prices', '/b/prices']
    const answers = await Promise.all(urls.map((url) => beside.inject(url)))
    t.strictSame(
      answers.map((answer) => answer.body),
      ['/a', '/b', '/a', '/b'],
    )
    t.equal(runs, 2)
  },
)

t.test('a schema per content type is left to Fastify: everybody runs alone', async (t) => {
  const app = Fastify()
  await app.register(singleflight)
  const schema = { type: 'object', properties: { n: { type: 'number' } } }
  const response = { 200: { content: { 'application/json': { schema } } } }
  const gate = Promise.withResolvers<void>()
  app.get('/prices', { config: { singleflight: { key: () => ['x'] } }, schema: { response } }, async () => {
    await gate.promise
    return { n: 1, hidden: 2 }
  })
  const answers = await herd({ app, open: gate.resolve }, 3)
  t.ok(answers.every((answer) => answer.body === '{"n":1}'))
  t.equal(app.singleflight.responses.snapshot().ranAlone, 2)
})

t.test(
  'a body that cannot be serialized, or a hook that fails, is an error for each on its own',
  async (t) => {
    const seen = await priceApp(async () => {
      await seen.gate
      return { n: 1n }
    })
    t.ok((await herd(seen, 3)).every((answer) => answer.statusCode === 500))
    t.equal(seen.runs, 3)
    const hooked = await priceApp(async () => {
      await hooked.gate
      return { n: 1 }
    })
    hooked.app.addHook('preSerialization', async () => {
      throw new Error('hook failed')
    })
    t.ok((await herd(hooked, 3)).every((answer) => answer.statusCode === 500))
    t.equal(hooked.runs, 3)
  },
)

t.test('a hook that fails for the leader after its answer was taken does not reach the others', async (t) => {
  const seen = await priceApp(async () => {
    await seen.gate
    return 'ok'
  })
  let sent = 0
  seen.app.addHook('onSend', async () => {
    sent += 1
    if (sent === 1) throw new Error('only once')
  })
  const statuses = (await herd(seen, 4)).map((answer) => answer.statusCode)
  t.strictSame(statuses.sort(), [200, 200, 200, 500])
})

t.test('the handler runs in the context of its own request, and the others keep theirs', async (t) => {
  const store = new AsyncLocalStorage<string>()
  const app = Fastify()
  await app.register(singleflight)
  app.addHook('onRequest', (request, _reply, done) => store.run(request.id, done))
  app.addHook('onSend', async (_request, reply) => {
    reply.header('x-context', String(store.getStore()))
  })
  const gate = Promise.withResolvers<void>()
  app.get('/prices', { config: { singleflight: { key: () => ['x'] } } }, async (request) => {
    await gate.promise
    return store.getStore() === request.id ? 'own context' : 'foreign context'
  })
  const answers = await herd({ app, open: gate.resolve }, 5)
  t.ok(answers.every((answer) => answer.body === 'own context'))
  t.equal(new Set(answers.map((answer) => answer.headers['x-context'])).size, 5)
})

t.test('too many waiters, or a handler that takes too long, is a coded error with a hint', async (t) => {
  const clock = new HandClock()
  const seen = await priceApp(
    async () => {
      await seen.gate
      return 'late'
    },
    { maxWaiters: 2, hardTimeoutMs: 100, clock },
  )
  const sent = [0, 1, 2].map(() => seen.app.inject('/prices'))
  for (let turns = 0; turns < 20; turns++) await turn()
  const full = await sent[2]
  t.equal(full?.statusCode, 503)
  t.equal(full?.headers['retry-after'], '1')
  t.equal(full?.json().code, 'HOLDFAST_ERR_SINGLEFLIGHT_WAITERS_FULL')
  await clock.advance(100)
  t.equal((await sent[1])?.json().code, 'HOLDFAST_ERR_SINGLEFLIGHT_FLIGHT_TIMEOUT')
  t.equal((await sent[1])?.statusCode, 504)
  seen.open()
  t.equal((await sent[0])?.body, 'late', 'the leader answers whenever its handler does')
})

/** Sends a request on a socket of its own; `answer` is everything received. */
function client(port: number) {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write('GET /prices HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  return { socket, answer: once(socket, 'close').then(() => text) }
}

async function listening(handler: Handler, options: SingleflightPluginOptions = {}) {
  const seen = await priceApp(handler, options)
  t.teardown(() => seen.app.close())
  await seen.app.listen({ port: 0, host: '127.0.0.1' })
  const address = seen.app.server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return Object.assign(seen, {
    port: address.port,
    snapshot: () => seen.app.singleflight.responses.snapshot(),
  })
}

t.test("when the leader's client goes away the others still get its answer", async (t) => {
  const seen = await listening(async () => {
    await seen.gate
    return 'for the others'
  })
  const leader = client(seen.port)
  await waitUntil(() => seen.runs === 1)
  const others = [client(seen.port), client(seen.port)]
  await waitUntil(() => seen.snapshot().joined === 2)
  leader.socket.destroy()
  await turn()
  seen.open()
  for (const { answer } of others) t.match(await answer, /200 OK.*for the others/s)
  t.equal(seen.runs, 1)
})

t.test("when the handler fails because the leader's client went away, exactly one other leads", async (t) => {
  const seen = await listening(async (request) => {
    if (seen.runs === 1) {
      await once(request.signal, 'abort')
      throw new Error('stopped with its client')
    }
    await seen.gate
    return 'second run'
  })
  const leader = client(seen.port)
  await waitUntil(() => seen.runs === 1)
  const others = [client(seen.port), client(seen.port), client(seen.port)]
  await waitUntil(() => seen.snapshot().joined === 3)
  leader.socket.destroy()
  await waitUntil(() => seen.runs === 2)
  seen.open()
  for (const { answer } of others) t.match(await answer, /200 OK.*second run/s)
  t.equal(seen.runs, 2)
  t.match(seen.snapshot(), { takenOver: 1, replayed: 2 })
})

t.test('when the handler returns nothing to a client that has gone, another leads', async (t) => {
  const seen = await listening(async (request) => {
    if (seen.runs > 1) return 'second run'
    await once(request.signal, 'abort')
    return undefined
  })
  const leader = client(seen.port)
  await waitUntil(() => seen.runs === 1)
  const other = client(seen.port)
  await waitUntil(() => seen.snapshot().joined === 1)
  leader.socket.destroy()
  t.match(await other.answer, /200 OK.*second run/s)
})

t.test('a follower whose client goes away leaves alone', async (t) => {
  const seen = await listening(async () => {
    await seen.gate
    return 'ok'
  })
  const leader = client(seen.port)
  await waitUntil(() => seen.runs === 1)
  const follower = client(seen.port)
  await waitUntil(() => seen.snapshot().waiters === 2)
  follower.socket.destroy()
  await waitUntil(() => seen.snapshot().waiters === 1)
  seen.open()
  t.match(await leader.answer, /200 OK/)
})

t.test('a raw stream that never ends does not hold the others', async (t) => {
  const seen = await listening(async (_request, reply) => {
    reply.raw.writeHead(200, { 'content-type': 'text/event-stream' })
    reply.raw.write('data: 1\n\n')
    await seen.gate
    reply.raw.end()
  })
  const clients = [client(seen.port), client(seen.port), client(seen.port)]
  await waitUntil(() => seen.runs === 3)
  seen.open()
  for (const { answer } of clients) t.match(await answer, /data: 1/)
})

t.test('closing the server lets requests in flight finish, leader and followers', async (t) => {
  const seen = await listening(async () => {
    await seen.gate
    return 'finished'
  })
  const clients = [client(seen.port), client(seen.port)]
  await waitUntil(() => seen.snapshot().waiters === 2)
  const closed = seen.app.close()
  await waitUntil(() => !seen.app.server.listening)
  t.equal(seen.snapshot().closed, false)
  seen.open()
  for (const { answer } of clients) t.match(await answer, /200 OK.*finished/s)
  await closed
  t.equal(seen.snapshot().closed, true)
})

t.test("what the leader's error handler writes into its error does not reach the others", async (t) => {
  const seen = await priceApp(async () => {
    await seen.gate
    throw new Error('failed')
  })
  seen.app.setErrorHandler((error: Error & { requestId?: string }, request, reply) => {
    error.requestId ??= request.id
    return reply.code(500).send(error.requestId)
  })
  const answers = await herd(seen, 4)
  t.equal(seen.runs, 1)
  for (const answer of answers) t.equal(answer.body, answer.headers['x-correlation-id'])
})

t.test('an async key function that fails is a 500, not an unhandled rejection', async (t) => {
  const app = Fastify()
  await app.register(singleflight)
  let unhandled = 0
  const count = () => {
    unhandled += 1
  }
  process.on('unhandledRejection', count)
  t.teardown(() => process.off('unhandledRejection', count))
  const key = async () => {
    throw new Error('failed')
  }
  app.get('/prices', { config: { singleflight: { key: key as never } } }, async () => 'ok')
  t.equal((await app.inject('/prices')).statusCode, 500)
  await turn()
  t.equal(unhandled, 0)
})

t.test('a handler that returns a query builder starts its query once', async (t) => {
  const builder = new QueryBuilder(() => seen.gate.then(() => 'rows'))
  const seen = await priceApp(() => builder)
  const answers = await herd(seen, 3)
  t.ok(answers.every((answer) => answer.body === 'rows'))
  t.equal(builder.runs, 1)
})

for (const [name, value] of [
  ['cache-control', 'private, max-age=5'],
  ['vary', '*'],
] as const) {
  t.test(`${name}: ${value} counts when a hook said it before the handler ran`, async (t) => {
    const seen = await priceApp(async () => {
      await seen.gate
      return 'ok'
    })
    seen.app.addHook('preHandler', async (_request, reply) => {
      reply.header(name, value)
    })
    await herd(seen, 3)
    t.equal(seen.runs, 3)
  })
}

t.test('a language that a hook negotiated, and named in Vary, keeps answers apart', async (t) => {
  const seen = await priceApp(async (request) => {
    await seen.gate
    return request.headers['accept-language']
  })
  seen.app.addHook('onRequest', async (_request, reply) => {
    reply.header('vary', 'Accept-Language')
  })
  const sent = ['de', 'en'].map((language) =>
    seen.app.inject({ url: '/prices', headers: { 'accept-language': language } }),
  )
  for (let turns = 0; turns < 20; turns++) await turn()
  seen.open()
  t.strictSame(
    (await Promise.all(sent)).map((answer) => answer.body),
    ['de', 'en'],
  )
})

t.test('preSerialization hooks that come after this plugin in the list are heard', async (t) => {
  const seen = Promise.withResolvers<void>()
  const app = Fastify()
  await app.register(singleflight)
  app.addHook('onRoute', (route) => {
    const wrap = async (_request: unknown, _reply: unknown, payload: unknown) => ({ data: payload })
    route.preSerialization = [...[route.preSerialization ?? []].flat(), wrap]
  })
  let runs = 0
  app.get('/prices', { config: { singleflight: { key: () => ['x'] } } }, async () => {
    runs += 1
    await seen.promise
    return { price: 42 }
  })
  const answers = await herd({ app, open: seen.resolve }, 3)
  t.equal(runs, 1)
  for (const answer of answers) t.strictSame(answer.json(), { data: { price: 42 } })
})

for (const hook of ['preSerialization', 'onSend'] as const) {
  t.test(`an ${hook} hook that fails for the leader's object: its client gets the error page`, async (t) => {
    const app = Fastify()
    await app.register(singleflight)
    let calls = 0
    const fail = async (_request: unknown, _reply: unknown, payload: unknown) => {
      calls += 1
      if (calls === 1) throw new Error('only once')
      return payload
    }
    // At the end of the route's own hooks, after that of this plugin.
    app.addHook('onRoute', (route) => {
      Object.assign(route, { [hook]: [...[route[hook] ?? []].flat(), fail] })
    })
    app.setErrorHandler((_error, _request, reply) => reply.code(500).send({ sorry: true }))
    const gate = Promise.withResolvers<void>()
    app.get('/prices', { config: { singleflight: { key: () => ['x'] } } }, async () => {
      await gate.promise
      return { price: 42 }
    })
    const answers = await herd({ app, open: gate.resolve }, 3)
    t.strictSame(
      answers.map((answer) => answer.json()),
      [{ sorry: true }, { price: 42 }, { price: 42 }],
    )
    for (const answer of answers) t.equal(answer.headers['content-type'], 'application/json; charset=utf-8')
  })
}
