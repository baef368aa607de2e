import { spawnSync } from 'node:child_process'
import { findExecutable } from './executable.ts'
import type { Identity } from './identity.ts'
import type { OrphanSignal } from './orphan-guard.ts'

/** What to run. */
export interface Launch {
  readonly file: string
  readonly args: readonly string[]
  readonly uid?: number
  readonly gid?: number
}

/**
 * Wraps a command so that the kernel sends it `orphanSignal` when the thread that starts it ends, by means of
 * util-linux's setpriv. The wish is lost on a change of user, so setpriv changes the user, too.
 * Without setpriv (or with one that cannot do it) only the orphan guard is left.
 */
export function launchCommand(
  command: string,
  args: readonly string[],
  identity: Identity | undefined,
  orphanSignal: OrphanSignal,
  setpriv: string | null = usableSetpriv(),
): Launch {
  if (setpriv === null)
    return { file: command, args, ...(identity && { uid: identity.uid, gid: identity.gid }) }
  const user = identity ? [`--reuid=${identity.uid}`, `--regid=${identity.gid}`, '--clear-groups'] : []
  return { file: setpriv, args: [`--pdeathsig=${orphanSignal}`, ...user, '--', command, ...args] }
}

let known: { readonly path: string | null } | undefined

function usableSetpriv(): string | null {
  if (known === undefined) {
    const path = findExecutable('setpriv')
    const works = path !== undefined && spawnSync(path, ['--pdeathsig=KILL', 'true']).status === 0
    known = { path: works ? path : null }
  }
  return known.path
}
