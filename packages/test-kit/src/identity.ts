import { spawnSync } from 'node:child_process'
import { MissingProgramError } from './errors.ts'

/** A user of the operating system. */
export interface Identity {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/**
 * As whom a server runs that refuses to run as root: undefined (as ourselves) for everybody but root, and
 * for root the user `name`, which is created as a system user without a login when it does not exist.
 */
export function unprivilegedIdentity(name = 'postgres'): Identity | undefined {
  if (process.getuid?.() !== 0) return undefined
  return lookUp(name) ?? create(name)
}

/** Whether `identity` may enter the directory, through all of its parents. */
export function canEnter(identity: Identity | undefined, directory: string): boolean {
  return succeedsAs(identity, 'cd "$0"', directory)
}

/** Runs a line of shell, in which `$0` is `argument`, as `identity`; answers whether it succeeded. */
export function succeedsAs(identity: Identity | undefined, line: string, argument: string): boolean {
  const { status } = spawnSync('/bin/sh', ['-c', line, argument], { ...identity, cwd: '/', stdio: 'ignore' })
  return status === 0
}

function lookUp(name: string): Identity | undefined {
  const [uid, gid] = ['-u', '-g'].map((flag) => spawnSync('id', [flag, name], { encoding: 'utf8' }))
  if (uid?.status !== 0 || gid?.status !== 0) return undefined
  return { name, uid: Number(uid.stdout), gid: Number(gid.stdout) }
}

function create(name: string): Identity {
  const answer = spawnSync(
    'useradd',
    [
      '--system',
      '--user-group',
      '--no-create-home',
      '--home-dir',
      '/nonexistent',
      '--shell',
      '/bin/false',
      name,
    ],
    { encoding: 'utf8' },
  )
  // Another process may have created it at the same moment.
  const identity = lookUp(name)
  if (identity !== undefined) return identity
  throw new MissingProgramError(
    `The server refuses to run as root, and the user ${name} does not exist and could not be created ` +
      `(${answer.error?.message ?? answer.stderr.trim()}). Create it (useradd --system ${name}), or run as another user`,
  )
}
