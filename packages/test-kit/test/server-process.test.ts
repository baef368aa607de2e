import { once } from 'node:events'
import { access } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { freePort, isFree } from '../src/free-port.ts'
import { startHaproxy } from '../src/haproxy.ts'
import { startNginx } from '../src/nginx.ts'
import { startPgBouncer } from '../src/pgbouncer.ts'
import { startPostgres } from '../src/postgres.ts'
import { descendants, isRunning } from '../src/process-tree.ts'
import { startRealServer } from '../src/real-server.ts'
import { startRedis } from '../src/redis.ts'
import { ServerProcess } from '../src/server-process.ts'
import { probeTcp } from '../src/tcp-probe.ts'
import { temporaryDirectory } from '../src/temporary-directory.ts'
import { query } from './subjects.ts'

const code = 'HOLDFAST_ERR_TEST_KIT_START_FAILED'

/** A line of shell that runs as a server, and is ready at once. */
async function shell(line: string) {
  return {
    name: 'a shell',
    port: await freePort(),
    command: '/bin/sh',
    args: ['-c', line],
    directory: '/',
    probe: async () => {},
    stopSignal: 'SIGTERM' as const,
  }
}

t.test('a program that does not exist fails at once', async (t) => {
  const spec = { ...(await shell('')), command: '/nonexistent/server', startTimeoutMs: 5000 }
  await t.rejects(ServerProcess.start({ ...spec, probe: () => Promise.reject(new Error('not yet')) }), {
    code,
  })
})

t.test('a server that ends while it starts fails with its log', async (t) => {
  const spec = await shell('echo to output; echo to error >&2; exit 3')
  const start = ServerProcess.start({ ...spec, probe: () => Promise.reject(new Error('not yet')) })
  await t.rejects(start, { code, message: /ended with 3.*to output/s })
  await t.rejects(start, { message: /to error/ })
})

t.test('a server that never answers is given up, and ended', async (t) => {
  const start = ServerProcess.start({
    ...(await shell('echo $$; exec sleep 60')),
    startTimeoutMs: 300,
    probe: () => Promise.reject(new Error('not yet')),
  })
  const error: unknown = await start.catch((error) => error)
  t.match(error, { code, message: /an answer did not come true within 300 ms/ })
  t.notOk(isRunning(Number(String(error).split('\n')[1])))
})

t.test('a server that does not want to end is killed, with its children', async (t) => {
  const { path, remove } = temporaryDirectory('stubborn')
  t.teardown(remove)
  const spec = await shell('trap "" TERM; sleep 60 & touch ready; while :; do sleep 0.1; done')
  const server = await ServerProcess.start({
    ...spec,
    directory: path,
    probe: () => access(join(path, 'ready')),
    stopTimeoutMs: 200,
  })
  const pids = [server.pid, ...descendants(server.pid)]
  t.ok(server.running && pids.length >= 2)
  const startMs = performance.now()
  await server.stop()
  t.ok(performance.now() - startMs >= 200, 'it had its time')
  t.notOk(server.running)
  t.notOk(pids.some(isRunning))
  server.freeze()
  server.thaw()
})

t.test('does not mistake another server on its port for itself', async (t) => {
  const other = createServer((socket) => socket.end('+PONG'))
  other.listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => other.close())
  const address = other.address()
  const port = address !== null && typeof address !== 'string' ? address.port : 0
  t.notOk(await isFree(port))
  await t.rejects(startRedis({ port }), { code, message: new RegExp(`port ${port} is already in use`) })
})

t.test('takes another port when somebody was faster', async (t) => {
  let attempts = 0
  const server = await startRealServer({
    url: (port) => `tcp://127.0.0.1:${port}`,
    spec: async () => {
      attempts += 1
      const spec = await shell(attempts === 1 ? 'echo bind: Address already in use; exit 1' : 'exec sleep 60')
      return {
        ...spec,
        probe: () => (attempts === 1 ? Promise.reject(new Error('not yet')) : Promise.resolve()),
      }
    },
  })
  t.equal(attempts, 2)
  await server.stop()
  let cleaned = 0
  const hopeless = startRealServer({
    url: () => '',
    spec: async () => ({
      ...(await shell('echo Cannot bind; exit 1')),
      probe: () => Promise.reject(new Error('no')),
    }),
    cleanUp: async () => {
      cleaned += 1
    },
  })
  await t.rejects(hopeless, { code, message: /Cannot bind/ })
  t.equal(cleaned, 1)
})

t.test('a probe wants the answer that it was told', async (t) => {
  const server = createServer((socket) => socket.on('error', () => {}).end('-ERR'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const address = server.address()
  const port = address !== null && typeof address !== 'string' ? address.port : 0
  await probeTcp(port, '', '')
  await probeTcp(port, 'PING', '-ERR')
  await t.rejects(probeTcp(port, 'PING', '+PONG'), { message: /answered -ERR/ })
})

t.test('servers take more settings, and say what is wrong with them', async (t) => {
  const redis = await startRedis({ args: ['--maxmemory', '20mb', '--appendonly', 'no'] })
  t.teardown(() => redis.stop())
  t.match(redis.logText(), /Ready to accept connections/)
  t.equal(redis.url, `redis://127.0.0.1:${redis.port}`)
  await t.rejects(startRedis({ args: ['--nonsense', '1'] }), { code, message: /nonsense/ })
  await t.rejects(startHaproxy({ config: 'nonsense # $PORT' }), {
    code,
    message: /unknown keyword 'nonsense'/,
  })
  await t.rejects(startHaproxy({ config: 'defaults' }), { message: /must bind/ })
  await t.rejects(startNginx({ http: 'nonsense; # 127.0.0.1:$PORT' }), {
    code,
    message: /unknown directive "nonsense"/,
  })
  await t.rejects(startNginx({ http: 'server {}' }), { message: /must listen/ })
})

t.test(
  'PgBouncer runs with a configuration from elsewhere, with this machine for its addresses',
  async (t) => {
    const target = await startPostgres()
    t.teardown(() => target.stop())
    const text = `[databases]
shop = host=db.example port=5432 dbname=postgres user=postgres pool_size=3

[pgbouncer]
listen_port = 6432
auth_type = any
admin_users = boss
max_client_conn = 40`
    const configuration = { text, users: '' }
    const bouncer = await startPgBouncer({ target, configuration, settings: { max_client_conn: '50' } })
    t.teardown(() => bouncer.stop())
    const url = (user: string, database: string) =>
      `postgresql://${user}@127.0.0.1:${bouncer.port}/${database}`
    t.same(await query(url('anybody', 'shop'), 'select 1 as one'), [{ one: 1 }])
    await t.rejects(query(url('anybody', 'other'), 'select 1'))
    t.match(await query(url('boss', 'pgbouncer'), 'show databases'), [
      { name: 'pgbouncer' },
      { pool_size: 3 },
    ])
    t.match(bouncer.logText(), /max_client_conn: 50/)
  },
)

t.test('PgBouncer knows the password of its PostgreSQL, and takes settings', async (t) => {
  const target = await startPostgres()
  t.teardown(() => target.stop())
  await query(target.url, "create role guest login superuser password 'secret'")
  const url = target.url.replace('postgres@', 'guest:secret@')
  const bouncer = await startPgBouncer({ target: { url }, settings: { pool_mode: 'session' } })
  t.teardown(() => bouncer.stop())
  t.same(await query(bouncer.url, 'select current_user::text as name'), [{ name: 'guest' }])
  const before = target.proxy.connections
  t.ok(before > 0, 'it goes through the proxy of its target')
})
