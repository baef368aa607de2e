import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { waitUntil } from '@holdfast/test-kit'
import Fastify, { type FastifyServerOptions } from 'fastify'
import t, { type Test } from 'tap'
import plugin, { type CircuitBreakerPluginOptions, circuitBreaker } from '../src/index.ts'

t.test('the default export is the named one', async (t) => {
  t.equal(plugin, circuitBreaker)
})

t.test('works with its defaults alone', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(circuitBreaker)
  const breaker = app.circuitBreaker.create('quotes')
  t.equal(app.circuitBreaker.get('quotes'), breaker)
  t.strictSame(app.circuitBreaker.list(), [breaker])
  t.equal(await breaker.execute(async () => 42), 42)
})

t.test('a second registration is refused in the same scope and inside it, and works beside it', async (t) => {
  const app = Fastify()
  await app.register(circuitBreaker)
  const again = async () => {
    await app.register(circuitBreaker)
  }
  await t.rejects(again, {
    code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_ALREADY_REGISTERED',
  })
  const beside = Fastify()
  for (const name of ['one', 'other']) {
    await beside.register(async (scope) => {
      await scope.register(circuitBreaker)
      scope.get(
        `/${name}`,
        { config: { circuitBreaker: {} } },
        async () => scope.circuitBreaker.list().length,
      )
    })
  }
  t.equal((await beside.inject('/other')).body, '1')
})

const wrong: Record<string, object> = {
  'a registry without a place': { maxBreakers: 0 },
  'a wrong default': { defaults: { openMs: -1 } },
  'a wrong setting of the error log': { errorLog: { maxKinds: 0 } },
  'an error log that is none': { errorLog: 5 },
  'an unknown name': { breakers: 5 },
}
for (const [name, options] of Object.entries(wrong)) {
  t.test(`${name} is refused at registration`, async (t) => {
    const registering = async () => {
      await Fastify().register(circuitBreaker, options as CircuitBreakerPluginOptions)
    }
    await t.rejects(registering, { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_INVALID_OPTION' })
  })
}

t.test('close closes every breaker', async (t) => {
  const app = Fastify()
  await app.register(circuitBreaker)
  const breaker = app.circuitBreaker.create('quotes')
  await app.close()
  await t.rejects(
    breaker.execute(() => 1),
    { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_CLOSED' },
  )
})

/** An app whose handler waits for `go()`, and asks a breaker then. */
async function slowApp(t: Test, options: FastifyServerOptions = {}) {
  const app = Fastify(options)
  t.teardown(() => app.close())
  await app.register(circuitBreaker)
  const breaker = app.circuitBreaker.create('quotes')
  const begun = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  app.get('/', async () => {
    begun.resolve()
    await gate.promise
    return breaker.execute(() => 'quoted')
  })
  return { app, breaker, begun: begun.promise, go: gate.resolve }
}

t.test('the breakers of an app that closes stay open for its last requests', async (t) => {
  const { app, breaker, begun, go } = await slowApp(t)
  const base = await app.listen({ host: '127.0.0.1', port: 0 })
  const answer = fetch(base, { headers: { connection: 'close' } })
  await begun
  const closing = app.close()
  await waitUntil(() => !app.server.listening)
  go()
  t.equal(await (await answer).text(), 'quoted')
  await closing
  t.equal(breaker.tryAcquire(), undefined)
})

t.test('with forceCloseConnections, and where nothing listens, no handler is waited for', async (t) => {
  const forced = await slowApp(t, { forceCloseConnections: true })
  const base = await forced.app.listen({ host: '127.0.0.1', port: 0 })
  const broken = t.rejects(fetch(base))
  const injected = await slowApp(t)
  const answer = injected.app.inject('/')
  for (const { app, breaker, begun } of [forced, injected]) {
    await begun
    await app.close()
    t.equal(breaker.tryAcquire(), undefined)
  }
  await broken
  forced.go()
  injected.go()
  t.match((await answer).json(), { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_CLOSED' })
})

t.test('the setting of a route is checked when the route is registered', async (t) => {
  const app = Fastify()
  await app.register(circuitBreaker)
  app.circuitBreaker.create('database')
  const wrong: Record<string, unknown> = {
    '/number': 5,
    '/true': true,
    '/null': null,
    '/list': ['database'],
    '/empty': '',
    '/unknown-option': { timeout: 5 },
    '/time-out': { timeoutMs: 0 },
    '/status': { failureStatus: 404 },
    '/fallback': { fallback: 'cached' },
    '/two-masters': { name: 'database', openMs: 5 },
  }
  for (const [url, setting] of Object.entries(wrong)) {
    t.throws(
      () => app.get(url, { config: { circuitBreaker: setting as string } }, async () => 1),
      { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_INVALID_OPTION' },
      url,
    )
  }
})

t.test('a route that names a breaker which does not exist is refused', async (t) => {
  const app = Fastify()
  await app.register(circuitBreaker)
  t.throws(() => app.get('/', { config: { circuitBreaker: 'databse' } }, async () => 1), {
    code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_UNKNOWN_BREAKER',
    message: /GET \/ .*"databse"/,
  })
})

t.test('a route without the setting, or with false, is left as it is', async (t) => {
  const app = Fastify()
  await app.register(circuitBreaker)
  const handler = async () => 'ok'
  const seen: unknown[] = []
  app.addHook('onRoute', ({ handler, onSend, onError }) => {
    seen.push(handler, onSend, onError)
  })
  app.get('/plain', { exposeHeadRoute: false }, handler)
  app.get('/false', { exposeHeadRoute: false, config: { circuitBreaker: false } }, handler)
  t.strictSame(seen, [handler, undefined, undefined, handler, undefined, undefined])
  t.equal((await app.inject('/false')).body, 'ok')
  t.strictSame(app.circuitBreaker.list(), [])
})

t.test('after close nothing keeps the process, not even a time-out that is far away', async (t) => {
  const source = new URL('../src/index.ts', import.meta.url).href
  const script = `import Fastify from 'fastify'
    import circuitBreaker from '${source}'
    const app = Fastify()
    await app.register(circuitBreaker)
    app.get('/', { config: { circuitBreaker: { timeoutMs: 600_000 } } }, async () => 'ok')
    const answer = await fetch(await app.listen({ host: '127.0.0.1', port: 0 }))
    console.log(await answer.text())
    await app.close()`
  const args = ['--conditions=@holdfast/source', '--input-type=module', '--eval', script]
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    cwd: import.meta.dirname,
    timeout: 20_000,
  })
  t.equal(stdout, 'ok\n')
})
