import { join } from 'node:path'
import t from 'tap'
import { floors } from '../../tidy/floors.ts'
import { type Folder, findings, packageFolder } from './tree.ts'

const table = JSON.stringify([
  { floor: 'apps', members: ['api'] },
  { floor: 'upper', members: ['cache'] },
  { floor: 'ground', members: ['health', 'metrics'] },
])
const tree = (packages: Folder, api: Folder = {}) => ({
  packages: { 'test-kit': packageFolder('test-kit', {}), ...packages },
  apps: { api: packageFolder('api', api) },
  scripts: { tidy: { 'floors.json': table } },
})
const uses = (name: string) => `export * from '@holdfast/${name}'\n`

t.test('arrows down are fine; tests stand on the test kit, and so may the sources of an app', async (t) => {
  const root = t.testdir(
    tree(
      {
        cache: packageFolder('cache', {
          src: { 'a.ts': uses('health') },
          test: { 'a.test.ts': uses('test-kit') },
        }),
        health: packageFolder('health', {}, { devDependencies: { '@holdfast/test-kit': 'workspace:*' } }),
      },
      { src: { 'app.ts': uses('cache') + uses('health') + uses('test-kit') } },
    ),
  )
  t.same(findings(floors, root), [])
})

t.test('arrows up and sideways are found, in sources, tests and package.json', async (t) => {
  const root = t.testdir(
    tree({
      cache: packageFolder('cache', { src: { 'kit.ts': uses('test-kit') } }),
      health: packageFolder('health', {
        src: { 'a.ts': uses('cache') },
        test: { 'a.test.ts': uses('metrics') },
      }),
      metrics: packageFolder('metrics', {}, { dependencies: { '@holdfast/health': 'workspace:^' } }),
    }),
  )
  t.match(findings(floors, root), [
    /^packages\/cache\/src\/kit\.ts:1: uses @holdfast\/test-kit/,
    /^packages\/health\/src\/a\.ts:1: uses @holdfast\/cache, which is not on a lower floor/,
    /^packages\/health\/test\/a\.test\.ts:1: uses @holdfast\/metrics/,
    /^packages\/metrics\/package\.json: uses @holdfast\/health/,
  ])
})

t.test('a member without a floor, and one that does not exist, are found', async (t) => {
  const root = t.testdir(tree({ gate: packageFolder('gate', {}) }, { src: { 'app.ts': uses('cache') } }))
  t.match(findings(floors, root), [
    /^packages\/gate\/package\.json: has no floor; give it one in scripts\/tidy\/floors\.json/,
    /^apps\/api\/src\/app\.ts:1: uses @holdfast\/cache, which is not in this repository/,
  ])
})

t.test('the table of this house has every member on one floor', async (t) => {
  const { default: listed } = await import(join(import.meta.dirname, '../../tidy/floors.json'), {
    with: { type: 'json' },
  })
  const names = listed.flatMap((floor: { members: string[] }) => floor.members)
  t.equal(new Set(names).size, names.length)
})
