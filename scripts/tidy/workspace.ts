import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { SourceFile } from './source-file.ts'

/** What the rules read of a `package.json`. */
export interface Manifest {
  readonly name?: string
  readonly private?: boolean
  readonly type?: string
  readonly license?: string
  readonly description?: string
  readonly engines?: Readonly<Record<string, string>>
  readonly repository?: { readonly directory?: string }
  readonly exports?: Readonly<Record<string, unknown>>
  readonly files?: readonly string[]
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

/** A package or an app. */
export interface Member {
  readonly kind: 'package' | 'app'
  /** The name of its folder. */
  readonly name: string
  /** Relative to the root: `packages/health`. */
  readonly folder: string
  readonly manifest: Manifest
  readonly sources: readonly SourceFile[]
  readonly tests: readonly SourceFile[]
  readonly examples: readonly SourceFile[]
}

/** The tree the rules read. */
export interface Workspace {
  readonly root: string
  readonly members: readonly Member[]
  readonly scripts: readonly SourceFile[]
  /** Whether this path, relative to the root, exists. */
  has(path: string): boolean
  /** The text of a file, or nothing when it does not exist. */
  read(path: string): string | undefined
}

export function readWorkspace(root: string): Workspace {
  const members = (['package', 'app'] as const).flatMap((kind) => {
    const parent = `${kind}s`
    return foldersIn(join(root, parent))
      .filter((name) => existsSync(join(root, parent, name, 'package.json')))
      .map((name) => readMember(root, kind, name))
  })
  return {
    root,
    members,
    scripts: sourcesIn(root, 'scripts'),
    has: (path) => existsSync(join(root, path)),
    read: (path) => (existsSync(join(root, path)) ? readFileSync(join(root, path), 'utf8') : undefined),
  }
}

/** The packages that users install. */
export function publishedPackages({ members }: Workspace): readonly Member[] {
  return members.filter((member) => member.kind === 'package' && member.manifest.private !== true)
}

function readMember(root: string, kind: Member['kind'], name: string): Member {
  const folder = `${kind}s/${name}`
  return {
    kind,
    name,
    folder,
    manifest: JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')),
    sources: sourcesIn(root, `${folder}/src`),
    tests: sourcesIn(root, `${folder}/test`),
    examples: sourcesIn(root, `${folder}/examples`),
  }
}

function foldersIn(folder: string): readonly string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort()
}

function sourcesIn(root: string, folder: string): readonly SourceFile[] {
  const absolute = join(root, folder)
  if (!existsSync(absolute)) return []
  return readdirSync(absolute, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'))
    .sort()
    .map((path) => new SourceFile(root, relative(root, join(absolute, path))))
}
