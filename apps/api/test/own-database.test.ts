import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { waitUntil } from '@holdfast/test-kit'
import pg from 'pg'
import { pino } from 'pino'
import t from 'tap'
import { startDevelopmentDatabase } from '../src/db/development-database.ts'
import { isAlive } from './is-alive.ts'
import { databasePid, openDirectory } from './own-database.ts'
import { runCommand } from './run-command.ts'
import { brandOf, readiness, ServiceProcess } from './service-process.ts'

t.setTimeout(300_000)

const CLEAN = { code: 0, signal: null }

t.test(
  'with a database of its own: starts, serves, ends cleanly, and again; killed, it takes its PostgreSQL with it',
  async (t) => {
    const environment = { DATA_DIRECTORY: openDirectory(t) }
    const first = await ServiceProcess.start(t, environment)
    t.match(await (await fetch(`${first.url}/healthz`)).json(), { status: 'ok', service: 'holdfast-api' })
    await waitUntil(async () => (await readiness(first.url)).status === 'ok')
    t.equal(await brandOf(first.url, 'acme'), 'Acme Markets')
    t.equal(await brandOf(first.url, 'globex'), 'Globex Exchange')
    const pid = databasePid(environment.DATA_DIRECTORY)
    t.match(
      first.stderr,
      new RegExp(
        `Holdfast API[\\s\\S]*curl -i ${first.url}/acme/api/public/load-theme[\\s\\S]*kill -9 ${pid}`,
      ),
    )
    for (const line of first.stdout.trim().split('\n'))
      t.match(JSON.parse(line), { level: Number, msg: String })

    const set = await runCommand(['theme', 'set', 'acme', '-'], environment, '{"brand_name": "Kept"}')
    t.match(set, { code: 0, output: /the theme of acme is now version \d+/ })
    await waitUntil(async () => (await brandOf(first.url, 'acme')) === 'Kept')
    t.strictSame(await first.stop('SIGINT'), CLEAN)
    t.notOk(isAlive(pid), 'its PostgreSQL ended with it')
    t.notOk(existsSync(join(environment.DATA_DIRECTORY, 'development-database.json')))

    const second = await ServiceProcess.start(t, environment)
    t.equal(await brandOf(second.url, 'acme'), 'Kept')
    const secondPid = databasePid(environment.DATA_DIRECTORY)
    second.kill('SIGKILL')
    await second.ended
    await waitUntil(() => !isAlive(secondPid), { what: 'the end of a PostgreSQL whose service was killed' })
  },
)

t.test('two services that start at once on one data directory share one database', async (t) => {
  const environment = { DATA_DIRECTORY: openDirectory(t) }
  const services = await Promise.all([
    ServiceProcess.start(t, environment),
    ServiceProcess.start(t, environment),
  ])
  // A database that is made on a busy machine takes longer than the start waits for it.
  for (const { url } of services) {
    await waitUntil(async () => (await brandOf(url, 'acme')) === 'Acme Markets', { timeoutMs: 60_000 })
  }
  const ends = services.map(({ stderr }) => /\(ends with (.+)\)/.exec(stderr)?.[1])
  t.strictSame(ends.sort(), ['the service', 'the service that started it'])
  const endings = await Promise.all(services.map((service) => service.stop()))
  t.strictSame(endings, [CLEAN, CLEAN])
})

t.test(
  'a PostgreSQL of its own that is killed comes back, on the same address and with its data',
  async (t) => {
    const directory = openDirectory(t)
    const lines: string[] = []
    const log = pino({}, { write: (line: string) => void lines.push(line) })
    const database = await startDevelopmentDatabase(directory, { log, firstWaitMs: 100 })
    t.teardown(() => database.stop())
    const ask = async (sql: string) => {
      const client = new pg.Client({ connectionString: database.url })
      client.on('error', () => {})
      await client.connect()
      try {
        return (await client.query(sql)).rows
      } finally {
        await client.end()
      }
    }
    await ask('create table kept as select 1 as one')
    const { pid } = database
    process.kill(pid, 'SIGKILL')
    await waitUntil(() => lines.some((line) => line.includes('runs again')), { timeoutMs: 60_000 })
    t.strictSame(await ask('select one from kept'), [{ one: 1 }])
    t.not(database.pid, pid)
    t.equal(databasePid(directory), database.pid, 'the file for people names the new process')
    t.match(lines[0], /the own PostgreSQL has ended; it will be started again/)
  },
)
