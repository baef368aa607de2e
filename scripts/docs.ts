/**
 * `pnpm run docs` writes the tested examples into the READMEs, then says which tables are not true.
 *
 *   --check   writes nothing
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { embedExamples } from './tidy/examples.ts'
import { documentRules } from './tidy/rules.ts'
import { runRules } from './tidy/run-rules.ts'
import { readWorkspace } from './tidy/workspace.ts'

const { values: flags } = parseArgs({ options: { check: { type: 'boolean', default: false } } })
const root = join(import.meta.dirname, '..')
const workspace = readWorkspace(root)

for (const member of flags.check ? [] : workspace.members) {
  const path = `${member.folder}/README.md`
  const readme = workspace.read(path)
  if (readme === undefined) continue
  const written = embedExamples(readme, member, workspace)
  if (written === readme) continue
  writeFileSync(join(root, path), written)
  console.log(`wrote ${path}`)
}

const count = runRules(documentRules, workspace)
console.log(count === 0 ? 'docs: true' : `docs: ${count} findings`)
process.exitCode = count === 0 ? 0 : 1
