import { chmodSync, mkdirSync, realpathSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { digest } from './digest.ts'
import { DataDirectoryError } from './errors.ts'
import { canEnter, type Identity } from './identity.ts'
import { isOurs, temporaryRoot } from './temporary-directory.ts'

/** Where data can be kept. */
export interface DataLocation {
  /** Absolute, without symbolic links. The directory may not exist yet; its parent does. */
  readonly path: string
  /** For a person to read, when it is not where it was wished for. */
  readonly notice?: string
}

/**
 * Where `identity` can keep data: at `wished`, or, when one of its parents lets only others in (a clone under
 * /root), in a directory of its own, always the same, under the system's temporary directory.
 */
export function locateData(wished: string, identity: Identity | undefined): DataLocation {
  const absolute = resolve(wished)
  mkdirSync(dirname(absolute), { recursive: true })
  const path = join(realpathSync(dirname(absolute)), basename(absolute))
  if (canEnter(identity, dirname(path))) return { path }
  const parent = join(realpathSync(temporaryRoot(identity)), `holdfast-data-${digest(path)}`)
  mkdirSync(parent, { recursive: true })
  if (!isOurs(parent)) {
    throw new DataDirectoryError(
      `${parent} belongs to somebody else. Remove it, or choose another data directory`,
    )
  }
  // Apart from mkdir, because a umask of 077 would take the permission to enter away again.
  chmodSync(parent, 0o755)
  const substitute = join(parent, basename(path))
  return {
    path: substitute,
    notice: `User ${identity?.name} may not enter ${dirname(path)}, so the data is in ${substitute}`,
  }
}
