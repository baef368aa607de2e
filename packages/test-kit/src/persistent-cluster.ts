import { randomBytes } from 'node:crypto'
import { chown, mkdir, readdir, readFile, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DataDirectoryError } from './errors.ts'
import type { Identity } from './identity.ts'
import type { PostgresBinaries } from './postgres-binaries.ts'
import { createCluster } from './postgres-cluster.ts'

/** Holds the superuser's password. It comes with the rename, so its presence also says that the cluster is whole. */
const passwordFile = 'holdfast-password'

/**
 * Makes sure that a whole cluster of our making is at `path`; answers what a person should know about it.
 * It is built beside and moved into place, so a half-finished one is never mistaken for data. A damaged one is
 * put aside, never deleted. Only for the holder of the directory's lock.
 */
export async function ensureCluster(
  path: string,
  binaries: PostgresBinaries,
  identity: Identity | undefined,
): Promise<string | undefined> {
  const unfinished = `${path}.unfinished`
  for (const left of [unfinished, secretOf(unfinished)]) await rm(left, { recursive: true, force: true })
  const names = await readdir(path).catch(() => undefined)
  if (names?.includes(passwordFile) && (await isWhole(path))) {
    await checkVersion(path, binaries)
    return undefined
  }
  let notice: string | undefined
  if (names?.length === 0) await rmdir(path)
  else if (names !== undefined) notice = await putAside(path, names)
  await build(unfinished, path, binaries, identity)
  return notice
}

/** The superuser's password, or undefined as long as there is no cluster. */
export async function passwordOf(path: string): Promise<string | undefined> {
  return readFile(join(path, passwordFile), 'utf8').catch(() => undefined)
}

async function build(
  unfinished: string,
  path: string,
  binaries: PostgresBinaries,
  identity: Identity | undefined,
): Promise<void> {
  const secret = secretOf(unfinished)
  await mkdir(unfinished, { mode: 0o700 })
  await writeFile(secret, randomBytes(24).toString('base64url'), { mode: 0o600 })
  if (identity !== undefined) {
    for (const one of [unfinished, secret]) await chown(one, identity.uid, identity.gid)
  }
  await createCluster(binaries, unfinished, identity, secret)
  await rename(secret, join(unfinished, passwordFile))
  await rename(unfinished, path)
}

function secretOf(unfinished: string): string {
  return `${unfinished}-password`
}

/** Moves a damaged cluster out of the way. What is not a cluster is somebody else's and stays. */
async function putAside(path: string, names: readonly string[]): Promise<string> {
  if (!names.includes('PG_VERSION')) {
    throw new DataDirectoryError(
      `${path} holds something that is not a PostgreSQL cluster. Choose another directory`,
    )
  }
  if (await isWhole(path)) {
    throw new DataDirectoryError(
      `${path} holds a PostgreSQL cluster that Holdfast did not make. Choose another directory`,
    )
  }
  const aside = `${path}.damaged-${randomBytes(4).toString('hex')}`
  await rename(path, aside)
  return `${path} held a damaged cluster. It is now ${aside}, and a new one took its place`
}

/** initdb writes global/pg_control near its end. */
async function isWhole(path: string): Promise<boolean> {
  return stat(join(path, 'global', 'pg_control')).then(
    () => true,
    () => false,
  )
}

async function checkVersion(path: string, { majorVersion }: PostgresBinaries): Promise<void> {
  const version = (await readFile(join(path, 'PG_VERSION'), 'utf8')).trim()
  if (version === majorVersion) return
  throw new DataDirectoryError(
    `${path} was written by PostgreSQL ${version}, and this is PostgreSQL ${majorVersion}. ` +
      `Move it away, or set HOLDFAST_POSTGRES_BIN to the programs of PostgreSQL ${version}`,
  )
}
