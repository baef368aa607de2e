import { randomUUID } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PoolGuard } from '@holdfast/pool-guard'
import { Pool } from 'pg'
import type { Test } from 'tap'
import { DEMO_CREDENTIALS_FILE } from '../src/db/demo-tenants.ts'
import { prepareDatabase } from '../src/db/preparation.ts'

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
  return createDatabase(serverUrl, newName())
}

/**
 * The URL of a new database with the tables and the demo data, as a start would make it: a copy, because a start hashes
 * five passwords for that. With `dataDirectory` the users have passwords, which stand in the file there.
 */
export async function demoDatabase(serverUrl: string, dataDirectory?: string): Promise<string> {
  const key = `${serverUrl} ${dataDirectory !== undefined}`
  const made = templates.get(key) ?? makeTemplate(serverUrl, dataDirectory !== undefined)
  templates.set(key, made)
  const { name, credentials } = await made
  if (dataDirectory !== undefined && credentials !== undefined) {
    writeFileSync(join(dataDirectory, DEMO_CREDENTIALS_FILE), credentials, { mode: 0o600 })
  }
  return createDatabase(serverUrl, newName(), name)
}

interface Template {
  readonly name: string
  readonly credentials: string | undefined
}

const templates = new Map<string, Promise<Template>>()

async function makeTemplate(serverUrl: string, withPasswords: boolean): Promise<Template> {
  const url = await freshDatabase(serverUrl)
  const guard = new PoolGuard({ connectionString: url, max: 4, min: 0 })
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-template-'))
  try {
    await prepareDatabase(guard, { mayChange: true, ...(withPasswords && { dataDirectory: directory }) })
    await guard.query(FORGET_NUMBERS_AHEAD)
    const name = new URL(url).pathname.slice(1)
    const file = join(directory, DEMO_CREDENTIALS_FILE)
    return { name, credentials: withPasswords ? readFileSync(file, 'utf8') : undefined }
  } finally {
    await guard.close()
    rmSync(directory, { recursive: true })
  }
}

/**
 * A sequence writes 32 numbers at a time into the log of PostgreSQL, and into its own page how many of them are left. A
 * copy of a database takes over the page, while its log has nothing of these numbers: after a crash it would give them out
 * once more, until its first checkpoint. `setval` leaves none.
 */
const FORGET_NUMBERS_AHEAD = `select setval(format('%I.%I', schemaname, sequencename)::regclass, last_value)
  from pg_sequences where last_value is not null`

function newName(): string {
  return `t_${randomUUID().replaceAll('-', '')}`
}

async function createDatabase(serverUrl: string, name: string, template = 'template1'): Promise<string> {
  const pool = testPool(serverUrl, 1)
  await pool.query(`create database ${name} template ${template}`)
  await pool.end()
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return url.href
}
