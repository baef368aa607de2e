import { type RealServer, startRedis, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { type Answered, startFleet } from './process-fleet.ts'

let redis: RealServer
t.before(async () => {
  redis = await startRedis()
})
t.teardown(() => redis.stop())

for (const count of [1, 4]) {
  t.test(
    `50 parallel requests of one user on ${count} processes: one works, 49 are told so meanwhile`,
    async (t) => {
      const fleet = await startFleet(count, { redisUrl: redis.url, budgetMs: 5000, options: {} })
      t.teardown(() => fleet.end())
      const key = `user-of-${count}`
      const answers: Answered[] = []
      const { processes, started } = fleet
      const all = Array.from({ length: 50 }, async (_, place) => {
        const process = processes[place % count] ?? fleet.of(undefined)
        answers.push(await process.work(key, true))
      })
      await waitUntil(() => answers.length === 49, { timeoutMs: 30_000, what: '49 answers' })
      t.strictSame(new Set(answers.map(({ status }) => status)), new Set([429]))
      t.match(answers[0]?.body, { success: false, retry_after: 30 })
      t.equal(started.length, 1)

      // Others are served while the one is at work.
      const others = await Promise.all(
        Array.from({ length: 40 }, (_, place) => processes[place % count]?.work(`other-${count}-${place}`)),
      )
      t.ok(others.every((answer) => answer?.status === 200 && answer.body.wrote))
      t.equal(answers.length, 49)

      fleet.of(started[0]?.pid).goOn(key)
      await Promise.all(all)
      t.equal(started.filter((handler) => handler.key === key).length, 1)
      t.match(answers[49], { status: 200, body: { wrote: true, degraded: false } })
    },
  )
}

t.test('a client that has its answer can begin the next operation on any process', async (t) => {
  const fleet = await startFleet(3, { redisUrl: redis.url, budgetMs: 5000, options: {} })
  t.teardown(() => fleet.end())
  const fences: number[] = []
  for (let round = 0; round < 60; round += 1) {
    const answer = await fleet.processes[round % 3]?.work('one-after-the-other')
    t.equal(answer?.status, 200)
    fences.push(answer?.body.fence ?? 0)
  }
  t.strictSame(
    fences,
    [...new Set(fences)].sort((left, right) => left - right),
    'each has a larger fence',
  )
})

t.test('a holder that is killed is replaced after its lease, and not before', async (t) => {
  const options = { leaseMs: 1500 }
  const fleet = await startFleet(2, { redisUrl: redis.url, budgetMs: 5000, options })
  t.teardown(() => fleet.end())
  const [holder, other] = fleet.processes
  const lost = holder?.work('killed', true).catch(() => undefined)
  await waitUntil(() => fleet.started.length === 1)
  await holder?.kill9()
  await lost
  const killedAtMs = performance.now()
  t.equal((await other?.work('killed'))?.status, 429)
  await waitUntil(async () => (await other?.work('killed'))?.status === 200, { what: 'the next operation' })
  t.comment(`lease 1500 ms: the next began ${Math.round(performance.now() - killedAtMs)} ms after the kill`)
  t.ok((fleet.started[1]?.fence ?? 0) > (fleet.started[0]?.fence ?? Number.POSITIVE_INFINITY))
})

t.test(
  'a holder that is frozen for longer than its lease: its late write is refused by the fence',
  async (t) => {
    const options = { leaseMs: 1500 }
    const fleet = await startFleet(2, { redisUrl: redis.url, budgetMs: 5000, options })
    t.teardown(() => fleet.end())
    const [holder, other] = fleet.processes
    const late = holder?.work('frozen', true)
    await waitUntil(() => fleet.started.length === 1)
    holder?.freeze()
    let next: Answered | undefined
    await waitUntil(
      async () => {
        next = await other?.work('frozen')
        return next?.status === 200
      },
      { what: 'the next operation' },
    )
    t.equal(next?.body.wrote, true)
    holder?.goOn('frozen')
    holder?.thaw()
    const answer = await late
    t.match(answer, { status: 200, body: { wrote: false, fence: fleet.started[0]?.fence } })
    t.ok((next?.body.fence ?? 0) > (answer?.body.fence ?? Number.POSITIVE_INFINITY))
    await waitUntil(async () => (await holder?.snapshot())?.leasesLost === 1)
    t.equal((await other?.work('frozen'))?.status, 200, 'its late end does not harm who comes after')
  },
)
