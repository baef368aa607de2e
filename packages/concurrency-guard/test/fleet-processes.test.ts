import { type RealServer, startRedis, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { type Answered, type Started, startFleet } from './process-fleet.ts'

type Fleet = Awaited<ReturnType<typeof startFleet>>

const LEASE_MS = 3000

let redis: RealServer
let fleet: Fleet
/** Whose processes are stopped for longer than their lease. */
let mortals: Fleet
t.before(async () => {
  redis = await startRedis()
  const settings = { redisUrl: redis.url, budgetMs: 5000 }
  fleet = await startFleet(4, { ...settings, options: {} })
  mortals = await startFleet(2, { ...settings, options: { leaseMs: LEASE_MS } })
})
t.teardown(async () => {
  await fleet.end()
  await mortals.end()
  await redis.stop()
})

/** The handlers of a key that started, in any process. */
const startedOf = ({ started }: Fleet, key: string): Started[] =>
  started.filter((handler) => handler.key === key)

for (const count of [1, 4]) {
  t.test(
    `50 requests of one user at once on ${count} processes: one works, 49 are told meanwhile`,
    async (t) => {
      const processes = fleet.processes.slice(0, count)
      const key = `user-of-${count}`
      const answers: Answered[] = []
      const all = Array.from({ length: 50 }, async (_, place) => {
        const answer = await processes[place % count]?.work(key, true)
        if (answer !== undefined) answers.push(answer)
      })
      await waitUntil(() => answers.length === 49, { timeoutMs: 30_000, what: '49 answers' })
      t.strictSame(new Set(answers.map(({ status }) => status)), new Set([429]))
      t.match(answers[0]?.body, { success: false, retry_after: 30 })
      // What a process tells may come later than what it answers.
      await waitUntil(() => startedOf(fleet, key).length > 0)

      // Others are served while the one is at work.
      const others = await Promise.all(
        Array.from({ length: 40 }, (_, place) => processes[place % count]?.work(`other-${count}-${place}`)),
      )
      t.ok(others.every((answer) => answer?.status === 200 && answer.body.wrote))
      t.equal(answers.length, 49)

      fleet.of(startedOf(fleet, key)[0]?.pid).goOn(key)
      await Promise.all(all)
      t.equal(startedOf(fleet, key).length, 1)
      t.match(answers[49], { status: 200, body: { wrote: true, degraded: false } })
    },
  )
}

t.test('a client that has its answer can begin the next operation on any process', async (t) => {
  const fences: number[] = []
  for (let round = 0; round < 80; round += 1) {
    const answer = await fleet.processes[round % 4]?.work('one-after-the-other')
    t.equal(answer?.status, 200)
    fences.push(answer?.body.fence ?? 0)
  }
  t.strictSame(
    fences,
    [...new Set(fences)].sort((left, right) => left - right),
    'each has a larger fence',
  )
})

t.test('a holder that is frozen for longer than its lease: its late write is refused', async (t) => {
  const [holder, other] = mortals.processes
  const late = holder?.work('frozen', true)
  await waitUntil(() => startedOf(mortals, 'frozen').length === 1)
  holder?.freeze()
  let next: Answered | undefined
  await waitUntil(
    async () => {
      next = await other?.work('frozen')
      return next?.status === 200
    },
    { timeoutMs: 30_000, what: 'the next operation' },
  )
  t.equal(next?.body.wrote, true)
  holder?.goOn('frozen')
  holder?.thaw()
  const answer = await late
  t.match(answer, { status: 200, body: { wrote: false } })
  t.ok((next?.body.fence ?? 0) > (answer?.body.fence ?? Number.POSITIVE_INFINITY))
  await waitUntil(async () => (await holder?.snapshot())?.leasesLost === 1)
  t.equal((await other?.work('frozen'))?.status, 200, 'its late end does not harm who comes after')
})

t.test('a holder that is killed is replaced after its lease, and not before', async (t) => {
  const [holder, other] = mortals.processes
  const lost = holder?.work('killed', true).catch(() => undefined)
  await waitUntil(() => startedOf(mortals, 'killed').length === 1)
  await holder?.kill9()
  await lost
  const killedAtMs = performance.now()
  t.equal((await other?.work('killed'))?.status, 429)
  await waitUntil(async () => (await other?.work('killed'))?.status === 200, {
    timeoutMs: 30_000,
    what: 'the next operation',
  })
  const tookMs = Math.round(performance.now() - killedAtMs)
  t.comment(`lease ${LEASE_MS} ms: the next began ${tookMs} ms after the kill`)
  await waitUntil(() => startedOf(mortals, 'killed').length === 2)
  const [first, second] = startedOf(mortals, 'killed')
  t.ok((second?.fence ?? 0) > (first?.fence ?? Number.POSITIVE_INFINITY))
})
