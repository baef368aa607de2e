/**
 * `pnpm verify-pack` builds and packs every public package, looks into the tarballs (publint, attw, contents), and
 * uses them in a foreign project: by `import`, by `require`, by types, by the examples of their READMEs. It runs under whatever Node started it.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packageName } from './creating/package-name.ts'
import { consumerFiles, exampleFiles, type Packed } from './packing/consumer.ts'
import { runCommand } from './packing/run-command.ts'
import { contentProblems, filesOf, manifestOf, pack } from './packing/tarball.ts'
import { publishedPackages, readWorkspace } from './tidy/workspace.ts'

const root = join(import.meta.dirname, '..')
const bin = (name: string) => join(root, 'node_modules', '.bin', name)
const scratch = mkdtempSync(join(tmpdir(), 'holdfast-pack-'))
process.once('exit', () => rmSync(scratch, { recursive: true, force: true }))

try {
  verify()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}

function verify(): void {
  const members = publishedPackages(readWorkspace(root))
  // What an earlier build made of a source that is gone must not be packed.
  for (const { folder } of members) rmSync(join(root, folder, 'dist'), { recursive: true, force: true })
  runCommand(root, bin('tsc'), '-b')
  const examples = Object.assign({}, ...members.map((member) => exampleFiles(member.name, member.examples)))
  const packed = members.map((member) => inspect(member.name, join(root, member.folder)))
  useAll(packed, examples)
}

function inspect(name: string, folder: string): Packed {
  const tarball = pack(folder, scratch)
  const manifest = manifestOf(tarball)
  const problems = contentProblems(filesOf(tarball), manifest)
  if (problems.length > 0) throw new Error(`@holdfast/${name}: ${problems.join(', ')}`)
  runCommand(root, bin('publint'), '--strict', tarball)
  runCommand(root, bin('attw'), '--profile', 'esm-only', tarball)
  console.log(`@holdfast/${name}: the contents are right, publint and attw are content`)
  const plugin = JSON.parse(manifest).peerDependencies?.fastify !== undefined
  return { packageName: `@holdfast/${name}`, decorator: packageName(name).camel, plugin, tarball }
}

function useAll(all: readonly Packed[], examples: Readonly<Record<string, string>>): void {
  // The versions of this repository; a foreign project has no other reason to differ.
  const manifest = JSON.parse(readFileSync(join(root, 'apps', 'api', 'package.json'), 'utf8'))
  const house = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const { fastify, ioredis, pg } = manifest.dependencies
  const thirdParty = {
    fastify,
    ioredis,
    pg,
    '@types/pg': manifest.devDependencies['@types/pg'],
    '@types/node': house.devDependencies['@types/node'],
  }
  for (const [name, text] of Object.entries(consumerFiles(all, thirdParty, examples))) {
    writeFileSync(join(scratch, name), text)
  }
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock']
  const npm = (...args: readonly string[]) => runCommand(scratch, 'npm', ...args, ...quiet)
  npm('install')
  for (const file of ['import.mjs', 'require.cjs']) {
    console.log(`${file} ${runCommand(scratch, process.execPath, file).trim()}`)
  }
  runCommand(scratch, bin('tsc'), '-p', '.')
  console.log('types.mts compiles under strict nodenext')
  npm('install', `@fastify/rate-limit@${manifest.dependencies['@fastify/rate-limit']}`)
  runCommand(scratch, bin('tsc'), '-p', 'tsconfig.examples.json')
  console.log(`${Object.keys(examples).length} examples compile under strict nodenext`)
  // Only now: the main entries must not need it.
  npm('install', `kysely@${manifest.dependencies.kysely}`)
  console.log(`kysely-use.mjs ${runCommand(scratch, process.execPath, 'kysely-use.mjs').trim()}`)
  runCommand(scratch, bin('tsc'), '-p', 'tsconfig.kysely.json')
  console.log('kysely-types.mts compiles under strict nodenext')
}
