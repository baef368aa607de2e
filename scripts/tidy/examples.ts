import { blocksOf } from './readme-block.ts'
import type { Finding, Rule } from './rule.ts'
import type { Member, Workspace } from './workspace.ts'

/** What a README shows between the marks of an example. */
export const embedded = (source: string): string => `\`\`\`ts\n${source.trimEnd()}\n\`\`\`\n`

/** The README of a member with every embedded example as its file has it now. */
export function embedExamples(readme: string, member: Member, workspace: Workspace): string {
  let result = readme
  // From the end, so that the offsets of earlier blocks stay true.
  for (const block of blocksOf(readme, 'example').toReversed()) {
    const source = workspace.read(`${member.folder}/${block.argument}`)
    if (source !== undefined)
      result = result.slice(0, block.start) + embedded(source) + result.slice(block.end)
  }
  return result
}

/** README examples are the tested files, letter by letter, and every example file is run by a test. */
export const examples: Rule = {
  name: 'examples',
  check: (workspace) => workspace.members.flatMap((member) => checkMember(member, workspace)),
}

function checkMember(member: Member, workspace: Workspace): readonly Finding[] {
  const path = `${member.folder}/README.md`
  const readme = workspace.read(path)
  if (readme === undefined) return []
  const blocks = blocksOf(readme, 'example')
  const shown = blocks.flatMap((block): readonly Finding[] => {
    const place = `${path}:${block.line}`
    const source = workspace.read(`${member.folder}/${block.argument}`)
    if (source === undefined) return [{ place, message: `${block.argument} does not exist` }]
    if (block.content === embedded(source)) return []
    return [{ place, message: `differs from ${block.argument}; run pnpm run docs` }]
  })
  const testText = member.tests.map((file) => file.text).join('\n')
  const untested = member.examples
    .filter((file) => !testText.includes(file.name))
    .map((file) => ({ place: file.path, message: 'is run by no test; name it in test/examples.test.ts' }))
  const needsExample = member.kind === 'package' && member.manifest.private !== true
  if (needsExample && blocks.length === 0) {
    return [...untested, { place: path, message: 'shows no example (<!-- example: examples/….ts -->)' }]
  }
  return [...shown, ...untested]
}
