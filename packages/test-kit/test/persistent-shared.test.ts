import { once } from 'node:events'
import t from 'tap'
import { startPostgres } from '../src/postgres.ts'
import { isRunning } from '../src/process-tree.ts'
import { owner, place, recall, remember } from './kept-data.ts'
import { query } from './subjects.ts'

t.test('two processes that start at once share one server', async (t) => {
  const dataDirectory = place(t)
  const both = await Promise.all([owner(t, dataDirectory), owner(t, dataDirectory)])
  const [owning, sharing] = both[0].told.shared ? [both[1], both[0]] : both
  t.same([owning.told.shared, sharing.told.shared], [false, true])
  t.equal(sharing.told.pid, owning.told.pid)
  await query(sharing.told.directUrl, remember)
  t.same(await query(owning.told.directUrl, recall), [{ answer: 42 }])
  sharing.child.kill('SIGTERM')
  await once(sharing.child, 'exit')
  t.equal(sharing.child.exitCode, 0)
  t.same(await query(owning.told.directUrl, recall), [{ answer: 42 }], 'it outlives the one that shared it')
  owning.child.kill('SIGTERM')
  await once(owning.child, 'exit')
  t.equal(owning.child.exitCode, 0)
  t.notOk(isRunning(owning.told.pid))
})

t.test('a shared server has a proxy of its own and obeys only its owner', async (t) => {
  const dataDirectory = place(t)
  const mine = await startPostgres({ dataDirectory })
  const shared = await startPostgres({ dataDirectory })
  t.ok(shared.shared)
  t.same([shared.pid, shared.directPort, shared.host], [mine.pid, mine.directPort, mine.host])
  t.equal(shared.directory, mine.directory)
  t.equal(shared.directUrl, mine.directUrl)
  t.equal(shared.logText(), '')
  await t.rejects(shared.kill9(), { code: 'HOLDFAST_ERR_TEST_KIT_NOT_OWNER', message: /kill/ })
  await t.rejects(shared.restart(), { code: 'HOLDFAST_ERR_TEST_KIT_NOT_OWNER' })
  t.throws(() => shared.freeze(), { code: 'HOLDFAST_ERR_TEST_KIT_NOT_OWNER' })
  t.throws(() => shared.thaw(), { code: 'HOLDFAST_ERR_TEST_KIT_NOT_OWNER' })
  shared.blackhole()
  await t.rejects(query(shared.url, 'select 1'))
  await query(mine.url, 'select 1')
  await shared.heal()
  await query(shared.url, 'select 1')
  await shared.stop()
  await query(mine.url, 'select 1')
  await mine.stop()
})
