import t from 'tap'
import { importPaths } from '../../tidy/import-paths.ts'
import { findings, packageFolder } from './tree.ts'

t.test('a member is entered by its exports, and types may refer to each other', async (t) => {
  const root = t.testdir({
    packages: {
      gate: packageFolder(
        'gate',
        {
          src: {
            'a.ts': "import { b } from './b.ts'\nexport const a = b\n",
            'b.ts': "import type { a } from './a.ts'\nexport const b = 1\nexport type A = typeof a\n",
          },
          test: {
            'a.test.ts':
              "import '../src/a.ts'\nimport '@holdfast/gate'\nimport '@holdfast/gate/package.json'\n",
          },
        },
        { exports: { '.': './a', './package.json': './package.json' } },
      ),
    },
  })
  t.same(findings(importPaths, root), [])
})

t.test('back doors and circles are found', async (t) => {
  const root = t.testdir({
    packages: {
      door: packageFolder('door', {
        src: {
          'a.ts': "import { b } from './b.ts'\nexport const a = () => b\n",
          'b.ts': "import { c } from './c.ts'\nexport const b = () => c\n",
          'c.ts': "import { a } from './a.ts'\nexport const c = () => a\n",
        },
      }),
      gate: packageFolder('gate', {
        src: { 'a.ts': "import '../../door/src/a.ts'\nimport '@holdfast/door/src/a.ts'\n" },
      }),
    },
  })
  t.match(findings(importPaths, root), [
    /^packages\/door\/src\/a\.ts: is imported in a circle: src\/a\.ts -> src\/b\.ts -> src\/c\.ts -> src\/a\.ts/,
    /^packages\/gate\/src\/a\.ts:1: imports "\.\.\/\.\.\/door\/src\/a\.ts" outside packages\/gate/,
    /^packages\/gate\/src\/a\.ts:2: .*which the exports of packages\/door do not offer/,
  ])
})
