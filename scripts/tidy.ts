/**
 * `pnpm tidy` checks the structure of the house, and that its documents are true. It judges no taste (Biome does).
 * One rule, one file, under `scripts/tidy/`.
 */
import { join } from 'node:path'
import { documentRules, rules } from './tidy/rules.ts'
import { runRules } from './tidy/run-rules.ts'
import { readWorkspace } from './tidy/workspace.ts'

const all = [...rules, ...documentRules]
const count = runRules(all, readWorkspace(join(import.meta.dirname, '..')))
console.log(count === 0 ? `tidy: ${all.length} rules hold` : `tidy: ${count} findings`)
process.exitCode = count === 0 ? 0 : 1
