import t from 'tap'
import { coverageByPackage, coverageGate, hasCode } from '../testing/coverage.ts'

const file = (covered: number, branches = covered) => ({
  lines: { covered, total: 100 },
  branches: { covered: branches, total: 100 },
})

t.test('every package must reach the share, of lines and of branches', async (t) => {
  const packages = coverageByPackage('/r', {
    total: file(97),
    '/r/packages/full/src/a.ts': file(100),
    '/r/packages/full/src/b.ts': file(90),
    '/r/packages/low/src/a.ts': file(100, 94),
    '/r/apps/api/src/a.ts': file(96),
    '/r/apps/bench/src/a.ts': file(1),
  })
  t.match(packages, [
    { name: 'api', lines: { covered: 96, total: 100 } },
    { name: 'full', lines: { covered: 190, total: 200 } },
    { name: 'low', branches: { covered: 94, total: 100 } },
  ])
  const gate = coverageGate(packages)
  t.equal(gate.ok, false)
  t.match(gate.table, /ok {3}full +95\.00 % lines +95\.00 % branches/)
  t.match(gate.table, /FAIL low +100\.00 % lines +94\.00 % branches/)
  t.equal(coverageGate(packages.slice(0, 2)).ok, true)
  t.equal(coverageGate([]).ok, false, 'no package at all is no success')
})

t.test('a file of types has no code, a file that exports again has', async (t) => {
  t.equal(
    hasCode(
      "import type { A } from './a.ts'\n/** An A. */\nexport interface B { a: A }\nexport type C = B\n",
    ),
    false,
  )
  t.equal(hasCode('export const a = 1\n'), true)
  t.equal(hasCode("export { a } from './a.ts'\n"), true)
})
