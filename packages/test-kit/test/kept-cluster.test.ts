import { chmod, chown, mkdir, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { unprivilegedIdentity } from '../src/identity.ts'
import { copyCluster, keptClusterPath } from '../src/kept-cluster.ts'
import { postgresBinaries } from '../src/postgres-binaries.ts'
import { temporaryDirectory } from '../src/temporary-directory.ts'

t.setTimeout(120_000)

const identity = unprivilegedIdentity()
const binaries = await postgresBinaries(identity)

function emptyDirectory(t: Test): string {
  const { path, remove } = temporaryDirectory('copy', identity)
  t.teardown(remove)
  return path
}

async function isCluster(directory: string): Promise<boolean> {
  const { mode, uid } = await stat(directory)
  const isOwn = (mode & 0o777) === 0o700 && uid === (identity?.uid ?? process.getuid?.())
  return isOwn && (await readdir(directory)).includes('PG_VERSION')
}

t.test('a cluster is made once, by whoever is first, and copied by all', async (t) => {
  const root = emptyDirectory(t)
  const then = (days: number) => new Date(Date.now() - days * 86_400_000)
  for (const [name, days] of [
    ['holdfast-cluster-old', 3],
    ['holdfast-cluster-late', 1],
    ['something-else', 3],
  ] as const) {
    const path = join(root, name)
    await mkdir(path)
    if (identity !== undefined) await chown(path, identity.uid, identity.gid)
    await utimes(path, then(days), then(days))
  }
  const kept = join(root, 'holdfast-cluster-new')
  const directories = [emptyDirectory(t), emptyDirectory(t)]
  await Promise.all(directories.map((directory) => copyCluster(binaries, directory, identity, kept)))
  for (const directory of directories) t.ok(await isCluster(directory))
  t.strictSame(
    (await readdir(root)).toSorted(),
    ['holdfast-cluster-late', 'holdfast-cluster-new', 'something-else'],
    'those of the day before yesterday are gone',
  )
  const { mtimeMs } = await stat(join(kept, 'global/pg_control'))
  const third = emptyDirectory(t)
  await copyCluster(binaries, third, identity, kept)
  t.ok(await isCluster(third))
  t.equal((await stat(join(third, 'global/pg_control'))).mtimeMs, mtimeMs, 'a copy')
  // What a system leaves that cleans its temporary files.
  await rm(join(kept, 'base/1'), { recursive: true })
  const fourth = emptyDirectory(t)
  await copyCluster(binaries, fourth, identity, kept)
  t.ok(await isCluster(fourth))
  t.not((await stat(join(fourth, 'global/pg_control'))).mtimeMs, mtimeMs, 'made anew')
})

t.test('what somebody else could have put there is not copied', async (t) => {
  const open = join(emptyDirectory(t), 'open')
  await mkdir(open)
  await writeFile(join(open, 'planted'), '')
  await chmod(open, 0o777)
  const directory = emptyDirectory(t)
  await copyCluster(binaries, directory, identity, open)
  t.ok(await isCluster(directory))
  t.notOk((await readdir(directory)).includes('planted'))
})

t.test('another day, another cluster', (t) => {
  const nowMs = Date.now()
  t.equal(keptClusterPath(binaries, identity, nowMs), keptClusterPath(binaries, identity, nowMs))
  t.not(keptClusterPath(binaries, identity, nowMs), keptClusterPath(binaries, identity, nowMs + 86_400_000))
  t.end()
})
