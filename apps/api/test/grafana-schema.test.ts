// The dashboard as it stands in its file, held to what Grafana publishes about dashboards, time series and queries of
// Prometheus: the compiler reads the JSON as a value of these types, which know every member and every word.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

t.setTimeout(120_000)

const PACKAGE = new URL('..', import.meta.url).pathname
const ROOT = join(PACKAGE, '../..')
const text = readFileSync(join(PACKAGE, 'deploy/grafana/holdfast.json'), 'utf8')

/** What the compiler says about it, as one text. */
function refused(json: string): string {
  // In the package, so that what it imports is found.
  const folder = mkdtempSync(join(PACKAGE, 'node_modules/.cache-schema-'))
  try {
    const source = [
      "import type { GrafanaDashboard } from '../../deploy/grafana/schema.ts'",
      `export const dashboard: GrafanaDashboard = ${json}`,
    ]
    writeFileSync(join(folder, 'dashboard.ts'), source.join('\n'))
    const configuration = {
      extends: join(ROOT, 'tsconfig.checked.json'),
      compilerOptions: { incremental: false, tsBuildInfoFile: null, types: [] },
      include: ['dashboard.ts'],
    }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(configuration))
    const { stdout, stderr } = spawnSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', folder], {
      encoding: 'utf8',
    })
    return stdout + stderr
  } finally {
    rmSync(folder, { recursive: true })
  }
}

t.test('the dashboard keeps to it', (t) => {
  t.equal(refused(text), '')
  t.end()
})

t.test('a mistake in any part of it is refused', (t) => {
  for (const [what, right, wrong] of [
    ['a member that there is not', '"schemaVersion"', '"shemaVersion"'],
    ['a kind of panel', '"type": "timeseries"', '"type": "timeserie"'],
    ['a word of the legend', '"displayMode": "list"', '"displayMode": "lists"'],
    ['a word of a tooltip', '"mode": "multi"', '"mode": "many"'],
    ['a word of the drawing', '"drawStyle": "line"', '"drawStyle": "lines"'],
    ['a member of the drawing', '"fillOpacity": 5', '"opacity": 5'],
    ['a colour mode', '"mode": "palette-classic"', '"mode": "palette"'],
    ['a threshold', '"mode": "absolute"', '"mode": "relative"'],
    ['a number that is text', '"lineWidth": 1', '"lineWidth": "1"'],
    ['a query without an expression', '"expr": "sum by (status)', '"expression": "sum by (status)'],
    ['a word of an editor', '"editorMode": "code"', '"editorMode": "text"'],
    ['a place without a width', '"w": 24,', ''],
    ['a kind of variable', '"type": "datasource"', '"type": "datasources"'],
    ['how the cursor is shared', '"graphTooltip": 1', '"graphTooltip": 7'],
  ] as const) {
    t.ok(text.includes(right), right)
    t.match(refused(text.replace(right, wrong)), /error TS\d+/, what)
  }
  t.end()
})
