import { askRedis, type RealServer, startRedis, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { startFleet } from './process-fleet.ts'

const blows: Readonly<Record<string, (redis: RealServer) => void | Promise<void>>> = {
  killed: (redis) => redis.kill9(),
  frozen: (redis) => redis.freeze(),
  'in a black hole': (redis) => redis.blackhole(),
}
const cures: Readonly<Record<string, (redis: RealServer) => void | Promise<void>>> = {
  killed: (redis) => redis.restart(),
  frozen: (redis) => redis.thaw(),
  'in a black hole': (redis) => redis.heal(),
}

for (const [what, strike] of Object.entries(blows)) {
  t.test(
    `Redis ${what} between the grant and the end: nobody hangs, and the lease is given back with Redis`,
    async (t) => {
      const redis = await startRedis()
      t.teardown(() => redis.stop())
      // Far longer than the test: what is free again was given back, and did not run out.
      const options = { leaseMs: 600_000, timeoutMs: 600_000 }
      const fleet = await startFleet(2, { redisUrl: redis.url, budgetMs: 300, options })
      t.teardown(() => fleet.end())
      const [holder, other] = fleet.processes
      const working = holder?.work('struck', true)
      await waitUntil(() => fleet.started.length === 1)
      await strike(redis)
      const struckAtMs = performance.now()
      holder?.goOn('struck')
      const answer = await working
      t.equal(answer?.status, 200)
      t.comment(`answered ${Math.round(performance.now() - struckAtMs)} ms after the blow, budget 300 ms`)

      // Each process goes on by itself.
      await waitUntil(async () => (await other?.work('probe'))?.body.degraded === true, {
        what: 'local work',
      })
      const local = await Promise.all([holder?.work('struck'), other?.work('struck')])
      t.match(local, [
        { status: 200, body: { degraded: true, fence: null } },
        { status: 200, body: { degraded: true, fence: null } },
      ])

      await cures[what]?.(redis)
      const curedAtMs = performance.now()
      await waitUntil(
        async () => {
          const next = await other?.work('struck')
          return next?.status === 200 && next.body.fence !== null && next.body.degraded === false
        },
        { timeoutMs: 30_000, what: 'a fenced operation in the other process' },
      )
      t.comment(`fenced again ${Math.round(performance.now() - curedAtMs)} ms after the cure`)
      await waitUntil(async () => (await holder?.snapshot())?.unreturned === 0)
      await waitUntil(async () => (await holder?.work('struck'))?.body.wrote === true)
    },
  )
}

t.test('operations that began without Redis are seen by the other process when Redis is there', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const fleet = await startFleet(2, { redisUrl: redis.url, budgetMs: 300, options: { leaseMs: 60_000 } })
  t.teardown(() => fleet.end())
  const [holder, other] = fleet.processes
  await redis.kill9()
  await waitUntil(async () => (await holder?.work('probe'))?.body.degraded === true)
  const before = fleet.started.length
  const working = holder?.work('taken-up', true)
  await waitUntil(() => fleet.started.length === before + 1)
  await redis.restart()
  await waitUntil(async () => (await other?.work('taken-up'))?.status === 429, {
    timeoutMs: 30_000,
    what: 'a conflict between the processes',
  })
  holder?.goOn('taken-up')
  t.equal((await working)?.status, 200)
  t.equal((await other?.work('taken-up'))?.status, 200)
})

t.test("with onStoreLoss: 'closed' nothing begins while Redis is lost, and everything after", async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const options = { onStoreLoss: 'closed' as const }
  const fleet = await startFleet(2, { redisUrl: redis.url, budgetMs: 300, options })
  t.teardown(() => fleet.end())
  await redis.kill9()
  for (const process of fleet.processes) {
    await waitUntil(async () => (await process.work('closed')).status === 503)
  }
  const before = fleet.started.length
  t.equal((await fleet.processes[0]?.work('closed'))?.status, 503)
  t.equal(fleet.started.length, before)
  await redis.restart()
  for (const process of fleet.processes) {
    await waitUntil(async () => (await process.work('closed')).status === 200, { timeoutMs: 30_000 })
  }
})

t.test(
  'Redis that forgets everything while an operation runs: the fence still refuses the late one',
  async (t) => {
    const redis = await startRedis()
    t.teardown(() => redis.stop())
    const fleet = await startFleet(2, { redisUrl: redis.url, budgetMs: 5000, options: { leaseMs: 3000 } })
    t.teardown(() => fleet.end())
    const [holder, other] = fleet.processes
    const late = holder?.work('flushed', true)
    await waitUntil(() => fleet.started.length === 1)
    await askRedis(redis.directPort, 'FLUSHALL')
    const next = await other?.work('flushed')
    t.match(next, { status: 200, body: { wrote: true } })
    holder?.goOn('flushed')
    t.match(await late, { status: 200, body: { wrote: false } })
  },
)
