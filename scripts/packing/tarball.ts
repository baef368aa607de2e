import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { runCommand } from './run-command.ts'

const wanted = ['package.json', 'README.md', 'CHANGELOG.md', 'LICENSE', 'dist/index.js', 'dist/index.d.ts']
/** All that may be in a tarball besides these: JavaScript and declarations. */
const welcome = /^dist\/.+\.(js|d\.ts)$/

/** Packs one package the way `pnpm publish` does; gives the path of the tarball. */
export function pack(packageFolder: string, destination: string): string {
  const before = new Set(readdirSync(destination))
  runCommand(packageFolder, 'pnpm', 'pack', '--pack-destination', destination)
  const made = readdirSync(destination).find((name) => name.endsWith('.tgz') && !before.has(name))
  if (made === undefined) throw new Error(`pnpm pack made no tarball of ${packageFolder}`)
  return join(destination, made)
}

/** The files of a tarball, without the `package/` in front. */
export function filesOf(tarball: string): readonly string[] {
  return runCommand('.', 'tar', '-tzf', tarball)
    .split('\n')
    .filter((path) => path !== '' && !path.endsWith('/'))
    .map((path) => path.replace(/^package\//, ''))
}

/** What is wrong with the contents of a tarball. */
export function contentProblems(files: readonly string[], manifest: string): readonly string[] {
  const problems = wanted.filter((file) => !files.includes(file)).map((file) => `${file} is missing`)
  for (const file of files) {
    if (!wanted.includes(file) && !welcome.test(file)) problems.push(`${file} must not be shipped`)
  }
  if (manifest.includes('workspace:')) problems.push('package.json still says "workspace:"')
  return problems
}

/** The `package.json` inside a tarball. */
export function manifestOf(tarball: string): string {
  return runCommand('.', 'tar', '-xzOf', tarball, 'package/package.json')
}
