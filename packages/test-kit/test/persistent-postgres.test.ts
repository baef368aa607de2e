import { chmodSync, existsSync, mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import t from 'tap'
import { startPostgres } from '../src/postgres.ts'
import { isRunning } from '../src/process-tree.ts'
import { temporaryDirectory } from '../src/temporary-directory.ts'
import { place, recall, remember } from './kept-data.ts'
import { query } from './subjects.ts'

t.test('keeps its data from one start to the next, behind a password', async (t) => {
  const dataDirectory = place(t)
  const first = await startPostgres({ dataDirectory })
  t.equal(first.dataDirectory, dataDirectory)
  t.same([first.shared, first.notice], [false, undefined])
  await query(first.url, remember)
  const open = new URL(first.url)
  open.password = 'guessed'
  await t.rejects(query(open.href, 'select 1'), { code: '28P01' })
  t.same(await query(first.url, "select setting from pg_settings where name = 'fsync'"), [{ setting: 'on' }])
  await first.stop()
  t.notOk(isRunning(first.pid))
  t.notOk(existsSync(join(dataDirectory, 'postmaster.pid')), 'it ended in order')

  const second = await startPostgres({ dataDirectory })
  t.same(await query(second.url, recall), [{ answer: 42 }])
  t.notMatch(second.logText(), /not properly shut down/)
  await second.kill9()
  await second.restart()
  t.same(await query(second.url, recall), [{ answer: 42 }])
  await second.stop()
})

t.test('a wrong setting fails with the log, and leaves nothing that is locked', async (t) => {
  const dataDirectory = place(t)
  const wrong = startPostgres({ dataDirectory, settings: { shared_buffers: 'many' } })
  await t.rejects(wrong, { code: 'HOLDFAST_ERR_TEST_KIT_START_FAILED', message: /shared_buffers.*many/s })
  await (await startPostgres({ dataDirectory })).stop()
})

t.test(
  'as root, under a directory that only root may enter, the data is elsewhere, and says so',
  { skip: process.getuid?.() === 0 ? false : 'only root has this problem' },
  async (t) => {
    // With the umask that such a place often comes with.
    const umask = process.umask(0o077)
    t.teardown(() => process.umask(umask))
    const locked = mkdtempSync(join(temporaryDirectory().path, 'locked-'))
    t.teardown(() => rm(dirname(locked), { recursive: true }))
    const dataDirectory = join(locked, '.data', 'postgres')
    const first = await startPostgres({ dataDirectory })
    t.teardown(() => rm(dirname(first.dataDirectory), { recursive: true }))
    t.not(first.dataDirectory, dataDirectory)
    t.match(first.notice, `so the data is in ${first.dataDirectory}`)
    await query(first.url, remember)
    const shared = await startPostgres({ dataDirectory })
    t.same([shared.shared, shared.dataDirectory], [true, first.dataDirectory])
    await shared.stop()
    await first.stop()
    const second = await startPostgres({ dataDirectory })
    t.same(await query(second.url, recall), [{ answer: 42 }])
    await second.stop()
    chmodSync(dirname(second.dataDirectory), 0o777)
    await t.rejects(startPostgres({ dataDirectory }), { message: /belongs to somebody else/ })
  },
)
