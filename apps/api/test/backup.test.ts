// The drill of OPERATIONS.md, "Backup and restore", with the scripts of deploy/backup on a PostgreSQL that people write
// to: what is kept, what comes back, and what is refused.

import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { Logs } from '@holdfast/logging'
import type { PoolGuard } from '@holdfast/pool-guard'
import { requirePostgresTools, startPostgres, startRedis, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { nightly, PATHS, scripts } from '../deploy/kubernetes/backup.ts'
import { BossQueue } from '../src/jobs/boss-queue.ts'
import { PermanentJobError } from '../src/jobs/job-queue.ts'
import { childEnvironment } from './child-environment.ts'
import { asSuperuser, deployedFile, onConnection, startDeployment } from './deployed-pgbouncer.ts'
import { testGuard } from './fresh-database.ts'
import { runCommand } from './run-command.ts'
import { brandOf, PRODUCTION, ServiceProcess, scratchDirectory } from './service-process.ts'

t.setTimeout(300_000)

const SCRIPTS = new URL('../deploy/backup/', import.meta.url).pathname
const programs = requirePostgresTools()
const deployment = await startDeployment(t, {}, { programs })
const { directUrl, pooledUrl } = deployment
const backups = scratchDirectory(t)
const redis = await startRedis()
t.teardown(() => redis.stop())

/** Runs a script as an operator does; whom it asks stands in libpq's own variables. */
function script(name: string, folder: string, url: string, more: Readonly<Record<string, string>> = {}) {
  return run(['sh', join(SCRIPTS, name), folder], url, more)
}

async function run(
  [program = '', ...args]: readonly string[],
  url: string,
  more: Readonly<Record<string, string>> = {},
) {
  const { hostname, port, username, password, pathname } = new URL(url)
  const child = spawn(program, args, {
    env: {
      ...childEnvironment(),
      PATH: `${programs}:/usr/bin:/bin`,
      PGHOST: hostname,
      PGPORT: port,
      PGUSER: username,
      PGPASSWORD: password,
      PGDATABASE: pathname.slice(1),
      ...more,
    },
  })
  child.stdin.end()
  const [out, error, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise((resolve) => child.once('close', resolve)),
  ])
  return { code, out, error }
}

/** A new database with the roles, as the guide says. */
async function newDatabase(name: string): Promise<string> {
  await asSuperuser(deployment.postgres, 'postgres', (client) => client.query(`create database ${name}`))
  await asSuperuser(deployment.postgres, name, (client) => client.query(deployedFile('roles.sql')))
  return directUrl('holdfast_owner', name)
}

const owner = directUrl('holdfast_owner')
const environment = {
  ...PRODUCTION,
  DATABASE_URL: pooledUrl('holdfast_web'),
  DATABASE_MIGRATION_URL: owner,
  REDIS_URL: redis.url,
  DATA_DIRECTORY: scratchDirectory(t),
}

t.test('a database without the service in it is not taken for a backup', async (t) => {
  t.match(await script('backup.sh', backups, owner), { code: 1, error: /not the database of the service/ })
  t.match(await script('backup.sh', backups, owner.replace('only-a-test', 'wrong')), {
    code: 1,
    error: /password authentication failed[\s\S]*no backup was made/,
  })
  t.strictSame(readdirSync(backups), [])
})

t.test('what was written before it is in it, and comes back, while the service writes on', async (t) => {
  t.match(await runCommand(['migrate', 'up'], environment), { code: 0 })
  const brand = (name: string) =>
    onConnection(owner, (client) =>
      client.query(
        `insert into themes (slug, theme) values ('acme', jsonb_build_object('brand_name', $1::text))
      on conflict (slug) do update set theme = excluded.theme`,
        [name],
      ),
    )
  await onConnection(owner, (client) =>
    client.query(`insert into tenants (slug, name) values ('acme', 'Acme')`),
  )
  await brand('Before')
  // A job that nobody has begun, and one that has died.
  const jobs = queueOf(t, owner)
  await jobs.work('settle', {
    parse: Object,
    handle: async () => {
      throw new PermanentJobError('as it happens')
    },
  })
  await jobs.pool.transaction({}, (tx) => jobs.enqueue(tx, 'settle', { event_id: '1' }))
  await waitUntil(async () => (await jobs.depths()).settle.failed === 1)
  await jobs.close()
  await jobs.pool.transaction({}, (tx) => jobs.enqueue(tx, 'settle', { event_id: '2' }, { key: '2' }))
  const service = await ServiceProcess.start(t, environment)
  await waitUntil(async () => (await brandOf(service.url, 'acme')) === 'Before')

  const stored: string[] = []
  let writes = true
  const writer = (async () => {
    while (writes) stored.push(await event(service.url))
  })()
  await waitUntil(() => stored.length > 20)
  const before = [...stored]
  const made = await script('backup.sh', backups, owner)
  const after = stored.length
  await waitUntil(() => stored.length > after)
  writes = false
  await writer
  t.match(made, { code: 0, error: '' })
  const backup = made.out.trim()
  t.strictSame(readdirSync(backup).toSorted(), ['SHA256SUMS', 'contents', 'database.dump'])
  t.match(readdirSync(backups), [/^holdfast-\d{8}T\d{6}Z$/], 'nothing half-made is beside it')
  t.ok(after > before.length, 'it kept nobody from writing')

  await brand('After')
  await waitUntil(async () => (await brandOf(service.url, 'acme')) === 'After')
  t.strictSame(await service.stop(), { code: 0, signal: null })

  const restoredUrl = await newDatabase('restored')
  const restored = await script('restore.sh', backup, restoredUrl)
  t.match(restored, { code: 0, out: /^restored and compared: \d+ tables, \d+ rows$/m, error: '' })
  const kept = await onConnection(restoredUrl, async (client) => {
    const { rows } = await client.query('select event_id from theme_preview_events')
    await t.rejects(client.query('delete from theme_preview_events'), { code: '23001' }, 'its rules, too')
    return rows.map((row) => row.event_id)
  })
  t.strictSame(
    before.filter((id) => !kept.includes(id)),
    [],
    'all that had been acknowledged',
  )
  t.strictSame(
    kept.filter((id) => !stored.includes(id)),
    [],
    'and nothing else',
  )

  await t.test('the service goes by it, and not by what its Redis and its files remember', async (t) => {
    const again = {
      ...environment,
      DATABASE_URL: directUrl('holdfast_web', 'restored'),
      DATABASE_MIGRATION_URL: restoredUrl,
    }
    const { output } = await runCommand(['migrate', 'status'], again)
    t.match(output, /^applied +0001/m)
    t.notMatch(output, /pending|unknown/)
    const service = await ServiceProcess.start(t, again)
    await waitUntil(async () => (await brandOf(service.url, 'acme')) === 'Before')
    const id = await event(service.url)
    const { rows } = await onConnection(restoredUrl, (client) =>
      client.query('select event_id from theme_preview_events order by id desc limit 1'),
    )
    t.equal(rows[0]?.event_id, id, 'its sequences go on behind what there is')
    t.strictSame(await service.stop(), { code: 0, signal: null })
  })

  await t.test('jobs wait there as they did, and workers may take them', async (t) => {
    const jobs = queueOf(t, directUrl('holdfast_worker', 'restored'))
    t.match(await jobs.depths(), { settle: { waiting: 1, active: 0, failed: 1 } })
    const seen: unknown[] = []
    await jobs.work('settle', { parse: Object, handle: async ({ payload }) => void seen.push(payload) })
    await waitUntil(async () => (await jobs.depths()).settle.waiting === 0 && seen.length === 1)
    t.strictSame(seen, [{ event_id: '2' }])
  })

  await t.test('it is not put over what is there', async (t) => {
    t.match(await script('restore.sh', backup, restoredUrl), {
      code: 1,
      error: /nothing was restored: .*make a new one/,
    })
  })

  await t.test('a PostgreSQL that is newer takes it', async (t) => {
    const newer = await startPostgres()
    t.teardown(() => newer.stop())
    await asSuperuser(newer, 'postgres', (client) => client.query(deployedFile('roles.sql')))
    t.match(await script('restore.sh', backup, newer.directUrl), { code: 0, error: '' })
  })

  await t.test('what is damaged is refused, and leaves the database empty', async (t) => {
    const url = await newDatabase('untouched')
    const whole = readFileSync(join(backup, 'database.dump'))
    const sums = 'sha256sum database.dump contents >SHA256SUMS'
    const damages: readonly [string, (folder: string) => void, boolean, RegExp][] = [
      [
        'cut off',
        (folder) => truncateSync(join(folder, 'database.dump'), whole.length - 200),
        false,
        /damaged/,
      ],
      [
        'cut off, and summed up so',
        (folder) => truncateSync(join(folder, 'database.dump'), whole.length - 200),
        true,
        /pg_restore failed/,
      ],
      ['one bit', (folder) => flip(join(folder, 'database.dump')), false, /damaged/],
      ['without its sums', (folder) => truncateSync(join(folder, 'SHA256SUMS')), false, /damaged/],
    ]
    for (const [what, damage, summed, error] of damages) {
      const folder = join(scratchDirectory(t), 'copy')
      cpSync(backup, folder, { recursive: true })
      damage(folder)
      if (summed) await shell(sums, folder)
      t.match(await script('restore.sh', folder, url), { code: 1, out: '', error }, what)
      t.equal(await tables(url), 0, what)
    }
    t.match(await script('restore.sh', scratchDirectory(t), url), { code: 1, error: /no complete backup/ })

    const folder = join(scratchDirectory(t), 'copy')
    cpSync(backup, folder, { recursive: true })
    appendFileSync(join(folder, 'contents'), 'table|wallets|3|42\n')
    await shell(sums, folder)
    t.match(await script('restore.sh', folder, url), {
      code: 1,
      error: /< table\|wallets\|3\|42[\s\S]*do not use it/,
    })
  })
})

t.test('the CronJob makes one each night, and then deletes what is older than it keeps', async (t) => {
  const pod = nightly.spec?.jobTemplate.spec?.template.spec
  const [container] = pod?.containers ?? []
  const value = (name: string) => container?.env?.find((one) => one.name === name)?.value
  const url = new URL(owner)
  t.equal(value('PGUSER'), url.username)
  t.equal(value('PGDATABASE'), url.pathname.slice(1))

  // What the cluster would mount is in folders of this machine.
  const folders = { [PATHS.scripts]: scratchDirectory(t), [PATHS.backups]: scratchDirectory(t) }
  for (const [name, text] of Object.entries(scripts.data ?? {}))
    writeFileSync(join(folders[PATHS.scripts], name), text)
  const command = (container?.command ?? []).map((word) =>
    Object.entries(folders).reduce((result, [path, folder]) => result.replace(path, folder), word),
  )
  const kept = folders[PATHS.backups]
  const ofDaysAgo = (days: number, name: string) => {
    mkdirSync(join(kept, name))
    const then = Date.now() / 1000 - days * 86_400
    utimesSync(join(kept, name), then, then)
  }
  ofDaysAgo(13, 'holdfast-20200113T000000Z')
  ofDaysAgo(16, 'holdfast-20200110T000000Z')
  ofDaysAgo(16, 'holdfast-20200110T000001Z.part')
  ofDaysAgo(16, 'something-else')
  const before = readdirSync(kept)
  t.match(await run(command, owner.replace('only-a-test', 'wrong')), { code: 1 })
  t.strictSame(readdirSync(kept), before, 'where none was made nothing goes')

  const made = await run(command, owner)
  t.match(made, { code: 0, error: '' })
  const backup = made.out.trim()
  t.strictSame(
    readdirSync(kept).map((name) => join(kept, name)),
    [join(kept, 'holdfast-20200113T000000Z'), backup, join(kept, 'something-else')],
  )
  const restored = await run(
    ['sh', join(folders[PATHS.scripts], 'restore.sh'), backup],
    await newDatabase('of_last_night'),
  )
  t.match(restored, { code: 0, out: /^restored and compared/m, error: '' })
  for (const days of ['', 'x', '-1']) t.match(await run([...command.slice(0, -1), days], owner), { code: 2 })
})

t.test('a dump that fails leaves nothing behind', async (t) => {
  const folder = scratchDirectory(t)
  // A pg_dump that cannot write, as on a disk that is full.
  const bin = scratchDirectory(t)
  writeFileSync(join(bin, 'pg_dump'), '#!/bin/sh\necho "no space left on device" >&2\nexit 1\n', {
    mode: 0o755,
  })
  const made = await script('backup.sh', folder, owner, { PATH: `${bin}:${programs}:/usr/bin:/bin` })
  t.match(made, { code: 1, out: '', error: /no space left[\s\S]*no backup was made: pg_dump failed/ })
  t.strictSame(readdirSync(folder), [])
})

/** Stores one event of acme's theme, and answers its id once that was acknowledged. */
async function event(url: string): Promise<string> {
  const event_id = randomUUID()
  const history = await fetch(`${url}/acme/api/theme/history?limit=1`)
  const { items } = (await history.json()) as { items: { version: string }[] }
  const answer = await fetch(`${url}/acme/api/theme/preview-events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ event_id, theme_version: items[0]?.version, viewport: 'desktop' }),
  })
  if (answer.status !== 201) throw new Error(`${answer.status} ${await answer.text()}`)
  await answer.body?.cancel()
  return event_id
}

/** A queue on that database, and its pool. */
function queueOf(t: Test, url: string): BossQueue & { readonly pool: PoolGuard } {
  const pool = testGuard(t, url)
  const logs = new Logs({ destination: { write() {} } })
  const queue = new BossQueue({ pool, correlation: logs, log: logs.logger, pollMs: 20 })
  t.teardown(() => queue.close())
  return Object.assign(queue, { pool })
}

async function tables(url: string): Promise<number> {
  const { rows } = await onConnection(url, (client) =>
    client.query(`select count(*)::int as count from pg_tables where schemaname in ('public', 'jobs')`),
  )
  return rows[0]?.count
}

function flip(path: string): void {
  const bytes = readFileSync(path)
  const middle = Math.floor(bytes.length / 2)
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle)
  writeFileSync(path, bytes)
}

async function shell(line: string, cwd: string): Promise<void> {
  const child = spawn('sh', ['-c', line], { cwd, stdio: 'ignore' })
  await new Promise((resolve) => child.once('close', resolve))
}
