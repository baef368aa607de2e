import { createServer, request as httpRequest } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { type AddressInfo, connect } from 'node:net'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { waitUntil } from '@holdfast/test-kit'
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import t from 'tap'
import circuitBreaker from '../src/index.ts'
import { guarded, type Handler, listening, own, survives } from './guarded-app.ts'

const timeoutMs = 40

t.test('it answers at the time-out and not when the handler ends', async (t) => {
  survives(t)
  const answered = Promise.withResolvers<string>()
  for (const handler of [
    () => answered.promise,
    (_: FastifyRequest, reply: FastifyReply) => void answered.promise.then((late) => reply.send(late)),
  ]) {
    const { get, counts, app } = await guarded(t, { timeoutMs }, handler)
    const startedMs = performance.now()
    const answer = await get()
    const tookMs = performance.now() - startedMs
    t.equal(answer.statusCode, 503)
    t.match(answer.json(), {
      code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_ROUTE_TIMEOUT',
      message: /GET \/guarded .*40 ms/,
    })
    t.equal(answer.headers['retry-after'], '1')
    t.ok(tookMs >= timeoutMs - 1, `${tookMs} ms`)
    t.match(counts(), { failed: 1 })
    t.match(app.circuitBreaker.routes.snapshot(), { timedOut: 1 })
  }
  answered.resolve('late')
})

t.test('whatever a late handler does reaches nobody and ends nothing', async (t) => {
  survives(t)
  const destroyed: string[] = []
  const stream = (name: string) =>
    new Readable({
      read() {},
      destroy(_error, callback) {
        destroyed.push(name)
        callback(null)
      },
    })
  const late: Record<string, Handler> = {
    returns: async () => sleep(60, 'late'),
    throws: async () => {
      await sleep(60)
      throw new Error('late')
    },
    'returns a stream': async () => {
      await sleep(60)
      return stream('returned')
    },
    'returns a response': async () => {
      await sleep(60)
      return new Response('late')
    },
    sends: (_, reply) => void setTimeout(() => reply.code(201).header('x-late', '1').send('late'), 60),
    'sends an error': (_, reply) => void setTimeout(() => reply.send(new Error('late')), 60),
    'sends a stream': (_, reply) => void setTimeout(() => reply.send(stream('sent')), 60),
    'sends a web stream': (_, reply) => void setTimeout(() => reply.send(new Response('late').body), 60),
    redirects: (_, reply) => void setTimeout(() => reply.redirect('/late'), 60),
    'hijacks and writes': (_, reply) =>
      void setTimeout(() => {
        reply.hijack()
        reply.raw.writeHead(200, { 'x-late': '1' })
        reply.raw.write('late')
        reply.raw.end('late', () => destroyed.push('ended'))
      }, 60),
    'writes to a response it took before': (_, reply) => {
      const { raw } = reply
      setTimeout(() => {
        raw.statusCode = 201
        raw.setHeader('x-late', '1')
        raw.writeHead(200)
        raw.write('late')
        raw.end()
      }, 60)
    },
    'pipes into the response': (_, reply) =>
      void setTimeout(() => Readable.from(['late']).pipe(reply.raw), 60),
    'destroys the response': (_, reply) => void setTimeout(() => reply.raw.destroy(), 60),
    'waits for the reply': async (_, reply) => {
      setTimeout(() => reply.send('late'), 60)
      return reply
    },
    'sets the status': (_, reply) =>
      void setTimeout(() => {
        reply.raw.statusCode = 201
        reply.raw.statusMessage = 'late'
        reply.statusCode = 202
      }, 60),
  }
  const app = Fastify({ forceCloseConnections: true })
  t.teardown(() => app.close())
  await app.register(circuitBreaker)
  const statuses: number[] = []
  app.addHook('onResponse', async (_request, reply) => {
    statuses.push(reply.statusCode)
  })
  for (const [name, handler] of Object.entries(late)) {
    app.get(`/${name.replaceAll(' ', '-')}`, { config: { circuitBreaker: { timeoutMs } } }, handler)
  }
  app.get('/after', async () => 'after')
  const base = await listening(app)
  for (const name of Object.keys(late)) {
    const answer = await fetch(`${base}/${name.replaceAll(' ', '-')}`)
    t.equal(answer.status, 503, name)
    t.match(await answer.json(), { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_ROUTE_TIMEOUT' }, name)
    t.equal(answer.headers.get('x-late'), null)
    // fetch sends this over the same connection, which the late handler must not have spoilt.
    await sleep(40)
    t.equal(await (await fetch(`${base}/after`)).text(), 'after', name)
  }
  await waitUntil(() => destroyed.length === 3)
  t.strictSame(
    destroyed.toSorted(),
    ['ended', 'returned', 'sent'],
    'streams that nobody will read are let go',
  )
  t.strictSame(new Set(statuses), new Set([503, 200]), 'hooks see the status that was answered')
})

t.test('a late answer is not mixed into the one that hooks are still working on', async (t) => {
  survives(t)
  const { app, get } = await guarded(t, { timeoutMs }, (_, reply) => {
    setTimeout(() => reply.code(201).header('x-late', '1').type('text/plain').send('late'), timeoutMs + 20)
  })
  app.addHook('onSend', async (_request, reply) => {
    if (reply.statusCode === 503) await sleep(100)
  })
  const answer = await get()
  t.equal(answer.statusCode, 503)
  t.match(answer.json(), { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_ROUTE_TIMEOUT' })
  t.equal(answer.headers['x-late'], undefined)
})

t.test('an answer that hooks are working on when the time is up reaches nobody', async (t) => {
  survives(t)
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(circuitBreaker)
  app.addHook('onSend', async (_request, reply, payload) => {
    if (reply.statusCode === 200) await sleep(80)
    return payload
  })
  app.get('/guarded', { config: { circuitBreaker: { timeoutMs } } }, async () => 'in time, but not out')
  const answer = await app.inject('/guarded')
  t.equal(answer.statusCode, 503)
  await sleep(60)
})

t.test(
  'the answer at the time-out keeps what hooks have set, and nothing of the handler about its content',
  async (t) => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(circuitBreaker)
    app.decorateReply('startedBy', '')
    app.addHook('onRequest', async (_request, reply) => {
      reply.header('x-correlation-id', '7')
      reply.startedBy = 'a hook'
    })
    app.setErrorHandler((error: Error & { code?: string; statusCode?: number }, _request, reply) =>
      reply.code(error.statusCode ?? 500).send({ error: error.code, startedBy: reply.startedBy }),
    )
    app.get('/guarded', { config: { circuitBreaker: { timeoutMs } } }, async (_request, reply) => {
      reply.header('cache-control', 'public, max-age=300').header('content-encoding', 'br').code(201)
      reply.raw.setHeader('etag', '"1"')
      await new Promise(() => {})
    })
    const answer = await app.inject('/guarded')
    t.equal(answer.statusCode, 503)
    t.strictSame(answer.json(), {
      error: 'HOLDFAST_ERR_CIRCUIT_BREAKER_ROUTE_TIMEOUT',
      startedBy: 'a hook',
    })
    const {
      'x-correlation-id': id,
      'cache-control': cached,
      'content-encoding': encoding,
      etag,
    } = answer.headers
    t.strictSame([id, cached, encoding, etag], ['7', undefined, undefined, undefined])
  },
)

t.test('the handler is told that its time is up', async (t) => {
  let reason: unknown
  let deadlineMs = 0
  const { get, app } = await guarded(t, { timeoutMs }, async ({ circuitBreaker }) => {
    t.equal(circuitBreaker?.breaker, own)
    deadlineMs = circuitBreaker?.deadlineMs ?? 0
    await new Promise((resolve) => circuitBreaker?.signal.addEventListener('abort', resolve))
    reason = circuitBreaker?.signal.reason
  })
  const startedMs = performance.now()
  await get()
  t.match(reason, { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_ROUTE_TIMEOUT' })
  t.ok(deadlineMs >= startedMs + timeoutMs && deadlineMs <= performance.now(), `${deadlineMs}`)
  app.circuitBreaker.get(own)?.isolate('test')
})

t.test('who asks for the signal after the time-out gets one that has aborted', async (t) => {
  let aborted: boolean | undefined
  const { get } = await guarded(t, { timeoutMs }, async ({ circuitBreaker }) => {
    await sleep(timeoutMs + 30)
    aborted = circuitBreaker?.signal.aborted
  })
  await get()
  await waitUntil(() => aborted !== undefined)
  t.equal(aborted, true)
})

t.test('requests in a pipeline on one connection get their own answers', async (t) => {
  survives(t)
  const app = Fastify({ forceCloseConnections: true })
  t.teardown(() => app.close())
  await app.register(circuitBreaker)
  app.get('/slow', { config: { circuitBreaker: { timeoutMs } } }, async () => sleep(80, 'late'))
  app.get('/fast', { config: { circuitBreaker: { timeoutMs } } }, async () => 'fast')
  await listening(app)
  const { port } = app.server.address() as AddressInfo
  const socket = connect(port, '127.0.0.1')
  let text = ''
  socket.setEncoding('utf8').on('data', (chunk) => {
    text += chunk
  })
  socket.write(['/slow', '/fast', '/slow'].map((url) => `GET ${url} HTTP/1.1\r\nhost: x\r\n\r\n`).join(''))
  await waitUntil(() => text.split('HTTP/1.1 ').length === 4)
  t.strictSame(text.match(/HTTP\/1\.1 (\d+)/g), ['HTTP/1.1 503', 'HTTP/1.1 200', 'HTTP/1.1 503'])
  await sleep(60)
  t.notMatch(text, 'late')
  socket.destroy()
})

t.test('a proxy behind a guarded route: the upstream hangs, the client is answered', async (t) => {
  survives(t)
  const upstream = createServer(() => {})
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    upstream.closeAllConnections()
    upstream.close()
  })
  const { port } = upstream.address() as AddressInfo
  let released = false
  const { get } = await guarded(t, { timeoutMs }, (request, reply) => {
    const { signal } = request.circuitBreaker ?? {}
    const asked = httpRequest({ port, host: '127.0.0.1', signal }, (answer) => reply.send(answer))
    asked.on('error', (error) => {
      released = true
      reply.send(error)
    })
    asked.end()
  })
  t.equal((await get()).statusCode, 503)
  await waitUntil(() => released)
})

t.test('HTTP/2: a late handler, a quick one, and a client that leaves', async (t) => {
  survives(t)
  const app = Fastify({ http2: true, forceCloseConnections: true })
  await app.register(circuitBreaker)
  app.get('/late', { config: { circuitBreaker: { timeoutMs } } }, () => sleep(80, 'late'))
  app.get('/quick', { config: { circuitBreaker: { timeoutMs } } }, async () => 'quick')
  let begun = false
  app.get('/left', { config: { circuitBreaker: { timeoutMs: 60_000 } } }, () => {
    begun = true
    return new Promise(() => {})
  })
  const session = connectHttp2(await app.listen({ host: '127.0.0.1', port: 0 }))
  t.teardown(() => {
    session.destroy()
    return app.close()
  })
  const ask = (path: string) =>
    new Promise<number | undefined>((resolve) => {
      const stream = session.request({ ':path': path })
      stream.on('response', (headers) => resolve(headers[':status'])).resume()
    })
  t.equal(await ask('/late'), 503)
  t.equal(await ask('/quick'), 200)
  const leaving = session.request({ ':path': '/left' })
  leaving.on('error', () => {})
  await waitUntil(() => begun)
  leaving.close()
  await waitUntil(() => app.circuitBreaker.get('GET /left')?.snapshot().counts.ignored === 1)
  t.match(app.circuitBreaker.get('GET /quick')?.snapshot().counts, { succeeded: 1 })
  t.match(app.circuitBreaker.get('GET /late')?.snapshot().counts, { failed: 1 })
  await sleep(60)
})

declare module 'fastify' {
  interface FastifyReply {
    startedBy: string
  }
}
