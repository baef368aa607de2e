import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { Agent as SecureAgent, request as secureRequest } from 'node:https'
import type { AddressInfo } from 'node:net'
import { connect as secureConnect } from 'node:tls'
import { circuitBreaker } from '@holdfast/circuit-breaker'
import { health } from '@holdfast/health'
import { HandClock, makeCertificate, RawConnection, temporaryDirectory, waitUntil } from '@holdfast/test-kit'
import Fastify from 'fastify'
import { Registry } from 'prom-client'
import t from 'tap'
import { errors, Lifecycle, lifecycle } from '../src/index.ts'
import { FakeProcess, KeptLog } from './fake-process.ts'
import { answerOf, portOf, servedApp } from './served-app.ts'

t.setTimeout(60_000)

/** Short, so that tests are; the order of things is the same. */
const shortly = { drainMs: 400, minDrainMs: 200, quietMs: 100 }

t.test('draining: readiness 503, liveness 200, served, and every answer says close', async (t) => {
  const served = await servedApp(t, { drainMs: 60_000, minDrainMs: 60_000 })
  await waitUntil(() => served.app.lifecycle.ready)
  const port = portOf(served)
  const kept = new RawConnection(port, t)
  kept.ask('/')
  await waitUntil(() => kept.answers === 1)
  const under = new RawConnection(port, t)
  under.ask('/gate')
  await waitUntil(() => served.app.lifecycle.snapshot().inFlight === 1)
  served.process.emit('SIGTERM')

  t.match(await answerOf(port, '/readyz'), { status: 503, connection: 'close' })
  t.match(await answerOf(port, '/livez'), { status: 200, connection: 'close' })
  t.match(await answerOf(port, '/nowhere'), { status: 404, connection: 'close' })
  t.notOk(kept.closed, 'an idle connection stays: its client may be about to ask')
  kept.ask('/')
  await waitUntil(() => kept.closed)
  t.equal(kept.answers, 2)
  t.match(kept.text, /hello[\s\S]*connection: close[\s\S]*hello$/i)
  served.gate.resolve('late')
  await waitUntil(() => under.closed)
  t.match(under.text, /^HTTP\/1.1 200[\s\S]*connection: close[\s\S]*late$/i, 'also the one under way')
  t.notOk(kept.broken || under.broken)

  served.process.exits.length = 0
  t.equal(served.app.lifecycle.state, 'draining')
  await new Promise((resolve) => setTimeout(resolve, 520))
  served.process.emit('SIGTERM')
  t.match(await served.app.lifecycle.ended, { exitCode: 0, drainedRequests: 2, held: [] })
})

t.test('silent, half-sent and idle connections hold nothing', async (t) => {
  const served = await servedApp(t, shortly)
  const port = portOf(served)
  const silent = new RawConnection(port, t)
  const half = new RawConnection(port, t)
  const idle = new RawConnection(port, t)
  half.say('GET / HTTP/1.1\r\nhost: ')
  idle.ask('/')
  await waitUntil(() => idle.answers === 1 && served.app.lifecycle.snapshot().connections === 3)
  await waitUntil(() => served.app.lifecycle.ready)
  const beganMs = performance.now()
  const ending = await served.app.lifecycle.stop('test')
  t.ok(performance.now() - beganMs < 20_000)
  t.match(ending, { exitCode: 0, held: [], cutRequests: 0 })
  await waitUntil(() => silent.closed && half.closed && idle.closed)
  t.equal(served.app.lifecycle.snapshot().connections, 0)
})

t.test('the hold ends early when only probes come, and not while clients do', async (t) => {
  const served = await servedApp(t, { drainMs: 60_000, minDrainMs: 100, quietMs: 300 })
  const port = portOf(served)
  await waitUntil(() => served.app.lifecycle.ready)
  served.process.emit('SIGTERM')
  const untilMs = performance.now() + 1000
  while (performance.now() < untilMs) {
    t.equal((await answerOf(port, '/')).status, 200)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  t.equal(served.app.lifecycle.state, 'draining')
  const fresh = new RawConnection(port, t)
  // Probes come all the time: they end with the listener.
  while (await answerOf(port, '/readyz').catch(() => undefined));
  t.match(await served.app.lifecycle.ended, { exitCode: 0, held: [] })
  await waitUntil(() => fresh.closed)
})

t.test(
  'a balancer that goes on sending has a GET turned away, unexecuted, and its POST answered',
  async (t) => {
    const served = await servedApp(
      t,
      { drainMs: 300, minDrainMs: 100, quietMs: 200, turnAwayMs: 60_000 },
      { listens: false, server: { return503OnClosing: false } },
    )
    let executed = 0
    served.app.addHook('preHandler', async () => {
      executed += 1
    })
    await served.app.listen({ port: 0, host: '127.0.0.1' })
    const port = portOf(served)
    await waitUntil(() => served.app.lifecycle.ready)
    const early = new RawConnection(port, t)
    early.ask('/gate')
    await waitUntil(() => served.app.lifecycle.snapshot().inFlight === 1)
    served.process.emit('SIGTERM')
    await waitUntil(async () => {
      await answerOf(port, '/', 'POST')
      return served.app.lifecycle.snapshot().stage === 'turn-away'
    })
    t.equal((await answerOf(port, '/readyz')).status, 503, 'probes are answered')
    // What came before on the same connection is not taken away.
    early.ask('/')
    t.equal((await answerOf(port, '/', 'POST')).status, 404, 'as is what might be done twice')
    t.notOk(early.closed)
    const before = executed
    const turned = new RawConnection(port, t)
    turned.ask('/')
    await waitUntil(() => turned.closed)
    t.equal(turned.answers, 0)
    t.equal(executed, before)
    served.gate.resolve('late')
    const ending = await served.app.lifecycle.ended
    t.match(ending, { exitCode: 0, turnedAwayRequests: 1, held: [] })
    t.match(Object.keys(ending.stages), ['hold', 'turn-away', 'requests', 'hooks'])
    await waitUntil(() => early.closed)
    t.match(early.text, /late/)
  },
)

t.test('requests under way have their time, are told, and are cut and named', async (t) => {
  const served = await servedApp(t, { drainMs: 0, requestTimeoutMs: 200, abortGraceMs: 100 })
  await waitUntil(() => served.app.lifecycle.ready)
  const port = portOf(served)
  const stuck = new RawConnection(port, t)
  stuck.ask('/gate?secret=1')
  await waitUntil(() => served.app.lifecycle.snapshot().inFlight === 1)
  const { abortSignal } = served.app.lifecycle
  const ending = served.app.lifecycle.stop('test')
  await waitUntil(() => abortSignal.aborted)
  t.notOk(stuck.closed)
  t.match(await ending, { exitCode: 1, cutRequests: 1, held: ['request GET /gate'] })
  await waitUntil(() => stuck.closed)
})

t.test('requests under way keep their time in a server that is to close by force', async (t) => {
  const server = { forceCloseConnections: true, return503OnClosing: false }
  const served = await servedApp(t, { drainMs: 0 }, { server, listens: false })
  const { app } = served
  const closing = Promise.withResolvers<void>()
  app.addHook('preClose', async () => closing.resolve())
  await app.listen({ port: 0, host: '127.0.0.1' })
  await waitUntil(() => app.lifecycle.ready)
  const under = new RawConnection(portOf(served), t)
  under.ask('/gate')
  await waitUntil(() => app.lifecycle.snapshot().inFlight === 1)
  const ending = app.lifecycle.stop('test')
  await closing.promise
  // Right after this Fastify closes connections.
  await new Promise(setImmediate)
  await new Promise(setImmediate)
  served.gate.resolve('late')
  t.match(await ending, { exitCode: 0, cutRequests: 0 })
  await waitUntil(() => under.closed)
  t.match(under.text, /^HTTP\/1.1 200[\s\S]*late$/)
})

t.test('a handler that listens to the signal answers in time', async (t) => {
  const served = await servedApp(
    t,
    { drainMs: 0, requestTimeoutMs: 100, abortGraceMs: 60_000 },
    { listens: false },
  )
  const { app } = served
  app.get('/stream', async () => {
    const { abortSignal } = app.lifecycle
    await new Promise((resolve) => abortSignal.addEventListener('abort', resolve))
    return 'come back later'
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  await waitUntil(() => app.lifecycle.ready)
  const client = new RawConnection(portOf(served), t)
  client.ask('/stream')
  await waitUntil(() => app.lifecycle.snapshot().inFlight === 1)
  t.match(await app.lifecycle.stop('test'), { exitCode: 0, held: [], cutRequests: 0 })
  await waitUntil(() => client.closed)
  t.match(client.text, /come back later$/)
})

t.test('a plugin that hangs or fails in closing is named', async (t) => {
  const hangs = await servedApp(t, { drainMs: 0, closeTimeoutMs: 100 }, { listens: false })
  const release = Promise.withResolvers<void>()
  hangs.app.addHook('onClose', () => release.promise)
  await hangs.app.listen({ port: 0, host: '127.0.0.1' })
  await waitUntil(() => hangs.app.lifecycle.ready)
  const order: string[] = []
  hangs.app.lifecycle.onClose('last', () => void order.push('last'))
  t.match(await hangs.app.lifecycle.stop('test'), {
    exitCode: 1,
    held: ['plugins that close (onClose hooks)'],
  })
  t.strictSame(order, ['last'], 'what comes after it has its turn')
  release.resolve()
})

t.test('a cordon: readiness 503 and close, lifted again', async (t) => {
  const served = await servedApp(t)
  const { app } = served
  await waitUntil(() => app.lifecycle.ready)
  const port = portOf(served)
  t.match(await answerOf(port, '/readyz'), { status: 200 })
  const kept = new RawConnection(port, t)
  kept.ask('/')
  await waitUntil(() => kept.answers === 1)
  app.lifecycle.cordon('a look at its memory')
  t.match(await answerOf(port, '/readyz'), { status: 503 })
  t.match((await app.inject('/readyz')).json(), { status: 'error', phase: 'cordoned' })
  t.match(await answerOf(port, '/livez'), { status: 200 })
  kept.ask('/')
  await waitUntil(() => kept.closed)
  t.match(kept.text, /connection: close/i)
  app.lifecycle.uncordon()
  t.match(await answerOf(port, '/readyz'), { status: 200 })
  const again = new RawConnection(port, t)
  again.ask('/')
  await waitUntil(() => again.answers === 1)
  t.match(again.text, /connection: keep-alive/i)
  app.lifecycle.cordon('before the end')
  app.lifecycle.stop('test')
  t.match((await app.inject('/readyz')).json(), { phase: 'draining' })
})

t.test('an application that is closed by somebody else leaves the process alone', async (t) => {
  const served = await servedApp(t)
  const order: string[] = []
  served.app.lifecycle.onDrain('worker', async () => void order.push('worker'))
  served.app.lifecycle.onClose('queue', async () => void order.push('queue'))
  const silent = new RawConnection(portOf(served), t)
  await waitUntil(() => served.app.lifecycle.snapshot().connections === 1)
  await served.app.close()
  t.strictSame(order, ['worker', 'queue'])
  t.equal(served.app.lifecycle.state, 'ended')
  await waitUntil(() => silent.closed)
  t.strictSame(served.process.exits, [])
  t.notOk(served.process.emit('SIGTERM'))
})

t.test(
  'a signal while somebody else closes the application ends the process when that is over',
  async (t) => {
    const served = await servedApp(t, {}, { listens: false })
    const { app } = served
    const slow = Promise.withResolvers<void>()
    app.addHook('onClose', () => slow.promise)
    await app.listen({ port: 0, host: '127.0.0.1' })
    const closing = app.close()
    await waitUntil(() => app.lifecycle.state === 'closing')
    served.process.emit('SIGTERM')
    t.strictSame(served.process.exits, [], 'what is under way is not cut off')
    slow.resolve()
    await closing
    await waitUntil(() => served.process.exits.length > 0)
    t.strictSame(served.process.exits, [0])
  },
)

t.test('what was said before there was an application holds for it', async (t) => {
  const process = new FakeProcess()
  const log = new KeptLog()
  const life = new Lifecycle({ process, log, drainMs: 0 })
  life.cordon('a look at its start')
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(health)
  await app.register(lifecycle, { lifecycle: life })
  app.get('/', async () => 'hello')
  await app.listen({ port: 0, host: '127.0.0.1' })
  await waitUntil(() => life.state === 'cordoned')
  const { port } = app.server.address() as AddressInfo
  t.match(await answerOf(port, '/readyz'), { status: 503, connection: 'close' })
  t.ok(life.uncordon())
  t.match(await answerOf(port, '/readyz'), { status: 200 })

  const clock = new HandClock()
  const late = new Lifecycle({ process, log, clock })
  const release = Promise.withResolvers<void>()
  const starting = late.phase('connect', () => release.promise)
  process.emit('SIGTERM')
  await t.rejects(starting, errors.StoppedError)
  const second = Fastify()
  await second.register(health)
  await second.register(lifecycle, { lifecycle: late })
  t.match((await second.inject('/readyz')).json(), { status: 'error', phase: 'draining' })
  release.resolve()
  await waitUntil(async () => {
    await clock.advance(50)
    return late.state === 'ended'
  })
  t.match(await late.ended, { exitCode: 0, reason: 'SIGTERM' })
})

t.test('something else that is called health is left alone', async (t) => {
  const served = new FakeProcess()
  const app = Fastify()
  app.decorate('health', { status: 'fine' } as never)
  await app.register(lifecycle, { process: served, log: new KeptLog(), drainMs: 0 })
  await app.listen({ port: 0, host: '127.0.0.1' })
  await waitUntil(() => app.lifecycle.ready)
  app.lifecycle.cordon('test')
  served.emit('SIGTERM')
  t.match(await app.lifecycle.ended, { exitCode: 0 })
})

t.test('HTTPS: requests under way are kept, and who is in a handshake is not waited for', async (t) => {
  const { path: directory, remove } = temporaryDirectory('lifecycle')
  t.teardown(remove)
  const { keyPath, ca: cert } = await makeCertificate({ directory })
  const key = readFileSync(keyPath)
  const served = await servedApp(t, shortly, { server: { https: { key, cert } } })
  await waitUntil(() => served.app.lifecycle.ready)
  const port = portOf(served)
  const mute = new RawConnection(port, t)
  const idle = secureConnect({ port, host: '127.0.0.1', rejectUnauthorized: false })
  idle.on('error', () => {})
  t.teardown(() => idle.destroy())
  await new Promise((resolve) => idle.once('secureConnect', resolve))
  const agent = new SecureAgent({ keepAlive: true, rejectUnauthorized: false })
  t.teardown(() => agent.destroy())
  const answer = new Promise<string | undefined>((resolve, reject) => {
    const asked = secureRequest({ port, host: '127.0.0.1', path: '/gate', agent }, (reply) => {
      reply.resume().on('end', () => resolve(reply.headers.connection))
    })
    asked.on('error', reject).end()
  })
  await waitUntil(() => served.app.lifecycle.snapshot().inFlight === 1)
  t.equal(served.app.lifecycle.snapshot().connections, 3)
  const ending = served.app.lifecycle.stop('test')
  await waitUntil(() => served.app.lifecycle.state === 'closing')
  await waitUntil(() => mute.closed && idle.destroyed)
  served.gate.resolve('secret')
  t.equal(await answer, 'close')
  t.match(await ending, { exitCode: 0, held: [] })
})

t.test('an answer whose headers are out ends its connection by the sweep', async (t) => {
  const served = await servedApp(t, { drainMs: 0 }, { listens: false })
  const { app } = served
  const more = Promise.withResolvers<void>()
  app.get('/stream', (_request, reply) => {
    reply.hijack()
    reply.raw.writeHead(200, { 'content-type': 'text/plain' })
    reply.raw.write('begun, ')
    more.promise.then(() => reply.raw.end('ended'))
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  await waitUntil(() => app.lifecycle.ready)
  const agent = new Agent({ keepAlive: true })
  t.teardown(() => agent.destroy())
  const text = new Promise<string>((resolve, reject) => {
    const asked = request({ port: portOf(served), host: '127.0.0.1', path: '/stream', agent }, (reply) => {
      let heard = ''
      reply.setEncoding('utf8').on('data', (chunk) => {
        heard += chunk
      })
      reply.on('end', () => resolve(heard)).on('error', reject)
    })
    asked.on('error', reject).end()
  })
  await waitUntil(() => app.lifecycle.snapshot().inFlight === 1)
  const ending = app.lifecycle.stop('test')
  await waitUntil(() => app.lifecycle.state === 'closing')
  more.resolve()
  t.equal(await text, 'begun, ended')
  t.match(await ending, { exitCode: 0, held: [], cutRequests: 0 })
})

t.test('the first line of the way down tells the states of breakers', async (t) => {
  const served = await servedApp(t, { drainMs: 0 }, { listens: false })
  await served.app.register(circuitBreaker)
  served.app.circuitBreaker.create('quotes').isolate('the vendor is away')
  await served.app.ready()
  await served.app.lifecycle.stop('test')
  t.match(served.log.line('closing'), { reason: 'test', breakers: { quotes: 'open' } })
  t.match(served.log.line('closed'), { exitCode: 0 })
})

t.test('listen() waits for health, though not for ever', async (t) => {
  const life = new Lifecycle({
    process: new FakeProcess(),
    log: new KeptLog(),
    healthTimeoutMs: 100,
    drainMs: 0,
  })
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(health, {
    checks: {
      database: { severity: 'critical', check: () => Promise.reject(new Error('away')), intervalMs: 20 },
    },
  })
  await app.register(lifecycle, { lifecycle: life })
  await app.ready()
  await life.listen(() => app.listen({ port: 0, host: '127.0.0.1' }))
  t.ok(life.ready)
  t.strictSame(
    life.snapshot().phases.map(({ phase, outcome }) => [phase, outcome]),
    [
      ['health', 'late'],
      ['listen', 'done'],
      ['ready', 'done'],
    ],
  )
})

t.test('it is registered once, with a Lifecycle of its own', async (t) => {
  const served = await servedApp(t, {}, { listens: false })
  await t.rejects(async () => served.app.register(lifecycle), {
    code: 'HOLDFAST_ERR_LIFECYCLE_ALREADY_REGISTERED',
  })
  const other = Fastify()
  t.teardown(() => other.close())
  await t.rejects(
    async () => other.register(lifecycle, { lifecycle: served.app.lifecycle }),
    errors.AlreadyRegisteredError,
  )
  const third = Fastify()
  await t.rejects(async () => third.register(lifecycle, { lifecycle: {} as Lifecycle }), errors.OptionError)
  const fourth = Fastify()
  const life = new Lifecycle({ signals: [], exceptions: false })
  await t.rejects(async () => fourth.register(lifecycle, { lifecycle: life, drainMs: 1 }), {
    message: /"drainMs" must be left out \(accepted: lifecycle, registry, appName\)/,
  })
})

t.test('metrics tell state, phases, connections and requests', async (t) => {
  const registry = new Registry()
  const served = await servedApp(t, { registry, appName: 'shop' })
  await waitUntil(() => served.app.lifecycle.ready)
  const client = new RawConnection(portOf(served), t)
  client.ask('/gate')
  await waitUntil(() => served.app.lifecycle.snapshot().inFlight === 1)
  const text = await registry.metrics()
  t.match(text, /lifecycle_state\{app="shop",state="serving"\} 1\n/)
  t.match(text, /lifecycle_state\{app="shop",state="draining"\} 0\n/)
  t.match(text, /lifecycle_startup_phase_seconds\{app="shop",phase="ready"\} \d/)
  t.match(text, /lifecycle_startup_phases_late\{app="shop"\} 0\n/)
  t.match(text, /lifecycle_startup_seconds\{app="shop"\} \d/)
  t.match(text, /lifecycle_connections\{app="shop"\} 1\n/)
  t.match(text, /lifecycle_requests_in_flight\{app="shop"\} 1\n/)
  t.notMatch(text, /lifecycle_shutdown_stage_seconds\{/)
  served.process.emit('SIGTERM')
  t.match(await registry.metrics(), /lifecycle_shutdown_stage_seconds\{app="shop",stage="hold"\} \d/)
})
