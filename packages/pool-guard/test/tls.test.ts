import { statSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  makeCertificate,
  startPgBouncer,
  startPostgres,
  type TestCertificate,
  waitUntil,
} from '@holdfast/test-kit'
import { Client } from 'pg'
import t, { type Test } from 'tap'
import { sendCancelRequest } from '../src/cancel-socket.ts'
import { PoolGuard } from '../src/index.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
const { uid, gid } = statSync(postgres.dataDirectory)
const owner = { name: 'server', uid, gid }
const ours = await makeCertificate({ directory: postgres.dataDirectory, owner })
const theirs = await makeCertificate({ directory: postgres.dataDirectory, owner, name: 'database.example' })

const admin = guardOf(t, postgres.directUrl)
const present = async ({ keyPath, certificatePath }: TestCertificate) => {
  for (const [name, value] of Object.entries({
    ssl_key_file: keyPath,
    ssl_cert_file: certificatePath,
    ssl: 'on',
  })) {
    await admin.query(`alter system set ${name} = '${value}'`)
  }
  await admin.query('select pg_reload_conf()')
}
await present(ours)

function guardOf(t: Test, connectionString: string): PoolGuard {
  const guard = new PoolGuard({
    connectionString,
    max: 2,
    cancelTimeoutMs: 10_000,
    statementTimeoutMs: 60_000,
  })
  t.teardown(() => guard.close())
  return guard
}

/** The address of a server, verified against `ca`. */
function verified(port: number, ca: string, host = 'localhost'): string {
  return `postgresql://postgres@${host}:${port}/postgres?sslmode=verify-full&sslrootcert=${ca}`
}

/** A statement that its caller gives up ends in the database, and its connection goes on. */
async function cancels(t: Test, guard: PoolGuard): Promise<void> {
  const caller = new AbortController()
  const slow = guard.query('select pg_sleep(600)', [], { signal: caller.signal })
  slow.catch(() => {})
  await waitUntil(async () => (await running()) === 1)
  caller.abort()
  await t.rejects(slow, { code: 'HOLDFAST_ERR_POOL_GUARD_ABORTED' })
  await waitUntil(async () => (await running()) === 0)
  t.match((await guard.query('select 1 as one')).rows, [{ one: 1 }])
}

const running = async () => {
  const { rows } = await admin.query(
    "select pid from pg_stat_activity where query like 'select pg_sleep(600)%' and state = 'active'",
  )
  return rows.length
}

/** Has a statement cancelled by a request without TLS. */
async function plainCancel(t: Test, connectionString: string, port: number): Promise<string> {
  const client = new Client({ connectionString })
  await client.connect()
  t.teardown(() => client.end())
  const { processID, secretKey } = client as unknown as { processID: number; secretKey: number }
  const slow = client.query('select pg_sleep(600)').catch((error: Error) => error.message)
  await waitUntil(async () => (await running()) === 1)
  const target = { host: '127.0.0.1', port, ssl: false, directTls: false, processId: processID, secretKey }
  const outcome = await sendCancelRequest(target).done
  t.match(await slow, /canceling statement due to user request/)
  return outcome
}

t.test('verify-full: statements and CancelRequests travel over TLS', async (t) => {
  const guard = guardOf(t, verified(postgres.port, ours.certificatePath))
  const { rows } = await guard.query('select ssl from pg_stat_ssl where pid = pg_backend_pid()')
  t.strictSame(rows, [{ ssl: true }])
  await cancels(t, guard)
  t.match(guard.snapshot().totals, { cancelled: 1, destroyedByCancel: 0 })
})

t.test('a database that cannot be trusted is not used, and the reason is told', async (t) => {
  const { port } = postgres
  // A PgBouncer without certificates, for want of another database.
  const plain = await startPgBouncer({ target: postgres })
  t.teardown(() => plain.stop())
  const wrong: readonly [string, string, RegExp][] = [
    ['nobody vouches for it', verified(port, theirs.certificatePath), /self-signed certificate/],
    ['it does not speak TLS', verified(plain.port, ours.certificatePath), /does not support SSL/],
  ]
  for (const [why, url, reason] of wrong) {
    await t.test(why, async (t) => {
      const error = await guardOf(t, url)
        .query('select 1')
        .catch((error: Error) => error)
      t.match(error, { code: 'HOLDFAST_ERR_POOL_GUARD_CONNECT', statusCode: 503 })
      t.match(String((error as Error & { cause: unknown }).cause), reason)
    })
  }
})

t.test('a certificate for another name is refused, and one that is put right accepted', async (t) => {
  await present(theirs)
  const guard = guardOf(t, verified(postgres.port, theirs.certificatePath))
  const failureOf = (guard: PoolGuard) =>
    guard.query('select 1').then(
      () => 'none',
      (error: Error) => String(error.cause),
    )
  await waitUntil(async () => /does not match certificate/.test(await failureOf(guard)))
  await present(ours)
  const again = guardOf(t, verified(postgres.port, ours.certificatePath))
  await waitUntil(async () => (await failureOf(again)) === 'none')
  t.equal(await failureOf(again), 'none')
})

t.test('a database that takes only TLS takes a CancelRequest either way', async (t) => {
  await writeFile(join(postgres.dataDirectory, 'pg_hba.conf'), 'hostssl all all 127.0.0.1/32 trust\n')
  await admin.query('select pg_reload_conf()')
  await waitUntil(async () => {
    const { rows } = await admin.query('select type from pg_hba_file_rules')
    return rows.length === 1 && rows[0]?.['type'] === 'hostssl'
  })
  await t.rejects(guardOf(t, postgres.url).query('select 1'), { code: 'HOLDFAST_ERR_POOL_GUARD_CONNECT' })
  await cancels(t, guardOf(t, verified(postgres.port, ours.certificatePath)))
  t.equal(
    await plainCancel(t, verified(postgres.port, ours.certificatePath), postgres.directPort),
    'passed-on',
  )
})

t.test('a PgBouncer that takes only TLS', async (t) => {
  const { certificatePath, keyPath } = ours
  const settings = {
    client_tls_sslmode: 'require',
    client_tls_key_file: keyPath,
    client_tls_cert_file: certificatePath,
    server_tls_sslmode: 'verify-full',
    server_tls_ca_file: certificatePath,
  }
  const pgbouncer = await startPgBouncer({ target: postgres, settings })
  t.teardown(() => pgbouncer.stop())
  await t.rejects(guardOf(t, pgbouncer.url).query('select 1'), { code: 'HOLDFAST_ERR_POOL_GUARD_CONNECT' })
  const guard = guardOf(t, verified(pgbouncer.port, certificatePath))
  await cancels(t, guard)
  t.match(guard.snapshot().totals, { cancelled: 1, destroyedByCancel: 0 })
  const url = verified(pgbouncer.port, certificatePath)
  t.equal(await plainCancel(t, url, pgbouncer.directPort), 'passed-on')
})
