// `pnpm --filter @holdfast/api observability`: writes the rules, their tests, the runbook and the dashboard anew.

import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { FILES } from './files.ts'

const deploy = join(import.meta.dirname, '..')
for (const [path, text] of Object.entries(FILES)) {
  mkdirSync(dirname(join(deploy, path)), { recursive: true })
  writeFileSync(join(deploy, path), text())
}
