import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { MessageChannel, type Worker } from 'node:worker_threads'
import { waitUntil } from '@holdfast/test-kit'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { Heartbeat } from '../src/heartbeat.ts'
import { health } from '../src/index.ts'
import { type LivenessServerOptions, serveLiveness } from '../src/liveness-server.ts'
import { runLivenessThread } from '../src/liveness-thread.ts'
import { appWithHealth, portOf } from './app-with-health.ts'

/** Remembers the workers that this process starts. */
function workers(t: Test): Worker[] {
  const seen: Worker[] = []
  const listener = (worker: Worker) => seen.push(worker)
  process.on('worker', listener)
  t.teardown(() => process.off('worker', listener))
  return seen
}

t.test('the server tells a busy loop from a dead one by the heartbeat alone', async (t) => {
  let nowNs = 0n
  const heartbeat = new Heartbeat()
  const clock = { nowNs: () => nowNs, wallMs: () => 1_700_000_000_000 }
  const options = { host: '127.0.0.1', port: 0, maxStallMs: 2000, heartbeat: heartbeat.memory }
  const server = await serveLiveness(options, clock)
  t.teardown(() => server.close())
  const base = `http://127.0.0.1:${portOf(server)}`
  const ask = async (path: string, method = 'GET') => {
    const response = await fetch(base + path, { method })
    return {
      status: response.status,
      body: method === 'HEAD' ? await response.text() : await response.json(),
    }
  }
  heartbeat.beat(true, nowNs)
  for (const path of ['/livez', '/live', '/health/live', '/livez?verbose']) {
    t.strictSame(await ask(path), {
      status: 200,
      body: { status: 'ok', timestamp: '2023-11-14T22:13:20.000Z', stalled_ms: 0 },
    })
  }
  t.strictSame(await ask('/livez', 'HEAD'), { status: 200, body: '' })
  t.match(await ask('/livez', 'OPTIONS'), { status: 200 })
  t.match(await ask('/livez', 'POST'), { status: 405, body: { methods: ['GET', 'HEAD', 'OPTIONS'] } })
  t.match(await ask('/readyz'), { status: 404, body: { paths: ['/livez', '/live', '/health/live'] } })
  nowNs += 2_000_000_000n
  t.match(await ask('/livez'), { status: 200, body: { stalled_ms: 2000 } })
  nowNs += 1_000_000n
  t.match(await ask('/livez'), { status: 503, body: { status: 'error', stalled_ms: 2001 } })
  heartbeat.beat(true, nowNs)
  t.match(await ask('/livez'), { status: 200 }, 'it recovers at the next beat')
  heartbeat.beat(false, nowNs)
  t.match(await ask('/livez'), { status: 503, body: { stalled_ms: 0 } }, 'a failed live check counts as well')
  heartbeat.beat(true, nowNs + 5n)
  t.equal(heartbeat.stalledMs(nowNs), 0, 'never below 0')
})

t.test('the thread says where it listens, or why it cannot', async (t) => {
  const run = async (options: Partial<LivenessServerOptions>) => {
    const { port1, port2 } = new MessageChannel()
    t.teardown(() => port1.close())
    const said = once(port1, 'message')
    const server = await runLivenessThread(
      { host: '127.0.0.1', port: 0, maxStallMs: 2000, heartbeat: new Heartbeat().memory, ...options },
      port2,
    )
    t.teardown(() => server?.close())
    return (await said)[0]
  }
  const { port } = await run({})
  t.equal((await fetch(`http://127.0.0.1:${port}/livez`)).status, 503, 'nothing ever beat there')
  t.match(await run({ port }), { problem: /EADDRINUSE/ })
})

t.test('the worker answers in milliseconds while the main loop is blocked for 3 s', async (t) => {
  const file = new URL('blocking-service.ts', import.meta.url).pathname
  const service = spawn(process.execPath, [...process.execArgv, file, '1500'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.teardown(() => service.kill('SIGKILL'))
  const lines = createInterface({ input: service.stdout })[Symbol.asyncIterator]()
  const nextLine = async () => JSON.parse(String((await lines.next()).value))
  const ports: { main: number; worker: number } = await nextLine()
  const livez = `http://127.0.0.1:${ports.worker}/livez`
  t.equal((await fetch(livez)).status, 200)

  const answers: { atMs: number; tookMs: number; status: number; stalledMs: number }[] = []
  const startMs = performance.now()
  service.stdin.write('3000\n')
  // Its beats end with the block alone, so 503 is said while it lasts.
  while (answers.at(-1)?.status !== 503 && performance.now() - startMs < 10_000) {
    const atMs = performance.now() - startMs
    const response = await fetch(livez)
    const { stalled_ms: stalledMs } = (await response.json()) as { stalled_ms: number }
    answers.push({ atMs, tookMs: performance.now() - startMs - atMs, status: response.status, stalledMs })
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  t.match(await nextLine(), { blockedMs: 3000 })
  const durations = answers.map(({ tookMs }) => tookMs).sort((a, b) => a - b)
  t.comment(`${answers.length} answers, median ${durations[durations.length >> 1]?.toFixed(1)} ms`)
  t.ok(answers.length > 1, 'it answered all the time')
  for (const { status, stalledMs } of answers) {
    if (stalledMs > 1500 !== (status === 503)) t.fail('503 exactly past maxStallMs', { status, stalledMs })
  }
  t.equal(answers[0]?.status, 200)
  t.equal(answers.at(-1)?.status, 503)
  await waitUntil(async () => (await fetch(livez)).status === 200, { what: 'recovery' })
  t.equal((await fetch(`http://127.0.0.1:${ports.main}/livez`)).status, 200)
})

t.test(
  'a worker port that is taken fails the start with a clear error, and nothing is left running',
  async (t) => {
    const seen = workers(t)
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    t.teardown(() => other.close())
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(health, { livenessWorker: { port: portOf(other) } })
    await t.rejects(async () => app.ready(), {
      code: 'HOLDFAST_ERR_HEALTH_LIVENESS_LISTEN',
      message: /cannot listen on 127\.0\.0\.1:\d+: listen EADDRINUSE.*choose another "livenessWorker.port"/,
    })
    await waitUntil(() => seen[0]?.threadId === -1, { what: 'the end of the thread' })
    t.equal(seen.length, 1)
  },
)

t.test('a worker that dies is started again on its port, until the application closes', async (t) => {
  const seen = workers(t)
  const lines: string[] = []
  const app = await appWithHealth(
    t,
    { livenessWorker: { port: 0 } },
    { logger: { level: 'warn', stream: { write: (line) => lines.push(line) } } },
  )
  const livez = `http://127.0.0.1:${app.health.livenessWorker?.port}/livez`
  t.equal((await fetch(livez)).status, 200)
  await seen[0]?.terminate()
  await t.rejects(fetch(livez))
  await waitUntil(
    () =>
      fetch(livez).then(
        (response) => response.status === 200,
        () => false,
      ),
    { what: 'a new thread' },
  )
  t.equal(seen.length, 2)
  t.match(lines, [/the liveness thread ended, it is started again/])

  await seen[1]?.terminate()
  const taken = createServer()
  await new Promise<void>((resolve) => taken.listen(app.health.livenessWorker?.port, '127.0.0.1', resolve))
  await waitUntil(() => lines.length >= 3, { what: 'a restart that finds the port taken' })
  t.match(lines[2], /EADDRINUSE/)
  await new Promise((resolve) => taken.close(resolve))
  await waitUntil(
    () =>
      fetch(livez).then(
        (response) => response.status === 200,
        () => false,
      ),
    { what: 'a new thread' },
  )

  await app.close()
  await t.rejects(fetch(livez), 'it is gone')
  const count = seen.length
  await new Promise((resolve) => setTimeout(resolve, 1100))
  t.equal(seen.length, count, 'and stays away')
})

t.test('a critical live check that fails reaches the worker', async (t) => {
  let up = true
  const app = await appWithHealth(t, {
    livenessWorker: { port: 0 },
    checks: {
      loop: {
        check: () => (up ? undefined : { status: 'unhealthy' as const }),
        severity: 'critical',
        groups: ['live'],
        intervalMs: 20,
        timeoutMs: 1000,
      },
    },
  })
  const status = async () => (await fetch(`http://127.0.0.1:${app.health.livenessWorker?.port}/livez`)).status
  t.equal(await status(), 200)
  up = false
  await waitUntil(async () => (await status()) === 503, { what: '503' })
})
