// The rarer ways down: plugins that fail, servers of another kind, more of everything than can be named.

import { readFileSync } from 'node:fs'
import { connect as connectHttp2 } from 'node:http2'
import { HandClock, makeCertificate, RawConnection, temporaryDirectory, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { Lifecycle, type ServedApplication } from '../src/index.ts'
import { FakeProcess, KeptLog } from './fake-process.ts'
import { portOf, servedApp } from './served-app.ts'

t.setTimeout(60_000)

/** An application of which a test says how it closes. */
function lifecycleOf(close: () => Promise<unknown>, report: () => object = () => ({})) {
  const clock = new HandClock()
  const process = new FakeProcess()
  const log = new KeptLog()
  const life = new Lifecycle({ clock, process, drainMs: 0, closeTimeoutMs: 1000 })
  // One of HTTP/2, as far as a lifecycle looks: it has no connections to count.
  const server = { listening: false, once: () => undefined, updateSettings: () => undefined }
  const app: ServedApplication = { server, close }
  life.attach(app, { health: () => undefined, report }, log)
  life.started()
  return { clock, process, log, life }
}

t.test('a plugin that fails to close is told and named, and what comes after has its turn', async (t) => {
  const { clock, process, log, life } = lifecycleOf(async () => {
    throw new Error('the pool is stuck')
  })
  const order: string[] = []
  life.onClose('database', () => void order.push('database'))
  process.emit('SIGTERM')
  await clock.advance(100)
  t.match(await life.ended, { exitCode: 1, held: ['a plugin that failed to close'] })
  t.strictSame(order, ['database'])
  t.match(log.line('a plugin failed to close'), { err: { message: 'the pool is stuck' } })
})

t.test(
  'close steps wait for all plugins, and their time does not count as that of the plugins',
  async (t) => {
    const closing = Promise.withResolvers<void>()
    const { clock, process, life } = lifecycleOf(() => closing.promise)
    const order: string[] = []
    life.onClose('slow', () => {
      order.push('slow')
      return new Promise<void>((resolve) => clock.schedule(3000, resolve))
    })
    process.emit('SIGTERM')
    await clock.advance(500)
    t.strictSame(order, [])
    closing.resolve()
    await clock.advance(3100)
    t.match(await life.ended, { exitCode: 0, held: [] })
  },
)

t.test('plugins that do not close are left behind in time', async (t) => {
  const { clock, process, life } = lifecycleOf(() => new Promise(() => {}))
  process.emit('SIGTERM')
  // No connections can be seen, so the requests have their time first.
  await clock.advance(10_000 + 1000 + 1000 + 200)
  t.match(await life.ended, { exitCode: 1, held: ['plugins that close (onClose hooks)'] })
})

t.test('a report that fails keeps nothing from ending', async (t) => {
  const { clock, process, life, log } = lifecycleOf(
    async () => {},
    () => {
      throw new Error('no breakers')
    },
  )
  process.emit('SIGTERM')
  await clock.advance(100)
  t.match(await life.ended, { exitCode: 0 })
  t.strictSame(log.line('closing'), { reason: 'SIGTERM' })
})

t.test('an exception on the way down makes it 1', async (t) => {
  const { clock, process, life } = lifecycleOf(async () => {})
  process.emit('SIGTERM')
  process.emit('uncaughtException', new Error('late'))
  await clock.advance(100)
  t.match(await life.ended, { exitCode: 1, reason: 'SIGTERM' })
})

t.test('of many requests that hang ten are named, and all are counted', async (t) => {
  const served = await servedApp(t, { drainMs: 0, requestTimeoutMs: 100, abortGraceMs: 0 })
  await waitUntil(() => served.app.lifecycle.ready)
  const port = portOf(served)
  const clients = Array.from({ length: 12 }, () => new RawConnection(port, t))
  for (const client of clients) client.ask(`/gate?${'x'.repeat(300)}`)
  await waitUntil(() => served.app.lifecycle.snapshot().inFlight === 12)
  const ending = await served.app.lifecycle.stop('test')
  t.match(ending, { exitCode: 1, cutRequests: 12 })
  t.strictSame(
    ending.held,
    Array.from({ length: 10 }, () => 'request GET /gate'),
  )
})

t.test('a handshake that never ends is cut with the rest', async (t) => {
  const { key, cert } = await certificate(t)
  const served = await servedApp(
    t,
    { drainMs: 0, requestTimeoutMs: 0, abortGraceMs: 0 },
    { server: { https: { key, cert } } },
  )
  await waitUntil(() => served.app.lifecycle.ready)
  const mute = new RawConnection(portOf(served), t)
  await waitUntil(() => served.app.lifecycle.snapshot().connections === 1)
  t.match(await served.app.lifecycle.stop('test'), { exitCode: 0, cutRequests: 0 })
  await waitUntil(() => mute.closed)
})

t.test('HTTP/2 is left to Fastify, and ends in order', async (t) => {
  const { key, cert } = await certificate(t)
  const served = await servedApp(t, { drainMs: 0 }, { server: { http2: true, https: { key, cert } } })
  await waitUntil(() => served.app.lifecycle.ready)
  const session = connectHttp2(`https://127.0.0.1:${portOf(served)}`, { rejectUnauthorized: false })
  session.on('error', () => {})
  t.teardown(() => session.destroy())
  const stream = session.request({ ':path': '/' })
  let text = ''
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  await waitUntil(() => text === 'hello')
  t.match(served.app.lifecycle.snapshot(), { connections: 0, inFlight: 0 })
  t.match(await served.app.lifecycle.stop('test'), { exitCode: 0, held: [] })
})

async function certificate(t: Test) {
  const { path: directory, remove } = temporaryDirectory('lifecycle')
  t.teardown(remove)
  const { keyPath, ca } = await makeCertificate({ directory })
  return { key: readFileSync(keyPath), cert: ca }
}
