// Clients that send one byte now and then, with the times that production has: they are let go, and nobody waits for them.

import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { exchange } from './raw-exchange.ts'
import { ServiceProcess } from './service-process.ts'

t.setTimeout(180_000)

const DATABASE_URL = 'postgres://nobody@127.0.0.1:1/nothing'
/** REQUEST_TIMEOUT, and one look at the connections more. */
const LONGEST_MS = 12_000
/** What a busy machine may add. */
const SLACK_MS = 3000
const PROBE_EVERY_MS = 20
const PIECE_EVERY_MS = 500

interface SlowClient {
  /** How long it was let be. */
  readonly livedMs: number
  readonly received: string
}

/** Sends `head`, then a byte every second, until the connection ends. */
async function dribble(port: number, head: string): Promise<SlowClient> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  let received = ''
  socket.on('data', (chunk) => {
    received += String(chunk)
  })
  await once(socket, 'connect')
  const beganMs = performance.now()
  socket.write(head)
  const dribbling = setInterval(() => {
    if (socket.writable) socket.write('y')
  }, 1000)
  await once(socket, 'close')
  clearInterval(dribbling)
  return { livedMs: performance.now() - beganMs, received }
}

async function startService(t: Test, environment: Readonly<Record<string, string>> = {}) {
  const service = await ServiceProcess.start(t, {
    DATABASE_URL,
    ENVIRONMENT: 'test',
    ABUSE_MAX_PER_MINUTE: '1000000',
    ...environment,
  })
  return { service, port: Number(new URL(service.url).port) }
}

t.test('200 clients that dribble are let go after 10 s, and probes answer meanwhile', async (t) => {
  const { service, port } = await startService(t)
  const heads = [
    'GET / HTTP/1.1\r\nhost: x\r\nx: ',
    'POST /auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{',
  ]
  const running = { yes: true }
  const clients = Promise.all(
    Array.from({ length: 200 }, (_, index) => dribble(port, heads[index % heads.length] ?? '')),
  ).finally(() => {
    running.yes = false
  })
  const times: number[] = []
  const statuses = new Set<number>()
  while (running.yes) {
    const askedMs = performance.now()
    const answer = await fetch(`${service.url}/healthz`)
    await answer.arrayBuffer()
    statuses.add(answer.status)
    times.push(performance.now() - askedMs)
    await delay(PROBE_EVERY_MS)
  }
  const ended = await clients
  t.same([...statuses], [200])
  const sorted = times.toSorted((a, b) => a - b)
  const p99Ms = sorted[Math.floor(sorted.length * 0.99)] ?? 0
  const lived = ended.map(({ livedMs }) => livedMs)
  t.comment(
    `clients lived ${Math.min(...lived).toFixed(0)} to ${Math.max(...lived).toFixed(0)} ms; ${sorted.length} probes, p99 ${p99Ms.toFixed(1)} ms`,
  )
  t.ok(Math.min(...lived) >= 9000, 'an honest client has ten seconds')
  t.ok(Math.max(...lived) <= LONGEST_MS + SLACK_MS, 'and no more')
  for (const { received } of ended) {
    t.match(
      received,
      /^HTTP\/1\.1 408 [\s\S]*x-content-type-options: nosniff[\s\S]*"error":"request_timeout"/,
    )
  }
})

t.test('a body that comes slowly and whole is taken', async (t) => {
  const { port } = await startService(t)
  const body = JSON.stringify({ email: 'a@b.example', tenant: 'acme' })
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  let received = ''
  const answered = new Promise<void>((resolve) => {
    socket.on('data', (chunk) => {
      received += String(chunk)
      resolve()
    })
  })
  socket.write(
    `POST /auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`,
  )
  const pieces = [...body.matchAll(/.{1,10}/g)].map(([piece]) => piece)
  for (const piece of pieces) {
    socket.write(piece)
    await delay(PIECE_EVERY_MS)
  }
  await answered
  t.match(received, /^HTTP\/1\.1 400 [\s\S]*"detail":"the body must have required property 'password'"/)
})

t.test('more connections than there may be are closed at once, and the others stay', async (t) => {
  const { service, port } = await startService(t, { MAX_CONNECTIONS: '20' })
  const held = Array.from({ length: 20 }, () => connect(port, '127.0.0.1'))
  t.teardown(() => {
    for (const socket of held) socket.destroy()
  })
  await Promise.all(held.map((socket) => once(socket, 'connect')))
  const refused = connect(port, '127.0.0.1')
  refused.on('error', () => undefined)
  refused.resume()
  await once(refused, 'close')
  const [first] = held
  first?.write('GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n')
  const [answer] = first === undefined ? [] : await once(first, 'data')
  t.match(String(answer), /^HTTP\/1\.1 200 /)
  await waitUntil(() =>
    /"max_connections":20,"msg":"connections are closed, there are too many"/.test(service.stdout),
  )
  held[1]?.destroy()
  await waitUntil(
    async () => (await fetch(`${service.url}/healthz`).catch(() => undefined))?.status === 200,
    { what: 'the place of a client that has left' },
  )
})

t.test(
  'a connection that has carried the most requests it may is told so, and carries no more',
  async (t) => {
    const { port } = await startService(t, { MAX_REQUESTS_PER_SOCKET: '3' })
    const request = 'GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n'
    const answers = await exchange(port, request.repeat(4))
    t.same(
      answers.map(({ status }) => status),
      [200, 200, 200, 503],
    )
    t.equal(answers[2]?.headers.get('connection'), 'close')
    t.equal(answers[3]?.headers.get('x-content-type-options'), 'nosniff')
  },
)
