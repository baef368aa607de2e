import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { contractSuite, startPostgres, temporaryDirectory } from '@holdfast/test-kit'
import pg from 'pg'
import t, { type Test } from 'tap'
import { FileLog, type RevocationLog, TableLog, tableLogSql } from '../src/index.ts'

/** Two processes that share a log. */
interface Subject {
  readonly one: RevocationLog
  readonly two: RevocationLog
}

let directories = 0

const files = {
  name: 'files',
  async open() {
    this.directory = await temporaryDirectory('revocation-log')
  },
  directory: undefined as Awaited<ReturnType<typeof temporaryDirectory>> | undefined,
  setUp(): Subject {
    directories += 1
    const path = join(this.directory?.path ?? '', `log-${directories}`)
    return { one: new FileLog(path), two: new FileLog(path) }
  },
  async close() {
    await this.directory?.remove()
  },
}

const table = {
  name: 'a table',
  stop: async () => {},
  pool: undefined as pg.Pool | undefined,
  async open() {
    const server = await startPostgres()
    const pool = new pg.Pool({ connectionString: server.url, max: 4 })
    this.pool = pool
    await pool.query(tableLogSql)
    await pool.query(tableLogSql)
    this.stop = async () => {
      await pool.end()
      await server.stop()
    }
  },
  async setUp(): Promise<Subject> {
    const pool = this.pool
    await pool?.query('truncate session_revocations')
    const query = async (text: string, values: readonly unknown[]) =>
      (await pool?.query(text, [...values])) ?? { rows: [] }
    return { one: new TableLog(query), two: new TableLog(query) }
  },
  async close() {
    await this.stop()
  },
}

const byName = async (log: RevocationLog) =>
  Object.fromEntries((await log.read(100)).map(({ name, text }) => [name, text]))

await contractSuite<Subject, Test>(t, 'RevocationLog', [files, table], {
  'every process reads what any of them has kept': async (t, { one, two }) => {
    t.same(await two.read(10), [])
    await one.append({ name: 'session-a', text: '{"a":1}' })
    await two.append({ name: 'session-b', text: '{"b":1}' })
    for (const log of [one, two])
      t.same(await byName(log), { 'session-a': '{"a":1}', 'session-b': '{"b":1}' })
  },
  'one entry takes the place of another one of its name, whoever writes': async (t, { one, two }) => {
    await one.append({ name: 'user-a', text: '1' })
    await two.append({ name: 'user-a', text: '2' })
    t.same(await byName(one), { 'user-a': '2' })
    const names = Array.from({ length: 20 }, (_, at) => (at % 2 === 0 ? one : two))
    await Promise.all(names.map((log, at) => log.append({ name: 'user-a', text: `at ${at}` })))
    t.match(await byName(two), { 'user-a': /^at \d+$/ }, 'whole, whichever was the last')
  },
  'what is removed is gone for all, and what is not there is no error': async (t, { one, two }) => {
    for (const name of ['a', 'b', 'c']) await one.append({ name, text: name })
    await two.remove(['a', 'none', 'b'])
    await two.remove([])
    t.same(await byName(one), { c: 'c' })
    await Promise.all([one.remove(['c']), two.remove(['c']), one.read(10), two.read(10)])
    t.same(await one.read(10), [])
  },
  'no more than what was asked for is read': async (t, { one }) => {
    for (let at = 0; at < 5; at += 1) await one.append({ name: `entry-${at}`, text: String(at) })
    t.equal((await one.read(3)).length, 3)
    t.equal((await one.read(0)).length, 0)
  },
})

t.test('a file that is not whole is no entry', async (t) => {
  const directory = await temporaryDirectory('revocation-log')
  t.teardown(() => directory.remove())
  const log = new FileLog(directory.path)
  await log.append({ name: 'a', text: 'a' })
  // What a process leaves that is killed in the middle.
  await writeFile(join(directory.path, 'b.1-1.draft'), 'b')
  t.same(await log.read(10), [{ name: 'a', text: 'a' }])
  t.same((await readdir(directory.path)).toSorted(), ['a.json', 'b.1-1.draft'])
})

t.test('a place that is none is said at once, and one that fails when it is used', async (t) => {
  t.throws(() => new FileLog(''), { code: 'HOLDFAST_ERR_REDIS_SESSION_OPTION' })
  t.throws(() => new TableLog('select' as never), { code: 'HOLDFAST_ERR_REDIS_SESSION_OPTION' })
  const directory = await temporaryDirectory('revocation-log')
  t.teardown(() => directory.remove())
  await writeFile(join(directory.path, 'file'), '')
  const log = new FileLog(join(directory.path, 'file'))
  await t.rejects(log.append({ name: 'a', text: 'a' }))
  await t.rejects(log.read(1), { code: 'ENOTDIR' })
})
