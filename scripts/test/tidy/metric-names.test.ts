import t from 'tap'
import { metricNames } from '../../tidy/metric-names.ts'
import { findings, packageFolder } from './tree.ts'

const metrics = `const prefix = 'holdfast_gate'
new Gauge({ name: 'holdfast_gate_open', help: 'Open gates' })
for (const [name, help] of [[\`\${prefix}_passed_total\`, 'Calls that passed']]) counter(name, help)
gauge('gate_width', 'Metres of the gate', ['ran_alone', 'ranAlone'])
`
const table = (...names: string[]) =>
  `<!-- metrics -->\n| name | type | labels | meaning |\n| --- | --- | --- | --- |\n${names
    .map((name) => `| \`${name}\` | gauge | none | text |`)
    .join('\n')}\n<!-- /metrics -->\n`
const all = ['holdfast_gate_open', 'holdfast_gate_passed_total', 'gate_width']
const tree = (readme: string, test = "'holdfast_gate_open holdfast_gate_passed_total gate_width'\n") => ({
  packages: {
    gate: packageFolder('gate', {
      'README.md': readme,
      src: { 'metrics.ts': metrics },
      test: { 'metrics.test.ts': test },
    }),
  },
})

t.test('metrics that are documented and tested pass, as does a package without metrics', async (t) => {
  t.same(findings(metricNames, t.testdir(tree(table(...all)))), [])
  t.same(
    findings(
      metricNames,
      t.testdir({ packages: { gate: packageFolder('gate', { 'README.md': '# Gate\n' }) } }),
    ),
    [],
  )
})

t.test('undocumented, untested and invented metrics are found', async (t) => {
  t.match(findings(metricNames, t.testdir(tree(table('holdfast_gate_open')))), [
    /passed_total is not in the metrics table/,
  ])
  t.match(findings(metricNames, t.testdir(tree(table(...all), "'holdfast_gate_open gate_width'"))), [
    /passed_total is in no test/,
  ])
  const invented = table(...all, 'holdfast_gate_shut')
  t.match(findings(metricNames, t.testdir(tree(invented))), [
    /holdfast_gate_shut is documented and does not exist/,
  ])
})
