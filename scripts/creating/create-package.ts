import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { embedExamples } from '../tidy/examples.ts'
import { type Floor, floorsFile } from '../tidy/floors.ts'
import { readWorkspace } from '../tidy/workspace.ts'
import { type PackageName, packageName } from './package-name.ts'

const template = join(import.meta.dirname, '..', 'template')
/** The new package takes its versions from here, so that there is one of each. */
const versionsFrom = 'packages/singleflight/package.json'

export interface Created {
  readonly folder: string
  /** Everything written, relative to the root. */
  readonly written: readonly string[]
}

/**
 * Writes a package from the template into the house under `root`. Throws before it writes anything when the name
 * is no name, or taken.
 */
export function createPackage(root: string, given: string | undefined): Created {
  const name = packageName(given)
  const folder = `packages/${name.name}`
  if (existsSync(join(root, folder))) throw new Error(`${folder} exists already`)
  const values = { ...name, ...versions(root), description: `${sentence(name)} for Fastify.` }
  const written: string[] = []
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
    written.push(path)
  }

  for (const path of readdirSync(template, { recursive: true, encoding: 'utf8' })) {
    if (!path.endsWith('.tmpl')) continue
    const text = readFileSync(join(template, path), 'utf8')
    write(`${folder}/${path.slice(0, -'.tmpl'.length)}`, fill(text, values))
  }
  write(
    `.changeset/first-${name.name}.md`,
    `---\n"@holdfast/${name.name}": minor\n---\n\nThe first release. ${values.description}\n`,
  )
  write('tsconfig.json', withReference(readFileSync(join(root, 'tsconfig.json'), 'utf8'), folder))
  write(floorsFile, withFloor(readFileSync(join(root, floorsFile), 'utf8'), name.name))
  return { folder, written }
}

/** Puts the examples of a package, as they are after formatting, into its README. */
export function embedExamplesOf(root: string, folder: string): void {
  const workspace = readWorkspace(root)
  const path = `${folder}/README.md`
  const member = workspace.members.find((candidate) => candidate.folder === folder)
  const readme = workspace.read(path)
  if (member === undefined || readme === undefined) throw new Error(`${folder} has no package with a README`)
  writeFileSync(join(root, path), embedExamples(readme, member, workspace))
}

const sentence = ({ name }: PackageName) => {
  const words = name.replaceAll('-', ' ')
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}`
}

function fill(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/\{\{([^{}]+)\}\}/g, (_, key: string) => {
    const value = values[key]
    if (value === undefined) throw new Error(`the template asks for "${key}", which nothing gives`)
    return value
  })
}

function versions(root: string): Readonly<Record<string, string>> {
  const manifest = JSON.parse(readFileSync(join(root, versionsFrom), 'utf8'))
  return { ...manifest.devDependencies, ...manifest.dependencies }
}

function withReference(config: string, folder: string): string {
  const parsed: { references: { path: string }[] } = JSON.parse(config)
  parsed.references.push({ path: folder })
  parsed.references.sort((a, b) => rank(a.path) - rank(b.path) || a.path.localeCompare(b.path))
  return `${JSON.stringify(parsed, null, 2)}\n`
}

/** Packages before apps before everything else. */
function rank(path: string): number {
  const index = ['packages/', 'apps/'].findIndex((start) => path.startsWith(start))
  return index < 0 ? 2 : index
}

/** A name the design has no floor for goes to the ground: it may use nothing until somebody moves it up. */
/** A new plugin begins on the ground, where it may use the footing and nothing else. */
function withFloor(text: string, name: string): string {
  const listed: Floor[] = JSON.parse(text)
  if (listed.some(({ members }) => members.includes(name))) return text
  if (!listed.some(({ floor }) => floor === 'ground')) throw new Error(`${floorsFile} lists no ground`)
  const grown = listed.map((floor) =>
    floor.floor === 'ground' ? { ...floor, members: [...floor.members, name].sort() } : floor,
  )
  return `${JSON.stringify(grown, null, 2)}\n`
}
