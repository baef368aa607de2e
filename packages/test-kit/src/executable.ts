import { accessSync, constants, statSync } from 'node:fs'
import { join } from 'node:path'
import { searchPath } from './config.ts'
import { MissingProgramError } from './errors.ts'

// Debian keeps servers in directories which are not on the PATH of an ordinary user.
const serverDirectories = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/opt/homebrew/bin']

/** The path of a program on `path`, or where systems keep servers; undefined when there is none. */
export function findExecutable(
  program: string,
  path = [...searchPath(), ...serverDirectories],
): string | undefined {
  return path.map((directory) => join(directory, program)).find(isExecutable)
}

/** The path of a program. Throws `HOLDFAST_ERR_TEST_KIT_MISSING_PROGRAM` with the way to install it. */
export function requireExecutable(program: string, path?: readonly string[]): string {
  const found = findExecutable(program, path && [...path])
  if (found !== undefined) return found
  throw new MissingProgramError(`${program} was not found. Install it with: npx -y pnpm@12 provision`)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}
