import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import t from 'tap'
import { createPackage } from '../creating/create-package.ts'
import { packageName } from '../creating/package-name.ts'
import { runCommand } from '../packing/run-command.ts'
import { documentRules, rules } from '../tidy/rules.ts'
import { readWorkspace } from '../tidy/workspace.ts'

const house = join(import.meta.dirname, '..', '..')
const leftOut = /(^|\/)(node_modules|dist|coverage|results|\.git|\.tap|\.data)(\/|$)/

t.test(
  'a new package passes lint, types, structure, documents, its tests and the coverage gate at once',
  async (t) => {
    const copy = mkdtempSync(join(tmpdir(), 'holdfast-new-'))
    t.teardown(() => rmSync(copy, { recursive: true, force: true }))
    cpSync(house, copy, { recursive: true, filter: (path) => !leftOut.test(relative(house, path)) })
    // Everything it needs is in the store already: the house itself is installed.
    runCommand(copy, 'pnpm', 'install', '--offline', '--frozen-lockfile')
    const output = runCommand(copy, process.execPath, 'scripts/new.ts', 'burst-guard')
    t.match(output, 'packages/burst-guard/src/plugin.ts')

    const bin = (name: string) => join(copy, 'node_modules', '.bin', name)
    const changed = ['packages/burst-guard', '.changeset', 'tsconfig.json', 'scripts/tidy/floors.json']
    runCommand(copy, bin('biome'), 'check', '--error-on-warnings', ...changed)
    runCommand(copy, bin('tsc'), '-b', 'packages/burst-guard')
    const found = [...rules, ...documentRules].flatMap((rule) => rule.check(readWorkspace(copy)))
    t.same(
      found.filter(({ place, message }) => /burst-guard/.test(place + message)),
      [],
    )
    const tests = runCommand(copy, process.execPath, 'scripts/test.ts', 'burst-guard', '--coverage')
    t.match(tests, /ok {3}burst-guard +\d+\.\d+ % lines +\d+\.\d+ % branches/)
    t.match(tests, /\n9 passed, 0 failed\n$/)
    t.match(readFileSync(join(copy, 'tsconfig.json'), 'utf8'), '"packages/burst-guard"')
    const changeset = readFileSync(join(copy, '.changeset/first-burst-guard.md'), 'utf8')
    t.match(changeset, /^---\n"@holdfast\/burst-guard": minor\n---\n\nThe first release\./)
    const declarations = readFileSync(join(copy, 'packages/burst-guard/dist/plugin.d.ts'), 'utf8')
    t.notMatch(declarations, 'fastify/types/', 'a path of Fastify that a foreign project cannot resolve')
  },
)

t.test('a name takes its four forms', async (t) => {
  t.same(packageName('@holdfast/tenant-rate-limit'), {
    name: 'tenant-rate-limit',
    camel: 'tenantRateLimit',
    Pascal: 'TenantRateLimit',
    UPPER: 'TENANT_RATE_LIMIT',
  })
})

t.test('a name that is none, or is taken, is refused before anything is written', async (t) => {
  const root = t.testdir({ packages: { health: {} } })
  t.throws(() => createPackage(root, undefined), /say its name/)
  t.throws(() => createPackage(root, 'health'), /packages\/health exists already/)
  for (const name of ['Gate', '../gate', 'gate_one', '-gate', 'gate-', '2gate', '@other/gate']) {
    t.throws(() => createPackage(root, name), new RegExp(`"${name}" is no package name`))
  }
  t.throws(() => createPackage(root, 'a'.repeat(41)), /has 41 characters, at most 40/)
  t.equal(existsSync(join(root, '.changeset')), false)
})
