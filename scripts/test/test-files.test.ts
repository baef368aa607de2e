import t from 'tap'
import { selectTestFiles } from '../testing/test-files.ts'

t.test('selects by suite, package, folder and file, and refuses what does not exist', async (t) => {
  const root = t.testdir({
    packages: {
      gate: {
        node_modules: { other: { test: { 'c.test.ts': '' } } },
        test: { 'a.test.ts': '', 'a.faults.ts': '', deep: { 'b.test.ts': '' }, 'help.ts': '' },
      },
    },
    apps: { api: { test: { 'app.test.ts': '' } } },
    scripts: { test: { 'tidy.test.ts': '' } },
  })
  const gate = ['packages/gate/test/a.test.ts', 'packages/gate/test/deep/b.test.ts']
  t.same(selectTestFiles(root, 'test', []), [
    ...gate,
    'apps/api/test/app.test.ts',
    'scripts/test/tidy.test.ts',
  ])
  t.same(selectTestFiles(root, 'faults', []), ['packages/gate/test/a.faults.ts'])
  t.same(selectTestFiles(root, 'test', ['gate']), gate)
  t.same(selectTestFiles(root, 'test', ['@holdfast/gate', 'gate']), gate)
  t.same(selectTestFiles(root, 'test', ['packages/gate']), gate)
  t.same(selectTestFiles(root, 'test', ['packages/gate/test/deep']), gate.slice(1))
  t.same(selectTestFiles(root, 'test', ['packages/gate/test/a.faults.ts']), [
    'packages/gate/test/a.faults.ts',
  ])
  t.throws(() => selectTestFiles(root, 'test', ['gat']), /"gat" is neither .*\(gate, api, scripts\)/)
})
