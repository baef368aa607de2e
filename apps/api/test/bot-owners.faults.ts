// Processes that run bots are killed and frozen: each bot has one owner at a time, and nothing is written late.

import { startPostgres, TcpProxy } from '@holdfast/test-kit'
import t from 'tap'
import { botFloor, LEASE_MS, RESTLESS } from './bot-floor.ts'
import { insist } from './insist.ts'

t.setTimeout(480_000)

const postgres = await startPostgres()
t.teardown(() => postgres.stop())

t.test('the owner is killed: another one takes its bots over when its lease is over', async (t) => {
  const floor = await botFloor(t, postgres.directUrl, Array(20).fill(RESTLESS))
  const { start, allOwnedBy, tradesGrow, inOrder, ids, events } = floor
  const doomed = await start('doomed')
  await allOwnedBy(['doomed'])
  for (const id of ids.slice(0, 3)) await tradesGrow(id)
  const heir = await start('heir')
  await heir.says(/"bots":1\d/)
  const killedMs = performance.now()
  await doomed.end('SIGKILL')
  await allOwnedBy(['heir'])
  t.comment(`taken over after ${Math.round(performance.now() - killedMs)} ms; a lease is ${LEASE_MS} ms`)
  for (const id of ids.slice(0, 3)) await tradesGrow(id)
  await heir.end('SIGTERM')
  await inOrder(t)
  const takenOver = (await events()).filter(({ kind }) => kind === 'taken_over').map(({ bot_id }) => bot_id)
  t.strictSame(new Set(takenOver), new Set(ids))
  t.equal(takenOver.length, ids.length, 'each once')
})

t.test('the owner is frozen for longer than its lease, and writes nothing when it wakes up', async (t) => {
  const floor = await botFloor(t, postgres.directUrl, Array(10).fill(RESTLESS))
  const { start, allOwnedBy, tradesGrow, inOrder, ids } = floor
  const frozen = await start('frozen')
  await allOwnedBy(['frozen'])
  for (const id of ids) await tradesGrow(id)
  frozen.freeze()
  const heir = await start('heir')
  await allOwnedBy(['heir'])
  for (const id of ids.slice(0, 2)) await tradesGrow(id)
  await frozen.thaw()
  for (const id of ids) await tradesGrow(id)
  for (const each of [frozen, heir]) await each.end('SIGTERM')
  await inOrder(t)
})

t.test(
  'the owner is frozen in the middle of a save: it is written whole before the bots go on, or not at all',
  async (t) => {
    const floor = await botFloor(t, postgres.directUrl, Array(5).fill(RESTLESS))
    const line = await TcpProxy.start({ targetPort: Number(new URL(floor.url).port) })
    t.teardown(() => line.close())
    const through = new URL(floor.url)
    through.port = String(line.port)
    const frozen = await floor.start('frozen', through.href)
    await floor.allOwnedBy(['frozen'])
    for (const id of floor.ids) await floor.tradesGrow(id)
    const stopped = Promise.withResolvers<void>()
    line.onClientData = (chunk) => {
      if (!String(chunk).includes('insert into trades')) return
      // The statement is on the line.
      line.onClientData = undefined
      line.blackhole()
      frozen.freeze()
      stopped.resolve()
    }
    await stopped.promise
    const heir = await floor.start('heir')
    // PostgreSQL ends the transaction that holds the leases; nobody takes them before.
    await floor.allOwnedBy(['heir'])
    for (const id of floor.ids) await floor.tradesGrow(id)
    await line.heal()
    await frozen.thaw()
    for (const id of floor.ids) await floor.tradesGrow(id)
    for (const each of [frozen, heir]) await each.end('SIGTERM')
    await floor.inOrder(t)
  },
)

for (const fate of ['frozen', 'killed'] as const) {
  t.test(`recovering by the user needs no waiting for an owner that was ${fate}`, async (t) => {
    const floor = await botFloor(t, postgres.directUrl, [RESTLESS], 3_600_000)
    const { start, allOwnedBy, tradesGrow, inOrder, ids, operate, ownersOf, events } = floor
    const [id = ''] = ids
    const owner = await start('owner')
    await allOwnedBy(['owner'])
    await tradesGrow(id)
    const heir = await start('heir')
    if (fate === 'frozen') owner.freeze()
    else await owner.end('SIGKILL')
    t.strictSame(await ownersOf(), ['owner'], 'its lease runs for an hour')
    const askedMs = performance.now()
    // One that was frozen in the middle of a save has the row until PostgreSQL ends its transaction.
    await insist(() => operate('recover', id))
    await allOwnedBy(['heir'])
    t.comment(`taken over ${Math.round(performance.now() - askedMs)} ms after it was recovered`)
    await tradesGrow(id)
    if (fate === 'frozen') await owner.thaw()
    await tradesGrow(id)
    for (const each of [owner, heir]) await each.end('SIGTERM')
    await inOrder(t)
    t.match(await events(), [{ kind: 'recovered' }, { kind: 'taken_over' }])
  })
}
