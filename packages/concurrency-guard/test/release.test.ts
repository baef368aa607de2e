import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { connect as connectHttp2 } from 'node:http2'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type ReplyLike, takeOver } from '@holdfast/footing'
import { HandClock, waitUntil } from '@holdfast/test-kit'
import Fastify from 'fastify'
import t from 'tap'
import concurrencyGuard from '../src/index.ts'
import { guardedApp, type Handler, keyOfPath, SlowStore } from './guarded-app.ts'

/** Handlers that are over when their answer is sent, by how they answer. */
const endings: Record<string, { readonly handler: Handler; readonly status?: number }> = {
  'returns a value': { handler: () => ({ done: true }) },
  'returns a promise': { handler: async () => ({ done: true }) },
  'returns a promise later': { handler: () => sleep(5, 'done') },
  'returns a thenable that is no promise': {
    // What a query builder is.
    handler: () => Object.fromEntries([['then', (resolve: (value: string) => void) => resolve('done')]]),
  },
  'sends and returns nothing': { handler: (_, reply) => void reply.send('done') },
  'sends later and returns nothing': {
    handler: (_, reply) => void setTimeout(() => reply.send('done'), 5),
  },
  'returns its reply': { handler: (_, reply) => reply.send('done') },
  'returns its reply from a promise': {
    handler: async (_, reply) => reply.code(201).send('done'),
    status: 201,
  },
  'returns its reply from a promise, later': {
    handler: async (_, reply) => {
      await sleep(5)
      reply.send('done')
      return reply
    },
  },
  'awaits its reply': {
    handler: async (_, reply) => {
      await reply.send('done')
    },
  },
  'sends a buffer': { handler: async () => Buffer.from('done') },
  'sends no body': { handler: async (_, reply) => void reply.code(204), status: 204 },
  throws: {
    handler: () => {
      throw Object.assign(new Error('no'), { statusCode: 422 })
    },
    status: 422,
  },
  rejects: {
    handler: async () => {
      await sleep(5)
      throw new Error('no')
    },
    status: 500,
  },
  'sends an error': { handler: (_, reply) => void reply.send(new Error('no')), status: 500 },
  'cannot be serialized': {
    handler: async () => {
      const circular: { self?: object } = {}
      circular.self = circular
      return circular
    },
    status: 500,
  },
}

t.test('a client that has its answer can begin the next operation at once', async (t) => {
  for (const [name, { handler, status = 200 }] of Object.entries(endings)) {
    const { post, guard, held } = await guardedApp(t, handler, { plugin: { redis: new SlowStore(20) } })
    for (let round = 0; round < 5; round += 1) {
      const answer = await post('a')
      t.equal(answer.status, status, `${name}, round ${round}`)
      t.equal(held(), 0, name)
      await answer.text()
    }
    t.match(guard.snapshot(), { begun: { fenced: 5 }, ended: 5, refused: { 'held-elsewhere': 0 } }, name)
  }
})

t.test('an answer of not found, from within the handler, ends the operation', async (t) => {
  const { post, free } = await guardedApp(t, (_, reply) => void reply.callNotFound())
  t.equal((await post('a')).status, 404)
  await free()
})

/** What the last bytes of the streams below wait for. */
let lastBytes = Promise.withResolvers<void>()

/** Handlers whose answer goes on after it has begun. */
const streams: Record<string, Handler> = {
  'a stream': async () => Readable.from(slowly()),
  'a stream that is sent': (_, reply) => void reply.send(Readable.from(slowly())),
  'a stream whose reply is returned': async (_, reply) => reply.send(Readable.from(slowly())),
  'a web stream': async () => Readable.toWeb(Readable.from(slowly())),
  'a response': async () => new Response(Readable.toWeb(Readable.from(slowly())) as never),
  'a file': async () => createReadStream(fileURLToPath(import.meta.url)),
  'a hijacked reply': (_, reply) => {
    reply.hijack()
    reply.raw.write('first')
    void lastBytes.promise.then(() => reply.raw.end('last'))
  },
  'a hijacked reply of a promise': async (_, reply) => {
    reply.hijack()
    reply.raw.write('first')
    await lastBytes.promise
    reply.raw.end('last')
  },
}
async function* slowly() {
  yield 'first'
  await lastBytes.promise
  yield 'last'
}

t.test('an answer that goes on holds the key until its last byte', async (t) => {
  for (const [name, handler] of Object.entries(streams)) {
    lastBytes = Promise.withResolvers<void>()
    const { post, held, free, guard } = await guardedApp(t, handler, { plugin: { redis: new SlowStore(1) } })
    const answer = await post('a')
    t.equal(answer.status, 200, name)
    if (name !== 'a file') {
      t.equal(held(), 1, name)
      t.equal((await post('a')).status, 429, name)
    }
    lastBytes.resolve()
    t.ok((await answer.text()).length > 0)
    await free()
    t.equal((await post('a')).status, 200, name)
    await free()
    t.equal(guard.snapshot().begun.fenced, 2, name)
  }
})

t.test('a stream that breaks, and one whose client leaves, free the key', async (t) => {
  const broken = await guardedApp(t, async () =>
    Readable.from(
      (async function* () {
        yield 'first'
        throw new Error('broken')
      })(),
    ),
  )
  await broken.post('a').then(
    (answer) => answer.text().catch(() => ''),
    () => '',
  )
  await broken.free()

  const endless = await guardedApp(t, async () => endlessStream())
  const client = endless.leaving('a')
  await once(client, 'response')
  t.equal(endless.held(), 1)
  client.destroy()
  await endless.free()
})
function endlessStream(): Readable {
  const stream = new Readable({ read() {} })
  stream.push('first')
  return stream
}

t.test(
  'an answer sent early goes out at once, and the key stays with the handler until it is done',
  async (t) => {
    const work = Promise.withResolvers<void>()
    const { post, held, free } = await guardedApp(
      t,
      async (_, reply) => {
        reply.code(202).send({ accepted: true })
        await work.promise
      },
      { plugin: { redis: new SlowStore(1) } },
    )
    const answer = await post('a')
    t.equal(answer.status, 202)
    t.equal(held(), 1)
    t.equal((await post('a')).status, 429)
    work.resolve()
    await free()
  },
)

t.test(
  'a client that leaves while the handler works aborts its signal and does not free the key',
  async (t) => {
    for (const style of ['promise', 'callback']) {
      const work = Promise.withResolvers<void>()
      const signals: AbortSignal[] = []
      const { leaving, post, held, free } = await guardedApp(t, (request, reply) => {
        signals.push(request.concurrencyGuard.signal)
        if (style === 'promise') return work.promise
        work.promise.then(() => reply.send('late'))
        return undefined
      })
      const client = leaving('a')
      await waitUntil(() => signals.length === 1)
      t.equal(signals[0]?.aborted, false, 'a body that was read aborts nothing')
      client.destroy()
      await waitUntil(() => signals[0]?.aborted === true)
      t.match(signals[0]?.reason, { code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_ABORTED', statusCode: 499 })
      t.equal(held(), 1)
      t.equal((await post('a')).status, 429, `${style}: it is still at work`)
      t.equal(signals.length, 1)
      work.resolve()
      await free()
    }
  },
)

t.test('a client that leaves frees the key of a hijacked reply that nobody ends', async (t) => {
  const { leaving, held, free } = await guardedApp(t, (_, reply) => {
    reply.hijack()
    reply.raw.write('first')
  })
  const client = leaving('a')
  await once(client, 'response')
  t.equal(held(), 1)
  client.destroy()
  await free()
})

t.test('a client that leaves while it waits steps out of the line, and its handler never runs', async (t) => {
  const gates: (() => void)[] = []
  const { leaving, guard, free, post } = await guardedApp(
    t,
    () => new Promise<string>((resolve) => gates.push(() => resolve('done'))),
    { route: { maxWaiting: 2 } },
  )
  const first = post('a')
  await waitUntil(() => gates.length === 1)
  const client = leaving('a')
  await waitUntil(() => guard.snapshot().waiting === 1)
  const third = post('a')
  await waitUntil(() => guard.snapshot().waiting === 2)
  client.destroy()
  await waitUntil(() => guard.snapshot().waiting === 1)
  gates[0]?.()
  t.equal((await first).status, 200)
  await waitUntil(() => gates.length === 2)
  gates[1]?.()
  t.equal((await third).status, 200)
  await free()
  t.equal(gates.length, 2)
  t.equal(guard.snapshot().refused.aborted, 1)
})

t.test('a client that left between the guard and the handler: the handler does not run', async (t) => {
  let entered = 0
  let ran = 0
  const gate = Promise.withResolvers<void>()
  const { leaving, free, guard } = await guardedApp(
    t,
    async () => {
      ran += 1
      return 'done'
    },
    {
      before: (app) =>
        app.addHook('onRoute', (route) => {
          // After the guard's, so that its preHandler comes later.
          route.preHandler = [
            ...[route.preHandler ?? []].flat(),
            async () => {
              entered += 1
              await gate.promise
            },
          ]
        }),
    },
  )
  const client = leaving('a')
  await waitUntil(() => entered === 1)
  t.equal(guard.snapshot().held, 1)
  client.destroy()
  await free()
  gate.resolve()
  await sleep(20)
  t.equal(ran, 0)
  t.equal(guard.snapshot().ended, 1)
})

t.test('a hook after the guard that answers, or fails, in place of the handler frees the key', async (t) => {
  for (const [status, hook] of [
    [
      403,
      (_request: unknown, reply: { code(status: number): { send(body: string): unknown } }) =>
        reply.code(403).send('no'),
    ],
    [
      500,
      () => {
        throw new Error('no')
      },
    ],
  ] as const) {
    const { post, held } = await guardedApp(t, () => 'done', {
      before: (app) =>
        app.addHook('onRoute', (route) => {
          route.preHandler = [
            ...[route.preHandler ?? []].flat(),
            async (request, reply) => hook(request, reply),
          ]
        }),
    })
    t.equal((await post('a')).status, status)
    t.equal(held(), 0)
  }
})

t.test('who answers in place of the handler, and waits for that, does not end its work', async (t) => {
  const work = Promise.withResolvers<void>()
  const { post, held, free } = await guardedApp(t, async (_request, reply) => {
    const successor = takeOver(reply)
    const standIn = async () => {
      await successor.send('in its place')
    }
    standIn()
    await work.promise
  })
  t.equal(await (await post('a')).text(), 'in its place')
  t.equal(held(), 1)
  t.equal((await post('a')).status, 429)
  work.resolve()
  await free()
})

t.test('at the time-out the client is answered, and the key stays with the handler', async (t) => {
  for (const style of ['promise', 'callback']) {
    const work = Promise.withResolvers<void>()
    let reason: unknown
    const { post, held, free, guard } = await guardedApp(
      t,
      (request, reply) => {
        const { signal } = request.concurrencyGuard
        signal.addEventListener('abort', () => {
          reason = signal.reason
        })
        if (style === 'promise') return work.promise.then(() => 'late')
        work.promise.then(() => reply.send('late'))
        return undefined
      },
      { route: { timeoutMs: 40, graceMs: 60_000, retryAfterMs: 2000 } },
    )
    const answer = await post('a')
    t.equal(answer.status, 504)
    t.equal(answer.headers.get('retry-after'), '2')
    t.match(await answer.json(), { code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_TIMEOUT' })
    t.match(reason, { code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_TIMEOUT' })
    t.equal(held(), 1, style)
    t.equal((await post('a')).status, 429)
    work.resolve()
    await free()
    t.match(guard.snapshot(), { timedOut: 1, givenUp: 0, ended: 1 })
  }
})

t.test('a handler that does not stop after its time-out loses the key after its grace', async (t) => {
  const { post, free, guard } = await guardedApp(t, () => new Promise(() => {}), {
    route: { timeoutMs: 20, graceMs: 30 },
  })
  t.equal((await post('a')).status, 504)
  await free()
  t.equal((await post('a')).status, 504, 'the next one begins')
  await free()
  t.match(guard.snapshot(), { timedOut: 2, givenUp: 2, ended: 2 })
})

t.test('a late stream is let go, and an answer that has begun is not disturbed', async (t) => {
  let destroyed = false
  const late = await guardedApp(
    t,
    async () => {
      await sleep(60)
      return new Readable({
        read() {},
        destroy(_error, callback) {
          destroyed = true
          callback(null)
        },
      })
    },
    { route: { timeoutMs: 20 } },
  )
  t.equal((await late.post('a')).status, 504)
  await waitUntil(() => destroyed)
  await late.free()

  lastBytes = Promise.withResolvers<void>()
  const clock = new HandClock()
  const begun = await guardedApp(t, async () => Readable.from(slowly()), {
    plugin: { clock },
    route: { timeoutMs: 10 },
  })
  const answer = await begun.post('a')
  await clock.advance(10)
  t.equal(begun.guard.snapshot().timedOut, 1)
  lastBytes.resolve()
  t.equal(await answer.text(), 'firstlast')
  await begun.free()
})

t.test('a hook after the guard that takes longer than the time-out is answered for', async (t) => {
  let ran = 0
  const hooked = { entered: 0 }
  const { post, free } = await guardedApp(
    t,
    () => {
      ran += 1
      return 'done'
    },
    {
      route: { timeoutMs: 20, graceMs: 0 },
      before: (app) =>
        app.addHook('onRoute', (route) => {
          route.preHandler = [
            ...[route.preHandler ?? []].flat(),
            async () => {
              hooked.entered += 1
              await sleep(80)
            },
          ]
        }),
    },
  )
  t.equal((await post('a')).status, 504)
  await free()
  await sleep(100)
  t.equal(ran, 0, 'the handler does not run without the key')
})

t.test('a circuit of somebody else that answers in place of the handler does not free the key', async (t) => {
  const work = Promise.withResolvers<void>()
  const { post, held, free } = await guardedApp(t, () => work.promise.then(() => 'late'), {
    before: (app) => {
      app.addHook('onRoute', (route) => {
        const { handler } = route
        route.handler = function (request, reply) {
          setTimeout(() => {
            const successor = takeOver(reply as unknown as ReplyLike)
            successor.send(Object.assign(new Error('too late'), { statusCode: 503 }))
          }, 20)
          return handler.call(this, request, reply)
        }
      })
    },
  })
  t.equal((await post('a')).status, 503)
  t.equal(held(), 1)
  work.resolve()
  await free()
})

t.test('in HTTP/2 and in inject() the key is freed in the same way', async (t) => {
  lastBytes.resolve()
  const app = Fastify({ http2: true })
  t.teardown(() => app.close())
  await app.register(concurrencyGuard as never)
  const config = { concurrencyGuard: { key: keyOfPath } } as never
  app.get('/work/:key', { config }, async () => 'done')
  app.get('/stream/:key', { config }, async () => Readable.from(slowly()))
  const base = await app.listen({ host: '127.0.0.1', port: 0 })
  const session = connectHttp2(base)
  t.teardown(() => session.close())
  for (const path of ['/work/a', '/stream/a', '/work/a']) {
    const stream = session.request({ ':path': path })
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>]
    t.equal(headers[':status'], 200)
    stream.resume()
    await once(stream, 'close')
    await waitUntil(() => app.concurrencyGuard.snapshot().held === 0)
  }
  const injected = Fastify()
  await injected.register(concurrencyGuard)
  injected.get('/work/:key', { config }, async () => 'done')
  injected.get('/stream/:key', { config }, async () => Readable.from(slowly()))
  for (const path of ['/work/a', '/stream/a', '/work/a']) {
    t.equal((await injected.inject(path)).statusCode, 200)
    await waitUntil(() => injected.concurrencyGuard.snapshot().held === 0)
  }
  await injected.close()
})

t.test('on a clock moved by hand nothing is left behind', async (t) => {
  const clock = new HandClock()
  const { post, held } = await guardedApp(t, async () => 'done', { plugin: { clock } })
  for (let round = 0; round < 10; round += 1) t.equal((await post('a')).status, 200)
  t.equal(held(), 0)
  t.equal(clock.pendingTimers, 0)
})
