import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { createServer, type TlsOptions } from 'node:tls'
import {
  askRedis,
  freePort,
  makeCertificate,
  startRedis,
  startRedisSentinel,
  TcpProxy,
  temporaryDirectory,
  waitUntil,
} from '@holdfast/test-kit'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { GuardedRedis, type GuardedRedisOptions } from '../src/index.ts'
import { count } from './outage.ts'

const patient = { budgetMs: 10_000 }
const rejections: unknown[] = []
process.on('unhandledRejection', (reason) => rejections.push(reason))

const { path: directory, remove } = temporaryDirectory('redis-tls')
t.teardown(remove)
const ours = await makeCertificate({ directory })
const theirs = await makeCertificate({ directory, name: 'redis.example' })
const tlsPort = await freePort()
const server = await startRedis({
  args: Object.entries({
    'tls-port': tlsPort,
    'tls-cert-file': ours.certificatePath,
    'tls-key-file': ours.keyPath,
    'tls-ca-cert-file': ours.certificatePath,
    'tls-auth-clients': 'no',
  }).flatMap(([name, value]) => [`--${name}`, String(value)]),
})
t.teardown(() => server.stop())
const proxy = await TcpProxy.start({ targetPort: tlsPort })
t.teardown(() => proxy.close())
const url = `rediss://localhost:${proxy.port}`

function guardOf(t: Test, options: GuardedRedisOptions): GuardedRedis {
  const guard = new GuardedRedis({ ...patient, connectTimeoutMs: 5000, ...options })
  t.teardown(() => guard.close())
  return guard
}

t.test('calls, batches and messages travel over TLS', async (t) => {
  const tls = { ca: ours.ca }
  const client = new Redis(url, { tls, lazyConnect: true })
  t.teardown(() => client.disconnect())
  const ways = [
    { url, connection: { tls } },
    { connection: { host: '127.0.0.1', port: tlsPort, tls } },
    { client },
  ]
  for (const options of ways) {
    const guard = guardOf(t, options)
    t.equal(await guard.ready(10_000), true)
    const key = guard.key('tls', 'a')
    await askRedis(server.directPort, 'DEL', key)
    const counts = [1, 1, 1].map((by) => guard.run(count, [key], [by], patient))
    t.strictSame(await Promise.all(counts), [1, 2, 3])
    t.equal(guard.snapshot().batches, 1)
    const heard: string[] = []
    guard.subscribe('news', { onMessage: (payload) => void heard.push(String(payload)), onGap() {} })
    await waitUntil(() => guard.listening('news'))
    await guard.publish('news', 'sealed')
    await waitUntil(() => heard.includes('sealed'))
    await guard.close()
  }
})

t.test('a server that freezes is noticed, and used again', async (t) => {
  const settings = { budgetMs: 50, heartbeatMs: 600_000 }
  const guard = guardOf(t, { ...settings, url, connection: { tls: { ca: ours.ca } } })
  t.equal(await guard.ready(10_000), true)
  server.freeze()
  await t.rejects(guard.call('PING'), { code: 'HOLDFAST_ERR_REDIS_GUARD_BUDGET', mayHaveRun: true })
  await t.rejects(guard.call('PING'), { code: 'HOLDFAST_ERR_REDIS_GUARD_UNAVAILABLE', mayHaveRun: false })
  server.thaw()
  t.equal(await guard.ready(20_000), true)
})

t.test('a handshake that does not end has an end', async (t) => {
  proxy.blackhole()
  t.teardown(() => proxy.heal())
  const guard = guardOf(t, { url, connectTimeoutMs: 100, connection: { tls: { ca: ours.ca } } })
  await waitUntil(() => guard.snapshot().failedProbes > 1)
  t.match(guard.snapshot().reason, /within 100 ms|connect/)
  await proxy.heal()
})

t.test('a server that cannot be trusted is not used, and the reason is told', async (t) => {
  const plain = server.directPort
  const wrong: readonly [string, GuardedRedisOptions, RegExp][] = [
    ['nobody vouches for it', { url }, /self-signed certificate/],
    ['somebody else does', { url, connection: { tls: { ca: theirs.ca } } }, /self-signed certificate/],
    [
      'it has another name',
      { url, connection: { tls: { ca: ours.ca, servername: 'redis.example' } } },
      /does not match certificate/,
    ],
    // It goes on waiting for the end of what it takes for a command.
    [
      'it does not speak TLS',
      { url: `rediss://localhost:${plain}`, connectTimeoutMs: 100 },
      /within 100 ms|ETIMEDOUT/,
    ],
    ['it speaks only TLS', { url: `redis://localhost:${tlsPort}` }, /ECONNRESET|EPIPE|ended|closed/i],
  ]
  for (const [why, options, reason] of wrong) {
    await t.test(why, async (t) => {
      const guard = guardOf(t, options)
      await waitUntil(() => guard.snapshot().failedProbes > 1)
      t.match(guard.snapshot().reason, reason)
      t.comment(String(guard.snapshot().reason))
      const refused = { code: 'HOLDFAST_ERR_REDIS_GUARD_UNAVAILABLE', message: reason, mayHaveRun: false }
      await t.rejects(guard.call('PING'), refused)
      t.match(guard.healthCheck(), { status: 'unhealthy', reason })
      t.equal(guard.available, false)
    })
  }
})

t.test('a certificate that is put right is accepted without a restart', async (t) => {
  const present = (certificate: typeof ours) =>
    askRedis(
      server.directPort,
      ...['CONFIG', 'SET', 'tls-cert-file', certificate.certificatePath, 'tls-key-file', certificate.keyPath],
    )
  t.equal(await present(theirs), 'OK')
  const guard = guardOf(t, { url, connection: { tls: { ca: ours.ca } } })
  await waitUntil(() => guard.snapshot().failedProbes > 0)
  t.equal(await present(ours), 'OK')
  t.equal(await guard.ready(10_000), true)
})

t.test('sentinels and the master behind them, over TLS', async (t) => {
  const set = await startRedisSentinel()
  t.teardown(() => set.stop())
  // In the place of servers that speak TLS themselves.
  const terminal = async (port: number) => {
    const options: TlsOptions = { key: await readFile(ours.keyPath), cert: ours.ca }
    const sockets = new Set<Socket>()
    const tls = createServer(options, (socket) => {
      const inner = connect(port, '127.0.0.1')
      socket.pipe(inner).pipe(socket)
      for (const each of [socket, inner]) {
        sockets.add(each)
        each.on('error', () => {}).on('close', () => (each === socket ? inner : socket).destroy())
      }
    })
    tls.on('tlsClientError', () => {})
    tls.listen(0, '127.0.0.1')
    await once(tls, 'listening')
    t.teardown(() => {
      for (const socket of sockets) socket.destroy()
      tls.close()
    })
    return { host: '127.0.0.1', port: (tls.address() as { port: number }).port }
  }
  const secured = async (port: number) => [`127.0.0.1:${port}`, await terminal(port)] as const
  const servers = [...set.nodes, ...set.sentinels]
  const natMap = Object.fromEntries(await Promise.all(servers.map(({ directPort }) => secured(directPort))))
  const tls = { ca: ours.ca }
  const sentinels = set.sentinels.map(({ directPort }) => natMap[`127.0.0.1:${directPort}`])
  const guard = guardOf(t, {
    connection: { sentinels, name: set.name, natMap, tls, sentinelTLS: tls, enableTLSForSentinelMode: true },
  })
  t.equal(await guard.ready(10_000), true)
  await waitUntil(() => guard.snapshot().sentinels.listening === 3)
  const master = await set.failover()
  await waitUntil(() => guard.snapshot().sentinels.switches === 1)
  t.equal(await guard.ready(10_000), true)
  const written = await guard.run(count, [guard.key('tls', 'b')], [1], patient)
  t.equal(await askRedis(master.directPort, 'GET', guard.key('tls', 'b')), String(written))
})

t.test('nothing was rejected behind our back', async (t) => {
  t.strictSame(rejections, [])
})
