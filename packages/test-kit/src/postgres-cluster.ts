import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { childEnvironment } from './config.ts'
import { StartFailedError } from './errors.ts'
import type { Identity } from './identity.ts'
import type { PostgresBinaries } from './postgres-binaries.ts'

/**
 * Fills an empty directory, which belongs to `identity`, with a new cluster. Its superuser is `postgres`: with
 * the password in `passwordFile` when given, trusted by everybody on this machine otherwise.
 */
export async function createCluster(
  { initdb }: PostgresBinaries,
  directory: string,
  identity: Identity | undefined,
  passwordFile?: string,
): Promise<void> {
  const access =
    passwordFile === undefined
      ? ['--auth=trust', '--no-sync']
      : ['--auth=scram-sha-256', `--pwfile=${passwordFile}`]
  const args = ['-D', directory, '-U', 'postgres', '--encoding=UTF8', '--locale=C', ...access]
  try {
    await promisify(execFile)(initdb, args, { cwd: '/', env: childEnvironment(), ...user(identity) })
  } catch (error) {
    throw new StartFailedError(`initdb failed: ${String(error)}`)
  }
}

function user(identity: Identity | undefined): { uid?: number; gid?: number } {
  return identity === undefined ? {} : { uid: identity.uid, gid: identity.gid }
}
