import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { findBrowser, findExecutable, requireBrowser, requireExecutable } from '../src/executable.ts'

const script = fileURLToPath(new URL('../../../scripts/provision.ts', import.meta.url))

function provision(names: readonly string[], env = process.env) {
  return spawnSync(process.execPath, [script, ...names], { encoding: 'utf8', env })
}

t.test('is quiet when all is there', async (t) => {
  // Without names it would bring the browser, which these tests do without.
  for (const names of [['redis', 'pgbouncer', 'haproxy', 'nginx'], ['redis']]) {
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
  t.match(stderr, /redis, pgbouncer, haproxy, nginx, prometheus, chromium, and not mysql/)
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
