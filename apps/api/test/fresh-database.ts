import { randomUUID } from 'node:crypto'
import type { Pool } from 'pg'
import { createPool } from '../src/db/pool.ts'

/** A pool as the service makes it, with time-outs that suit a test. */
export function testPool(url: string, max = 4): Pool {
  return createPool({
    url,
    applicationName: 'holdfast-test',
    max,
    min: 0,
    connectionTimeoutMs: 2000,
    statementTimeoutMs: 3000,
    idleInTransactionTimeoutMs: 5000,
    onConnectionLost: () => {},
  })
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
