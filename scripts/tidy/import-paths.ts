import { dirname, join, normalize } from 'node:path'
import type { Finding, Rule } from './rule.ts'
import type { SourceFile } from './source-file.ts'
import type { Member, Workspace } from './workspace.ts'

/** A member is entered by its `exports`, never through the back; the files of one member import in no circle. */
export const importPaths: Rule = {
  name: 'import-paths',
  check: (workspace) =>
    workspace.members.flatMap((member) => [
      ...[...member.sources, ...member.tests, ...member.examples].flatMap((file) =>
        backDoors(file, member, workspace),
      ),
      ...circles(member.sources),
    ]),
}

function backDoors(file: SourceFile, member: Member, workspace: Workspace): readonly Finding[] {
  return file.imports.flatMap(({ specifier, line }) => {
    const place = `${file.path}:${line}`
    if (specifier.startsWith('.')) {
      const target = normalize(join(dirname(file.path), specifier))
      if (target.startsWith(`${member.folder}/`)) return []
      return [
        { place, message: `imports "${specifier}" outside ${member.folder}; import it by its package name` },
      ]
    }
    const match = /^@holdfast\/([^/]+)(?:\/(.+))?$/.exec(specifier)
    const target = workspace.members.find((candidate) => candidate.name === match?.[1])
    const entry = match?.[2] === undefined ? '.' : `./${match[2]}`
    if (target === undefined || Object.hasOwn(target.manifest.exports ?? {}, entry)) return []
    return [{ place, message: `imports "${specifier}", which the exports of ${target.folder} do not offer` }]
  })
}

/** Circles of imports that remain at run time; types may refer to each other. */
function circles(files: readonly SourceFile[]): readonly Finding[] {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const done = new Set<string>()
  const findings: Finding[] = []
  const walk = (file: SourceFile, way: readonly string[]) => {
    const start = way.indexOf(file.path)
    if (start >= 0) {
      const circle = [...way.slice(start), file.path].map((path) => path.split('/').slice(2).join('/'))
      findings.push({ place: file.path, message: `is imported in a circle: ${circle.join(' -> ')}` })
      return
    }
    if (done.has(file.path)) return
    for (const { specifier, typeOnly } of file.imports) {
      const target = byPath.get(normalize(join(dirname(file.path), specifier)))
      if (!typeOnly && target !== undefined) walk(target, [...way, file.path])
    }
    done.add(file.path)
  }
  for (const file of files) walk(file, [])
  return findings
}
