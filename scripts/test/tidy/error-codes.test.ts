import t from 'tap'
import { errorCodes } from '../../tidy/error-codes.ts'
import { findings, packageFolder } from './tree.ts'

const errors = `import createError from '@fastify/error'
const prefix = 'HOLDFAST_ERR_GATE'
export const FullError = createError(\`\${prefix}_FULL\`, 'all %d are in use', 503)
export const OptionError = createError('HOLDFAST_ERR_GATE_OPTION', 'wrong: %s')
`
const table = (...rows: string[]) =>
  `<!-- errors -->\n| code | status | when |\n| --- | --- | --- |\n${rows.join('\n')}\n<!-- /errors -->\n`
const full = '| `HOLDFAST_ERR_GATE_FULL` | 503 | full |'
const option = '| `HOLDFAST_ERR_GATE_OPTION` | 500 | a wrong option |'
const tree = (readme: string, changes: { src?: Record<string, string>; test?: string } = {}) => ({
  packages: {
    gate: packageFolder('gate', {
      'README.md': readme,
      src: {
        'errors.ts': errors,
        'gate.ts': 'export const raise = [FullError, OptionError]\n',
        ...changes.src,
      },
      test: { 'gate.test.ts': changes.test ?? "t.match('HOLDFAST_ERR_GATE_FULL', OptionError)\n" },
    }),
  },
})

t.test('codes that are raised, tested and documented pass', async (t) => {
  t.same(findings(errorCodes, t.testdir(tree(table(full, option)))), [])
})

t.test('undocumented, invented, wrongly documented, unused and untested codes are found', async (t) => {
  const found = (readme: string, changes = {}) => findings(errorCodes, t.testdir(tree(readme, changes)))
  t.match(found(table(full)), [/OPTION is not in the errors table/])
  t.match(found(table(full, option, full.replace('FULL', 'GONE'))), [/GONE is documented and does not exist/])
  t.match(found(table(full.replace('503', '429'), option)), [/status "429" for .*FULL; errors\.ts says 503/])
  t.match(found(table(full, option), { src: { 'gate.ts': 'export const raise = [OptionError]\n' } }), [
    /FULL is raised nowhere/,
  ])
  t.match(found(table(full, option), { test: 'FullError\n' }), [/OPTION is in no test/])
})

t.test('a code of another package, or made outside errors.ts, is found', async (t) => {
  const other =
    "import createError from '@fastify/error'\nexport class X extends createError('HOLDFAST_ERR_DOOR_X', 'x') {}\n"
  const readme = table(full, option, full.replace('GATE_FULL', 'DOOR_X').replace('503', '500'))
  const src = { 'x.ts': other, 'y.ts': 'export const y = X\n' }
  t.match(findings(errorCodes, t.testdir(tree(readme, { src, test: 'FullError OptionError X\n' }))), [
    /x\.ts:2: HOLDFAST_ERR_DOOR_X is made outside errors\.ts/,
    /HOLDFAST_ERR_DOOR_X does not begin with HOLDFAST_ERR_GATE_/,
  ])
})
