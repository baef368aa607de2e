// `pnpm --filter @holdfast/api manifests`: writes `manifests/` anew.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { manifests, rendered } from './manifests.ts'

const directory = join(import.meta.dirname, 'manifests')
rmSync(directory, { recursive: true, force: true })
mkdirSync(directory)
for (const name of Object.keys(manifests)) writeFileSync(join(directory, name), rendered(name))
