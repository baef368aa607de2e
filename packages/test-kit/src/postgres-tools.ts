import { existsSync, readdirSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { wishedPostgresBin } from './config.ts'
import { MissingProgramError } from './errors.ts'
import { findExecutable } from './executable.ts'

/** A server and its tools, which have to be of one version: `pg_dump` refuses a server that is newer. */
const programs = ['initdb', 'postgres', 'psql', 'pg_dump', 'pg_restore']
// Debian keeps every version by itself.
const DEBIAN = '/usr/lib/postgresql'

/**
 * A directory with PostgreSQL's server and its tools, which the one from npm has not: `HOLDFAST_POSTGRES_BIN`, the
 * newest of Debian, or where `pg_dump` on the PATH is. Undefined when there is none.
 */
export function findPostgresTools(root = DEBIAN, path?: readonly string[]): string | undefined {
  const newestFirst = existsSync(root) ? readdirSync(root).sort((left, right) => +right - +left) : []
  const onPath = path === undefined ? findExecutable('pg_dump') : findExecutable('pg_dump', [...path])
  return [
    wishedPostgresBin(),
    ...newestFirst.map((version) => join(root, version, 'bin')),
    onPath && dirname(realpathSync(onPath)),
  ].find(
    (bin) => bin !== undefined && programs.every((program) => findExecutable(program, [bin]) !== undefined),
  )
}

/** As `findPostgresTools`. Throws `HOLDFAST_ERR_TEST_KIT_MISSING_PROGRAM` with the way to install them. */
export function requirePostgresTools(root?: string, path?: readonly string[]): string {
  const found = findPostgresTools(root, path)
  if (found !== undefined) return found
  throw new MissingProgramError(
    'no PostgreSQL with pg_dump, pg_restore and psql was found. Install it with: npx -y pnpm@12 provision postgresql',
  )
}
