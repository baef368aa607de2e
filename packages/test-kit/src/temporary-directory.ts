import { chownSync, lstatSync, mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { canEnter, type Identity } from './identity.ts'

/** A directory of one's own. */
export interface TemporaryDirectory {
  readonly path: string
  /** Deletes it with everything in it. */
  remove(): Promise<void>
}

/** A new empty directory that only this user, or `identity` when given, may enter. */
export function temporaryDirectory(name = 'test', identity?: Identity): TemporaryDirectory {
  const path = mkdtempSync(join(temporaryRoot(identity), `holdfast-${name}-`))
  if (identity !== undefined) chownSync(path, identity.uid, identity.gid)
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 3 }) }
}

/** The system's directory for temporary files, or another one where `identity` may not enter that one. */
export function temporaryRoot(identity: Identity | undefined, preferred = tmpdir()): string {
  return [preferred, '/tmp', '/var/tmp'].find((path) => canEnter(identity, path)) ?? preferred
}

/** Whether a directory in a place where everybody may write was made by us, and can be changed by us alone. */
export function isOurs(directory: string): boolean {
  const found = lstatSync(directory, { throwIfNoEntry: false })
  return found?.isDirectory() === true && found.uid === process.getuid?.() && (found.mode & 0o022) === 0
}
