import { randomUUID } from 'node:crypto'
import { PoolGuard } from '@holdfast/pool-guard'
import { Pool } from 'pg'
import type { Test } from 'tap'

/** A plain pool, for a test that looks at the database past the service. */
export function testPool(url: string, max = 4): Pool {
  const pool = new Pool({
    connectionString: url,
    application_name: 'holdfast-test',
    max,
    connectionTimeoutMillis: 2000,
    query_timeout: 5000,
  })
  pool.on('error', () => {})
  return pool
}

/** A guarded pool, as migrations and repositories want it; it ends with the test. */
export function testGuard(t: Test, url: string, max = 4): PoolGuard {
  const guard = new PoolGuard({ connectionString: url, max, min: 0 })
  t.teardown(() => guard.close())
  return guard
}

/** The URL of a new, empty database on that server. */
export async function freshDatabase(serverUrl: string): Promise<string> {
  const name = `t_${randomUUID().replaceAll('-', '')}`
  const pool = testPool(serverUrl, 1)
  await pool.query(`create database ${name}`)
  await pool.end()
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return url.href
}
