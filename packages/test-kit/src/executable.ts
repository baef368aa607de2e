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

// As Debian calls it, as others do, and Google's own, which is on many machines already.
const browsers = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']

/** The path of Chromium, under any of its names; undefined when there is none. */
export function findBrowser(path?: readonly string[]): string | undefined {
  for (const name of browsers) {
    const found = path === undefined ? findExecutable(name) : findExecutable(name, [...path])
    if (found !== undefined) return found
  }
  return undefined
}

/** The path of Chromium. Throws `HOLDFAST_ERR_TEST_KIT_MISSING_PROGRAM` with the way to install it. */
export function requireBrowser(path?: readonly string[]): string {
  const found = findBrowser(path)
  if (found !== undefined) return found
  throw new MissingProgramError(
    'no browser was found (chromium, chromium-browser, google-chrome). Install it with: npx -y pnpm@12 provision chromium',
  )
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}
