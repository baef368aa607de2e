import type { Finding, Rule } from './rule.ts'
import type { Manifest, Member, Workspace } from './workspace.ts'

interface TsConfig {
  readonly references?: readonly { readonly path: string }[]
}

/** Every member has its README, its tests and its place in the build; a published one also its changelog. */
export const memberFiles: Rule = {
  name: 'member-files',
  check: (workspace) =>
    workspace.members.flatMap((member) => [
      ...missingFiles(member, workspace),
      ...missingReferences(member, workspace),
      ...manifestProblems(member),
    ]),
}

function missingFiles(member: Member, { has, read }: Workspace): readonly Finding[] {
  const findings: Finding[] = []
  const readme = `${member.folder}/README.md`
  const changelog = `${member.folder}/CHANGELOG.md`
  if (!has(readme)) findings.push({ place: readme, message: 'is missing' })
  else if ((read(readme) ?? '').trim().split('\n').length < 3) {
    findings.push({ place: readme, message: 'holds no more than a title' })
  }
  if (member.manifest.private !== true && !has(changelog)) {
    const message = `is missing; begin it with "# ${member.manifest.name}", changesets writes the rest`
    findings.push({ place: changelog, message })
  }
  if (!member.tests.some((file) => file.name.endsWith('.test.ts'))) {
    findings.push({ place: `${member.folder}/test`, message: 'holds no *.test.ts' })
  }
  return findings
}

function missingReferences(member: Member, { members, read }: Workspace): readonly Finding[] {
  const findings: Finding[] = []
  if (!referencesIn(read('tsconfig.json')).includes(member.folder)) {
    findings.push({ place: 'tsconfig.json', message: `does not refer to ${member.folder}` })
  }
  const config = `${member.folder}/tsconfig.json`
  const referred = referencesIn(read(config)).map((path) => path.split('/').at(-1))
  const imported = new Set(
    member.sources.flatMap((file) =>
      file.imports.map(({ specifier }) => /^@holdfast\/([^/]+)/.exec(specifier)?.[1]),
    ),
  )
  for (const other of members) {
    if (other === member || !imported.has(other.name) || referred.includes(other.name)) continue
    const message = `does not refer to ../../${other.folder}, which the sources import`
    findings.push({ place: config, message })
  }
  return findings
}

function referencesIn(config: string | undefined): readonly string[] {
  if (config === undefined) return []
  const parsed: TsConfig = JSON.parse(config)
  return (parsed.references ?? []).map(({ path }) => path)
}

function manifestProblems({ name, folder, manifest, kind }: Member): readonly Finding[] {
  const wanted: [keyof Manifest, unknown, unknown][] = [
    ['name', manifest.name, `@holdfast/${name}`],
    ['type', manifest.type, 'module'],
    ['license', manifest.license, 'MIT'],
  ]
  if (kind === 'package') {
    // An app is nobody's dependency, and may want a newer Node.
    wanted.push(['engines', manifest.engines, { node: '>=22' }])
    wanted.push([
      'exports',
      manifest.exports?.['.'],
      { '@holdfast/source': './src/index.ts', types: './dist/index.d.ts', default: './dist/index.js' },
    ])
  }
  if (manifest.private !== true) wanted.push(['repository', manifest.repository?.directory, folder])
  return wanted
    .filter(([, actual, expected]) => JSON.stringify(actual) !== JSON.stringify(expected))
    .map(([key, actual, expected]) => ({
      place: `${folder}/package.json`,
      message: `"${key}" must be ${JSON.stringify(expected)}, found ${JSON.stringify(actual)}`,
    }))
}
