import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { findExecutable, requireExecutable } from '../src/executable.ts'

const script = fileURLToPath(new URL('../../../scripts/provision.ts', import.meta.url))

function provision(names: readonly string[], env = process.env) {
  return spawnSync(process.execPath, [script, ...names], { encoding: 'utf8', env })
}

t.test('is quiet when all is there', async (t) => {
  for (const names of [[], ['redis'], ['haproxy', 'pgbouncer']]) {
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

t.test('refuses a name that it does not know', async (t) => {
  const { status, stderr } = provision(['mysql'])
  t.equal(status, 1)
  t.match(stderr, /redis, pgbouncer, haproxy, and not mysql/)
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
