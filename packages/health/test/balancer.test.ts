import { connect } from 'node:net'
import { startHaproxy, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { appWithHealth, portOf } from './app-with-health.ts'

/** What a server answers to raw bytes, until it closes the connection. */
function exchange(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
    let answer = ''
    socket.setEncoding('latin1')
    socket.on('data', (chunk) => (answer += chunk))
    socket.on('end', () => resolve(answer))
    socket.on('error', reject)
  })
}

t.test('the probes of balancers over HTTP/1.0 without Host are answered like GET', async (t) => {
  let up = true
  const app = await appWithHealth(t, {
    checks: {
      ledger: {
        check: () => (up ? undefined : { status: 'unhealthy' as const }),
        severity: 'critical',
        intervalMs: 10,
        timeoutMs: 1000,
      },
    },
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  await app.health.confirmed()
  const port = portOf(app.server)
  for (const method of ['OPTIONS', 'GET']) {
    const answer = await exchange(port, `${method} /readyz HTTP/1.0\r\n\r\n`)
    t.match(answer, /^HTTP\/1\.[01] 200 OK\r\n/, method)
    t.match(answer, /\r\ncache-control: no-store\r\n/i)
    t.match(answer, /\r\n\r\n\{"status":"ok"/)
  }
  const head = await exchange(port, 'HEAD /readyz HTTP/1.0\r\n\r\n')
  t.match(head, /^HTTP\/1\.[01] 200 OK\r\n/)
  t.match(head, /content-length: [1-9]/i)
  t.match(head, /\r\n\r\n$/, 'no body')
  up = false
  while (app.health.snapshot().status !== 'error') await new Promise((resolve) => setTimeout(resolve, 5))
  t.match(
    await exchange(port, 'OPTIONS /readyz HTTP/1.0\r\n\r\n'),
    /^HTTP\/1\.[01] 503 Service Unavailable\r\n/,
  )
  t.match(await exchange(port, 'GET /healthz HTTP/1.0\r\n\r\n'), /^HTTP\/1\.[01] 200 OK\r\n/)
})

t.test('HAProxy takes an instance out when it drains and keeps the other', async (t) => {
  const apps = await Promise.all(['one', 'two'].map((service) => appWithHealth(t, { service })))
  for (const app of apps) await app.listen({ host: '127.0.0.1', port: 0 })
  const haproxy = await startHaproxy({
    config: [
      'defaults',
      '  mode http',
      '  timeout connect 1s',
      '  timeout client 5s',
      '  timeout server 5s',
      'listen front',
      '  bind "127.0.0.1:$PORT"',
      // Without a method this sends OPTIONS over HTTP/1.0, and no Host.
      '  option httpchk /readyz',
      ...apps.map(
        (app, index) => `  server s${index} 127.0.0.1:${portOf(app.server)} check inter 50ms fall 1 rise 1`,
      ),
    ].join('\n'),
  })
  t.teardown(() => haproxy.stop())
  const seen = async (): Promise<string> => {
    const services = new Set<string>()
    for (let index = 0; index < 10; index += 1) {
      const response = await fetch(`${haproxy.directUrl}/healthz`, { headers: { connection: 'close' } })
      services.add(
        response.status === 200 ? ((await response.json()) as { service: string }).service : 'none',
      )
    }
    return [...services].sort().join(' ')
  }
  await waitUntil(async () => (await seen()) === 'one two', { what: 'both in rotation' })
  apps[0]?.health.drain()
  await waitUntil(async () => (await seen()) === 'two', { what: 'the drained one out of rotation' })
  t.equal((await apps[0]?.inject('/livez'))?.statusCode, 200)
  apps[1]?.health.drain()
  await waitUntil(async () => (await seen()) === 'none', { what: 'both out of rotation' })
})
