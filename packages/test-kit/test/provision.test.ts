import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { findBrowser, findExecutable, requireBrowser, requireExecutable } from '../src/executable.ts'
import { findPostgresTools, requirePostgresTools } from '../src/postgres-tools.ts'

const script = fileURLToPath(new URL('../../../scripts/provision.ts', import.meta.url))

function provision(names: readonly string[], env = process.env) {
  return spawnSync(process.execPath, [script, ...names], { encoding: 'utf8', env })
}

t.test('is quiet when all is there', async (t) => {
  // Without names it would bring the browser, which these tests do without.
  for (const names of [['redis', 'pgbouncer', 'haproxy', 'nginx', 'postgresql'], ['redis']]) {
    const { status, stdout, stderr } = provision(names)
    t.same([status, stdout, stderr], [0, '', ''])
  }
})

t.test('says exactly what to do where there is no apt-get', async (t) => {
  const { status, stderr } = provision(['redis'], { PATH: '/nonexistent' })
  t.equal(status, 1)
  t.match(stderr, /could not be installed here: redis-server/)
  t.match(stderr, /no apt-get/)
  t.match(stderr, /apt-get install -y --no-install-recommends redis-server/)
  t.match(stderr, /brew install/)
})

t.test('names the package that holds a program of another name', async (t) => {
  const { status, stderr } = provision(['prometheus'], { PATH: '/nonexistent' })
  t.equal(status, 1)
  t.match(stderr, /could not be installed here: promtool/)
  t.match(stderr, /--no-install-recommends prometheus$/m)
})

t.test('says what to do about a browser that cannot be had', async (t) => {
  const { status, stderr } = provision(['chromium'], { PATH: '/nonexistent' })
  t.equal(status, 1)
  t.match(stderr, /could not be installed here: chromium/)
  t.match(stderr, /Google Chrome will do/)
})

t.test('refuses a name that it does not know', async (t) => {
  const { status, stderr } = provision(['mysql'])
  t.equal(status, 1)
  t.match(stderr, /redis, pgbouncer, haproxy, nginx, prometheus, postgresql, chromium, and not mysql/)
})

t.test('a launcher without its program says how to get it', async (t) => {
  t.throws(() => requireExecutable('redis-server', ['/nonexistent']), {
    code: 'HOLDFAST_ERR_TEST_KIT_MISSING_PROGRAM',
    message: /redis-server was not found. Install it with: npx -y pnpm@12 provision/,
  })
  t.equal(findExecutable('etc', ['/']), undefined, 'a directory is no program')
  t.equal(findExecutable('passwd', ['/etc']), undefined, 'a text is no program')
  t.match(findExecutable('sh'), /\/sh$/)
})

t.test('the tools of PostgreSQL are taken with the server of their version, the newest first', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-tools-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const make = (version: string, names: readonly string[]) => {
    const bin = join(folder, version, 'bin')
    mkdirSync(bin, { recursive: true })
    for (const name of names) writeFileSync(join(bin, name), '', { mode: 0o755 })
    return bin
  }
  const wished = process.env['HOLDFAST_POSTGRES_BIN']
  t.teardown(() => {
    if (wished !== undefined) process.env['HOLDFAST_POSTGRES_BIN'] = wished
  })
  delete process.env['HOLDFAST_POSTGRES_BIN']
  t.equal(findPostgresTools(join(folder, 'nowhere'), [folder]), undefined)
  const client = make('17', ['psql', 'pg_dump', 'pg_restore'])
  t.equal(findPostgresTools(folder, [client]), undefined, 'tools alone are not enough')
  t.throws(() => requirePostgresTools(folder, [client]), {
    code: 'HOLDFAST_ERR_TEST_KIT_MISSING_PROGRAM',
    message: /no PostgreSQL with pg_dump.*npx -y pnpm@12 provision postgresql/,
  })
  const all = ['initdb', 'postgres', 'psql', 'pg_dump', 'pg_restore']
  const old = make('9', all)
  t.equal(requirePostgresTools(folder, [folder]), old)
  const newest = make('16', all)
  t.equal(requirePostgresTools(folder, [folder]), newest, '16 is newer than 9')
  t.equal(requirePostgresTools(join(folder, 'nowhere'), [newest]), newest, 'on the PATH')
  process.env['HOLDFAST_POSTGRES_BIN'] = old
  t.equal(findPostgresTools(folder), old)
})

t.test('the browser has several names, and a test without one says how to get it', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-browser-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  t.equal(findBrowser([folder]), undefined)
  t.throws(() => requireBrowser([folder]), {
    code: 'HOLDFAST_ERR_TEST_KIT_MISSING_PROGRAM',
    message: /no browser was found.*npx -y pnpm@12 provision chromium/,
  })
  writeFileSync(join(folder, 'google-chrome'), '', { mode: 0o755 })
  t.equal(requireBrowser([folder]), join(folder, 'google-chrome'))
})
