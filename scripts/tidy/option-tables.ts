import { InterfaceReader, type Property } from './interface-members.ts'
import { bare, blocksOf, tableRows } from './readme-block.ts'
import type { Finding, Rule } from './rule.ts'
import { type Member, publishedPackages, type Workspace } from './workspace.ts'

/**
 * The options tables of a README and the option interfaces of `options.ts` name the same options in the same
 * order. A nested option is `parent.child`; an interface of its own may have its own table instead.
 */
export const optionTables: Rule = {
  name: 'option-tables',
  check: (workspace) => publishedPackages(workspace).flatMap((member) => checkMember(member, workspace)),
}

function checkMember(member: Member, workspace: Workspace): readonly Finding[] {
  const path = `${member.folder}/README.md`
  const interfaces = new InterfaceReader(member.sources)
  const described = new Set<string>()
  const findings: Finding[] = []
  for (const { argument, content, line } of blocksOf(workspace.read(path) ?? '', 'options')) {
    described.add(argument)
    const place = `${path}:${line}`
    if (!interfaces.has(argument)) {
      findings.push({ place, message: `there is no interface ${argument}` })
      continue
    }
    const rows = tableRows(content)
    const properties = interfaces.properties(argument)
    const shown = rows.map((row) => bare(row[0]))
    const expected = properties.flatMap((property) => expectedRows(property, shown))
    for (const { name, refersTo } of properties) {
      if (refersTo !== undefined && shown.some((row) => row.startsWith(`${name}.`))) described.add(refersTo)
    }
    const difference = firstDifference(shown, expected)
    if (difference !== undefined) findings.push({ place, message: `the table of ${argument} ${difference}` })
    for (const row of rows) {
      if (row.length !== 3 || row.includes('')) {
        findings.push({
          place,
          message: `the row of "${bare(row[0])}" must have option, default and meaning`,
        })
      }
    }
  }
  for (const name of optionInterfaces(member)) {
    if (described.has(name)) continue
    findings.push({ place: path, message: `has no options table of ${name} (<!-- options: ${name} -->)` })
  }
  return findings
}

/** The row of the option, and those of its children where the table has them or nothing else describes them. */
function expectedRows({ name, children, inline }: Property, shown: readonly string[]): readonly string[] {
  const nested = inline || shown.some((row) => row.startsWith(`${name}.`))
  if (!nested || children.length === 0) return [name]
  const own = shown.includes(name) ? [name] : []
  return [...own, ...children.map((child) => `${name}.${child}`)]
}

function firstDifference(shown: readonly string[], expected: readonly string[]): string | undefined {
  const missing = expected.find((name) => !shown.includes(name))
  if (missing !== undefined) return `leaves out "${missing}"`
  const unknown = shown.find((name) => !expected.includes(name))
  if (unknown !== undefined) return `has "${unknown}", which the interface has not`
  const index = expected.findIndex((name, at) => shown[at] !== name)
  if (index >= 0)
    return `has another order than the interface: "${expected[index]}" comes before "${shown[index]}"`
  return shown.length > expected.length ? 'names an option twice' : undefined
}

/** What a user may pass in: the exported `…Options` of `options.ts`, save the resolved ones. */
function optionInterfaces(member: Member): readonly string[] {
  const file = member.sources.find((source) => source.name === 'options.ts')
  return (file?.program.body ?? []).flatMap((statement) => {
    const declaration = statement.type === 'ExportNamedDeclaration' ? statement.declaration : null
    if (declaration?.type !== 'TSInterfaceDeclaration') return []
    const { name } = declaration.id
    return name.endsWith('Options') && !name.startsWith('Resolved') ? [name] : []
  })
}
