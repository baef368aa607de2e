// `pnpm --filter @holdfast/api observability`: writes the list of metrics, the rules, their tests, the runbook and the
// dashboard anew.

import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describeService } from './described.ts'
import { moduleOf, tableOf } from './metric-table.ts'

const deploy = join(import.meta.dirname, '..')

function write(path: string, text: string): void {
  mkdirSync(dirname(join(deploy, path)), { recursive: true })
  writeFileSync(join(deploy, path), text)
}

const metrics = await describeService()
const written =
  'Written by `pnpm --filter @holdfast/api observability` from what the service says about its metrics.'
write('prometheus/service-metrics.ts', moduleOf(metrics, written))
write('prometheus/METRICS.md', tableOf(metrics, written))
// After the list that rules and panels are made with.
const { FILES } = await import('./files.ts')
for (const [path, text] of Object.entries(FILES)) write(path, text())
