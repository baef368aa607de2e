import t from 'tap'
import { memberFiles } from '../../tidy/member-files.ts'
import { findings, packageFolder } from './tree.ts'

const readme = '# Gate\n\nOne sentence.\n'
const references = (...paths: string[]) => JSON.stringify({ references: paths.map((path) => ({ path })) })

t.test('a member with its README, changelog, tests and references passes', async (t) => {
  const root = t.testdir({
    'tsconfig.json': references('packages/gate', 'packages/kit'),
    packages: {
      gate: packageFolder('gate', {
        'README.md': readme,
        'CHANGELOG.md': '# @holdfast/gate\n',
        'tsconfig.json': references('../kit'),
        src: { 'a.ts': "import '@holdfast/kit'\n" },
        test: { 'a.test.ts': '' },
      }),
      kit: packageFolder(
        'kit',
        { 'README.md': readme, 'tsconfig.json': '{}', test: { 'a.test.ts': '' } },
        { private: true },
      ),
    },
  })
  t.same(findings(memberFiles, root), [])
})

t.test('everything that is missing is found', async (t) => {
  const root = t.testdir({
    'tsconfig.json': references('packages/kit'),
    packages: {
      gate: packageFolder(
        'gate',
        { 'tsconfig.json': '{}', src: { 'a.ts': "import '@holdfast/kit'\n" } },
        { name: 'gate', license: 'ISC' },
      ),
      kit: packageFolder('kit', { 'README.md': '# Kit\n', test: { 'a.test.ts': '' } }, { private: true }),
    },
  })
  t.match(findings(memberFiles, root), [
    'packages/gate/README.md: is missing',
    /^packages\/gate\/CHANGELOG\.md: is missing; begin it with "# gate"/,
    'packages/gate/test: holds no *.test.ts',
    'tsconfig.json: does not refer to packages/gate',
    'packages/gate/tsconfig.json: does not refer to ../../packages/kit, which the sources import',
    'packages/gate/package.json: "name" must be "@holdfast/gate", found "gate"',
    'packages/gate/package.json: "license" must be "MIT", found "ISC"',
    'packages/kit/README.md: holds no more than a title',
  ])
})
