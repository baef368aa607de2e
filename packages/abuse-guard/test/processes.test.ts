import { type RealServer, startRedis, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { GuardProcess, startGuards } from './guard-fleet.ts'

/** So long that a busy machine loses no call for the want of its processor. */
const budgetMs = 5000
/** So rarely that only the word of the others can have told. */
const syncMs = 3_600_000

let redis: RealServer
t.before(async () => {
  redis = await startRedis()
})
t.after(() => redis.stop())

const times = (count: number, address: string) => Array<string>(count).fill(address)
const lowRate = (from: number) => Array.from({ length: 200 }, (_, at) => `10.1.${from}.${at & 255}`)

for (const count of [1, 4, 8]) {
  t.test(`${count} processes: the heavy one is refused by all, nobody else by any`, async (t) => {
    const heavy = `203.0.113.${count}`
    const { processes, end } = await startGuards(count, { redisUrl: redis.directUrl, budgetMs, syncMs })
    t.teardown(end)
    const [first] = processes
    if (first === undefined) throw new Error('no process')
    const innocent = await Promise.all(processes.map((process, at) => process.flood(lowRate(at))))
    t.ok(innocent.flat().every((status) => status === 200))

    const statuses = await first.flood(times(150, heavy))
    const sinceMs = performance.now()
    t.equal(statuses.filter((status) => status === 200).length, 100, 'a hundred pass')
    await Promise.all(
      processes.map((process) =>
        waitUntil(async () => (await process.state()).blocked.includes(heavy), {
          what: 'a block everywhere',
        }),
      ),
    )
    t.comment(`${count} processes knew it after ${Math.round(performance.now() - sinceMs)} ms`)
    for (const process of processes) {
      t.match(await process.ask(heavy), { status: 429, text: /"error":"HOLDFAST_ERR_ABUSE_GUARD_BLOCKED"/ })
    }
    const after = await Promise.all(processes.map((process, at) => process.flood(lowRate(at))))
    t.ok(after.flat().every((status) => status === 200))

    const late = await GuardProcess.start({ redisUrl: redis.directUrl, budgetMs, syncMs })
    t.teardown(() => late.end())
    t.equal((await late.ask(heavy)).status, 429, 'who starts later refuses it from the first request on')

    t.equal((await late.ask('192.0.2.1', `/admin/abuse/blocks/${heavy}`, 'DELETE')).status, 200)
    await waitUntil(async () => (await first.ask(heavy)).status === 200, {
      what: 'the lift in another process',
    })
    t.equal(await late.close(), 0)
  })
}

t.test('no request costs a call to Redis, neither one that passes nor one that is refused', async (t) => {
  const process = await GuardProcess.start({ redisUrl: redis.directUrl, budgetMs, syncMs })
  t.teardown(() => process.end())
  await process.flood(times(101, '203.0.113.50'))
  // The block is told, and the word of it makes the process read once more.
  await waitUntil(async () => (await process.state()).snapshot.fleet.syncs >= 2, { what: 'a second reading' })
  const before = await process.state()
  await process.flood(Array.from({ length: 1000 }, (_, at) => `10.9.${at >> 8}.${at & 255}`))
  const refused = await process.flood(times(500, '203.0.113.50'))
  t.ok(refused.every((status) => status === 429))
  t.equal((await process.state()).commands, before.commands)
})
