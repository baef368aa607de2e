import { statSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { freePort, makeCertificate, startPostgres, temporaryDirectory, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { sendCancelRequest } from '../src/cancel-socket.ts'
import { ConnectionPool } from '../src/connection-pool.ts'
import type { ConnectionPoolSettings } from '../src/pool-settings.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())

/** Runs a statement into its limit, and asks the same connection something else. */
async function cancelsBy(t: Test, settings: ConnectionPoolSettings): Promise<void> {
  const pool = new ConnectionPool({ max: 1, cancelTimeoutMs: 20_000, connectTimeoutMs: 20_000, ...settings })
  t.teardown(() => pool.end())
  const client = await pool.checkout()
  await t.rejects(client.query('select pg_sleep(20)', [], { timeoutMs: 100 }), {
    code: 'HOLDFAST_ERR_POOL_GUARD_QUERY_TIMEOUT',
  })
  t.match((await client.query('select 1 as one')).rows, [{ one: 1 }])
  client.release()
  t.match(pool.totals, { opened: 1, cancelled: 1, destroyedByCancel: 0 })
}

t.test('a CancelRequest takes the way of the connection', async (t) => {
  const { uid, gid } = statSync(postgres.dataDirectory)
  const owner = { name: 'server', uid, gid }
  const { keyPath, certificatePath, ca } = await makeCertificate({ directory: postgres.dataDirectory, owner })
  const admin = new ConnectionPool({ connectionString: postgres.directUrl, max: 1 })
  const client = await admin.checkout()
  for (const statement of [
    `alter system set ssl_key_file = '${keyPath}'`,
    `alter system set ssl_cert_file = '${certificatePath}'`,
    'alter system set ssl = on',
    `alter system set unix_socket_directories = '${postgres.dataDirectory}'`,
    'select pg_reload_conf()',
  ]) {
    await client.query(statement)
  }
  client.release()
  await admin.end()
  const base = { database: 'postgres', user: 'postgres', port: postgres.directPort }

  await t.test('TLS, with the certificate checked', (t) =>
    cancelsBy(t, { connection: { ...base, host: 'localhost', ssl: { ca } } }),
  )
  await t.test('TLS to an address', (t) =>
    cancelsBy(t, { connection: { ...base, host: '127.0.0.1', ssl: { ca } } }),
  )
  await t.test('TLS from the first byte', (t) =>
    cancelsBy(t, { connection: { ...base, host: 'localhost', ssl: { ca }, sslnegotiation: 'direct' } }),
  )
  await t.test('a certificate nobody vouches for is refused', async (t) => {
    const pool = new ConnectionPool({ connection: { ...base, host: 'localhost', ssl: true } })
    t.teardown(() => pool.end())
    await t.rejects(pool.checkout(), { code: 'HOLDFAST_ERR_POOL_GUARD_CONNECT' })
  })
})

t.test('a CancelRequest through a socket file', async (t) => {
  const { path, remove } = temporaryDirectory('socket')
  t.teardown(remove)
  // The socket file leads to the server by a relay, as the server's user may not write here.
  const relay = createServer((socket) => {
    const server = connect(postgres.directPort, '127.0.0.1')
    socket.pipe(server).pipe(socket)
    socket.on('error', () => server.destroy())
    server.on('error', () => socket.destroy())
  })
  await new Promise<void>((resolve) => relay.listen(join(path, '.s.PGSQL.5432'), resolve))
  t.teardown(() => relay.close())
  await cancelsBy(t, { connection: { host: path, port: 5432, user: 'postgres', database: 'postgres' } })
})

t.test('what became of a CancelRequest is told', async (t) => {
  const target = {
    host: '127.0.0.1',
    port: await freePort(),
    ssl: false,
    directTls: false,
    processId: 1,
    secretKey: 2,
  } as const
  t.equal(await sendCancelRequest(target).done, 'never-sent', 'nobody listens')

  let answer = 'N'
  let received = 0
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    open.add(socket)
    socket.on('error', () => {}).on('close', () => open.delete(socket))
    socket.on('data', () => {
      received += 1
      if (answer === 'reset') socket.resetAndDestroy()
      else if (answer !== '') socket.end(answer)
    })
  })
  await new Promise<void>((resolve) => server.listen(target.port, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  t.equal(await sendCancelRequest({ ...target, ssl: true }).done, 'never-sent', 'no TLS there')
  answer = 'reset'
  t.equal(await sendCancelRequest(target).done, 'unknown', 'reset after it was sent')
  answer = ''
  const before = received
  const silent = sendCancelRequest(target)
  await waitUntil(() => received > before)
  silent.abort()
  t.equal(await silent.done, 'unknown', 'given up after it was sent')
  const early = sendCancelRequest(target)
  early.abort()
  t.equal(await early.done, 'never-sent', 'given up before it was sent')
})
