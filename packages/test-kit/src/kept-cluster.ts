/*
 * A new cluster in a quarter of the time that initdb takes: it is made once a day for each version and user, kept
 * beside the temporary files, and copied.
 *
 * Guarantees: any number of processes may ask at once; what is kept was made by the user that the server runs as, and
 * appears whole; where a copy fails, initdb does it. Keeps one cluster of 40 MB, and none for longer than two days.
 */
import { execFile } from 'node:child_process'
import { existsSync, lstatSync, readdirSync, renameSync, statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { digest } from './digest.ts'
import type { Identity } from './identity.ts'
import type { PostgresBinaries } from './postgres-binaries.ts'
import { createCluster } from './postgres-cluster.ts'
import { temporaryDirectory, temporaryRoot } from './temporary-directory.ts'

const DAY_MS = 86_400_000
const PREFIX = 'holdfast-cluster-'

/** Where the cluster of a day is kept. Not for longer: systems clean their temporary files one by one. */
export function keptClusterPath(
  { initdb }: PostgresBinaries,
  identity: Identity | undefined,
  nowMs = Date.now(),
): string {
  const { mtimeMs } = statSync(initdb)
  const day = Math.floor(nowMs / DAY_MS)
  const name = digest(`${initdb} ${mtimeMs} ${uidOf(identity)} ${day}`)
  return join(temporaryRoot(identity), `${PREFIX}${name}`)
}

/** Fills an empty directory, which belongs to `identity`, with a new cluster that trusts everybody on this machine. */
export async function copyCluster(
  binaries: PostgresBinaries,
  directory: string,
  identity: Identity | undefined,
  kept = keptClusterPath(binaries, identity),
): Promise<void> {
  if (!existsSync(kept)) await keepCluster(binaries, identity, kept)
  if (await isCopied(kept, directory, identity)) return
  for (const name of readdirSync(directory)) await rm(join(directory, name), { recursive: true })
  await createCluster(binaries, directory, identity)
}

async function isCopied(kept: string, directory: string, identity: Identity | undefined): Promise<boolean> {
  const found = lstatSync(kept, { throwIfNoEntry: false })
  // In a place where everybody may write, somebody else may have been there first.
  if (found?.isDirectory() !== true || found.uid !== uidOf(identity) || (found.mode & 0o077) !== 0)
    return false
  try {
    await promisify(execFile)('cp', ['-a', `${kept}/.`, directory], { cwd: '/', ...user(identity) })
  } catch {
    return false
  }
  return ['PG_VERSION', 'global/pg_control', 'base/1/PG_VERSION'].every((file) =>
    existsSync(join(directory, file)),
  )
}

async function keepCluster(
  binaries: PostgresBinaries,
  identity: Identity | undefined,
  kept: string,
): Promise<void> {
  const { path, remove } = temporaryDirectory('new-cluster', identity)
  try {
    await createCluster(binaries, path, identity)
    renameSync(path, kept)
    await forgetOlder(kept)
  } catch (error) {
    await remove()
    // Another process may have been faster.
    if (!existsSync(kept)) throw error
  }
}

async function forgetOlder(kept: string): Promise<void> {
  const root = dirname(kept)
  const ourUid = lstatSync(kept).uid
  for (const name of readdirSync(root)) {
    if (!name.startsWith(PREFIX) || name === basename(kept)) continue
    const found = lstatSync(join(root, name), { throwIfNoEntry: false })
    // One of yesterday may be being copied at this moment.
    if (found?.uid === ourUid && found.mtimeMs < Date.now() - 2 * DAY_MS) {
      await rm(join(root, name), { recursive: true, force: true })
    }
  }
}

function uidOf(identity: Identity | undefined): number | undefined {
  return identity?.uid ?? process.getuid?.()
}

function user(identity: Identity | undefined): { uid?: number; gid?: number } {
  return identity === undefined ? {} : { uid: identity.uid, gid: identity.gid }
}
