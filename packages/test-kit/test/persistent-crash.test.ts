import { spawn } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startPostgres } from '../src/postgres.ts'
import { endLeftovers } from '../src/postgres-leftovers.ts'
import { freezeTree, isRunning, processesIn, signal } from '../src/process-tree.ts'
import { waitUntil } from '../src/wait-until.ts'
import { owner, place, recall, remember } from './kept-data.ts'
import { query } from './subjects.ts'

t.test('starts after a kill -9 of everything: owner, server, and the guard between them', async (t) => {
  const dataDirectory = place(t)
  const { child, told } = await owner(t, dataDirectory)
  await query(told.directUrl, remember)
  // The postmaster first, and its children frozen: they hold the shared memory, and nobody is left to end them.
  const [postmaster = 0, ...children] = freezeTree(told.pid)
  signal(postmaster, 'SIGKILL')
  child.kill('SIGKILL')
  await waitUntil(() => !isRunning(postmaster))
  t.ok(existsSync(join(dataDirectory, 'postmaster.pid')), 'its lock file is left')
  t.ok(children.some(isRunning), 'some of its processes are left')
  const next = await startPostgres({ dataDirectory })
  t.notOk(children.some(isRunning))
  t.same(await query(next.url, recall), [{ answer: 42 }])
  await next.stop()
})

t.test('a killed owner leaves a server that ends in order', async (t) => {
  const dataDirectory = place(t)
  const { child, told } = await owner(t, dataDirectory)
  child.kill('SIGKILL')
  await waitUntil(() => !isRunning(told.pid))
  t.notOk(existsSync(join(dataDirectory, 'postmaster.pid')))
  const next = await startPostgres({ dataDirectory })
  t.notMatch(next.logText(), /not properly shut down/)
  await next.stop()
})

t.test('ends an orphaned server that still runs, and replaces it', async (t) => {
  const dataDirectory = place(t)
  const first = await startPostgres({ dataDirectory })
  await query(first.url, remember)
  // What a start finds whose predecessor is dead: a running server, and nobody who holds the lock.
  await endLeftovers(dataDirectory)
  t.notOk(isRunning(first.pid))
  t.same(processesIn(dataDirectory, 'postgres'), [])
  await first.restart()
  const { pid } = first
  first.freeze()
  await endLeftovers(dataDirectory)
  t.notOk(isRunning(pid), 'a frozen one, too')
  await first.restart()
  t.same(await query(first.url, recall), [{ answer: 42 }])
  // One that does not end in time is killed.
  await endLeftovers(dataDirectory, 0)
  await waitUntil(() => !isRunning(first.pid))
  await first.stop()
})

t.test("does not mind a lock file that names another program's process", async (t) => {
  const dataDirectory = place(t)
  await (await startPostgres({ dataDirectory })).stop()
  const other = spawn('sleep', ['60'])
  t.teardown(() => other.kill())
  writeFileSync(join(dataDirectory, 'postmaster.pid'), `${other.pid}\n${dataDirectory}\n1\n5432\n`)
  const next = await startPostgres({ dataDirectory })
  t.ok(other.pid !== undefined && isRunning(other.pid), 'and leaves that one alone')
  await next.stop()
})
