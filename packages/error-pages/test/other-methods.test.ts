import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import t, { type Test } from 'tap'
import { errorPages } from '../src/index.ts'

async function serviceWith(t: Test, add: (app: FastifyInstance) => void, options: FastifyServerOptions = {}) {
  const app: FastifyInstance = Fastify(options)
  t.teardown(() => app.close())
  await app.register(errorPages)
  add(app)
  await app.after()
  app.errorPages.answerOtherMethods()
  return async (method: 'GET' | 'POST' | 'PUT' | 'OPTIONS', url: string) => {
    const { statusCode, headers } = await app.inject({ method, url })
    return headers['allow'] === undefined ? statusCode : `${statusCode} ${String(headers['allow'])}`
  }
}

const ok = async () => 'ok'

t.test('a path is one, whatever its routes call their parameters', async (t) => {
  const ask = await serviceWith(t, (app) => {
    app.get('/bots/:id', ok)
    app.post('/bots/:bot', ok)
    app.get('/bots/:id/trades/:trade', ok)
    app.put('/files/:name.:kind', ok)
    app.post('/files/:file.:type', ok)
    app.get('/at/:hour(^\\d+)h:minute(^\\d+)m', ok)
  })
  t.equal(await ask('PUT', '/bots/7'), '405 GET, HEAD, OPTIONS, POST')
  t.equal(await ask('POST', '/bots/7'), 200)
  t.equal(await ask('POST', '/bots/7/trades/8'), '405 GET, HEAD, OPTIONS')
  t.equal(await ask('GET', '/files/a.b'), '405 OPTIONS, POST, PUT')
  t.equal(await ask('PUT', '/at/12h30m'), '405 GET, HEAD, OPTIONS')
})

t.test('a path is one, however the server reads slashes and letters', async (t) => {
  const routerOptions = { ignoreTrailingSlash: true, ignoreDuplicateSlashes: true, caseSensitive: false }
  const ask = await serviceWith(
    t,
    (app) => {
      app.get('/bots', ok)
      app.post('/bots/', ok)
      app.put('//Bots', ok)
    },
    { routerOptions },
  )
  t.equal(await ask('OPTIONS', '/BOTS/'), '204 GET, HEAD, OPTIONS, POST, PUT')
  t.equal(await ask('PUT', '/bots'), 200)
})

t.test('a route at the root of a prefix answers at both of its paths', async (t) => {
  for (const ignoreTrailingSlash of [false, true]) {
    const ask = await serviceWith(
      t,
      (app) => {
        app.register(async (inner) => void inner.get('/', ok), { prefix: '/bots' })
      },
      { routerOptions: { ignoreTrailingSlash } },
    )
    for (const url of ['/bots', '/bots/']) {
      t.equal(await ask('GET', url), 200)
      t.equal(await ask('PUT', url), '405 GET, HEAD, OPTIONS')
    }
  }
})

t.test('a path with all methods, with versions, or that is only asked about lacks none', async (t) => {
  const ask = await serviceWith(t, (app) => {
    app.all('/all', ok)
    app.get('/versions', { constraints: { version: '1.0.0' } }, ok)
    app.get('/versions', { constraints: { version: '2.0.0' } }, ok)
    app.options('*', ok)
  })
  t.equal(await ask('PUT', '/all'), 200)
  t.equal(await ask('PUT', '/versions'), '405 GET, HEAD, OPTIONS')
  t.equal(await ask('GET', '/nothing'), 404)
  t.equal(await ask('OPTIONS', '/nothing'), 200)
})

t.test('called again, it adds what has come in the meantime', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(errorPages)
  app.get('/one', ok)
  app.errorPages.answerOtherMethods()
  app.get('/two', ok)
  app.errorPages.answerOtherMethods()
  for (const url of ['/one', '/two']) {
    t.match(await app.inject({ method: 'PUT', url }), {
      statusCode: 405,
      headers: { allow: 'GET, HEAD, OPTIONS' },
    })
  }
})
