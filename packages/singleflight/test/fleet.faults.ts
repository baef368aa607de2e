import { type RealServer, startRedis, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { DeafRelay } from './deaf-relay.ts'
import type { CallResult, ProcessSettings } from './fleet-process.ts'
import { type FleetProcess, startFleet } from './process-fleet.ts'

type Fleet = Awaited<ReturnType<typeof startFleet>>

/** A fleet with a Redis of its own. */
async function fleetWithRedis(t: Test, count: number, settings: Omit<ProcessSettings, 'redisUrl'>) {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const fleet = await startFleet(count, { redisUrl: redis.url, ...settings })
  t.teardown(() => fleet.end())
  return { redis, fleet }
}

function processOf(fleet: Fleet, pid: number | undefined): FleetProcess {
  const found = fleet.processes.find((process) => process.pid === pid)
  if (found === undefined) throw new Error(`no process ${pid}`)
  return found
}

/** Every process flies a key, and one of them has begun to work. */
async function takeOff(fleet: Fleet, key: string, workMs: number) {
  const before = fleet.started.length
  const flights = fleet.processes.map((process) => ({
    process,
    results: process.fly({ key, callers: 50, workMs }),
  }))
  await waitUntil(() => fleet.started.length > before)
  const leader = processOf(fleet, fleet.started[before]?.pid)
  const others = flights.filter(({ process }) => process !== leader)
  // They wait once they have asked: as many flights follow as there are other processes.
  await waitUntil(async () => {
    const snapshots = await Promise.all(others.map(({ process }) => process.snapshot()))
    return snapshots.every((snapshot) => snapshot.fleet.following === 1)
  })
  return { leader, others, flights, before }
}

const all = async (flights: readonly { readonly results: Promise<CallResult[]> }[]) =>
  (await Promise.all(flights.map(({ results }) => results))).flat()

const errorsIn = (results: readonly CallResult[]) => results.filter(({ error }) => error !== undefined)

t.test('a leader that is killed costs exactly one execution more, and nobody an error', async (t) => {
  const options = { fleet: { leaseMs: 3000 } }
  const { fleet } = await fleetWithRedis(t, 4, { budgetMs: 5000, options })
  const tookMs: number[] = []
  for (const key of ['a']) {
    const { leader, others, before } = await takeOff(fleet, key, 2500)
    const killedAtMs = Number(process.hrtime.bigint()) / 1e6
    await leader.kill9()
    const results = await all(others)
    t.equal(results.length, 150)
    t.strictSame(errorsIn(results), [])
    const [first, ...rest] = fleet.started.slice(before)
    t.equal(rest.length, 1)
    t.ok((rest[0]?.fence ?? 0) > (first?.fence ?? Number.POSITIVE_INFINITY))
    t.equal(new Set(results.map(({ value }) => value?.by)).size, 1)
    tookMs.push(Math.max(...results.map(({ atMs }) => atMs)) - killedAtMs)
  }
  t.comment(
    `lease 3000 ms, work 2500 ms: all had their value ${Math.round(tookMs[0] ?? 0)} ms after the kill`,
  )
})

t.test('a leader that was stopped for longer than its lease is refused, and harms nobody', async (t) => {
  const options = { fleet: { leaseMs: 3000, handoffMs: 60_000 } }
  const { fleet } = await fleetWithRedis(t, 2, { budgetMs: 5000, options })
  const { leader, others, flights, before } = await takeOff(fleet, 'frozen', 2500)
  leader.freeze()
  const results = await all(others)
  t.strictSame(errorsIn(results), [])
  const [old, young] = fleet.started.slice(before)
  t.ok((young?.fence ?? 0) > (old?.fence ?? Number.POSITIVE_INFINITY), 'the new fence is larger, and visible')
  t.ok(results.every(({ value }) => value?.fence === young?.fence))
  leader.thaw()
  const own = await all(flights.filter(({ process }) => process === leader))
  t.strictSame(errorsIn(own), [])
  t.ok(
    own.every(({ value }) => value?.fence === old?.fence),
    'its own callers get its value',
  )
  await waitUntil(async () => (await leader.snapshot()).fleet.fenced === 1)
  const [later] = await leader.fly({ key: 'frozen', callers: 1, workMs: 10 })
  t.equal(later?.value?.fence, young?.fence, 'what is shared is the value of the new leader')
})

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
    `Redis ${what} in the middle of a flight: every process works for itself, without an error`,
    async (t) => {
      const options = { fleet: { leaseMs: 1000 } }
      const { redis, fleet } = await fleetWithRedis(t, 3, { budgetMs: 300, options })
      const workMs = 2500
      const { flights, before } = await takeOff(fleet, 'struck', workMs)
      const struckAtMs = Number(process.hrtime.bigint()) / 1e6
      await strike(redis)
      const results = await all(flights)
      t.equal(results.length, 150)
      t.strictSame(errorsIn(results), [])
      t.ok(fleet.started.length - before <= 3, 'at most one execution for each process')
      const tookMs = Math.max(...results.map(({ atMs }) => atMs)) - struckAtMs
      t.comment(`all had their value ${Math.round(tookMs)} ms after the blow, work ${workMs} ms`)
      await waitUntil(async () => {
        const probes = await Promise.all(
          fleet.processes.map((process) => process.fly({ key: 'probe', callers: 1, workMs: 1 })),
        )
        return probes.flat().every(({ value }) => value?.fence === null)
      })
      const offline = await Promise.all(
        fleet.processes.map((process) => process.fly({ key: 'offline', callers: 50, workMs: 20 })),
      )
      t.strictSame(errorsIn(offline.flat()), [])
      t.ok(
        offline.flat().every(({ value }) => value?.fence === null),
        'without Redis there is no fence',
      )

      await cures[what]?.(redis)
      let keys = 0
      await waitUntil(
        async () => {
          keys += 1
          const key = `healed-${keys}`
          const healed = await Promise.all(
            fleet.processes.map((process) => process.fly({ key, callers: 50, workMs: 50 })),
          )
          return new Set(healed.flat().map(({ value }) => value?.fence ?? value?.by)).size === 1
        },
        { what: 'one execution in all processes' },
      )
    },
  )
}

t.test('a subscriber in a black hole gets the value by its timer, without another execution', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const relay = await DeafRelay.start(redis.directPort)
  t.teardown(() => relay.close())
  const fleet = await startFleet(3, {
    redisUrl: `redis://127.0.0.1:${relay.port}`,
    budgetMs: 5000,
    options: { fleet: { leaseMs: 60_000, handoffMs: 2000 } },
  })
  t.teardown(() => fleet.end())
  for (const key of ['at first', 'later']) {
    const { flights, before } = await takeOff(fleet, key, 2500)
    relay.deafen()
    const results = await all(flights)
    t.strictSame(errorsIn(results), [])
    t.equal(fleet.started.length - before, 1)
    const lagMs = Math.max(...results.map(({ atMs, value }) => atMs - (value?.landedAtMs ?? 0)))
    t.comment(`${key}: all had the value ${Math.round(lagMs)} ms after it landed`)
    t.ok(lagMs < 40_000, 'long before the lease ends')
    // Until the guard has noticed: then it polls.
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
})

t.test(
  'Redis flushed in the middle of a flight and between flights: fences grow, nobody sees an error',
  async (t) => {
    const options = { fleet: { leaseMs: 3000, handoffMs: 50 } }
    const { redis, fleet } = await fleetWithRedis(t, 3, { budgetMs: 5000, options })
    const { GuardedRedis } = await import('@holdfast/redis-guard')
    const guard = new GuardedRedis({ url: redis.directUrl, budgetMs: 5000 })
    t.teardown(() => guard.close())
    await guard.ready(10_000)
    const { flights } = await takeOff(fleet, 'flushed', 2500)
    await guard.call('FLUSHALL')
    t.strictSame(errorsIn(await all(flights)), [])
    for (let flight = 0; flight < 3; flight += 1) {
      await guard.call('FLUSHALL')
      const results = await Promise.all(
        fleet.processes.map((process) => process.fly({ key: 'flushed', callers: 5, workMs: 20 })),
      )
      t.strictSame(errorsIn(results.flat()), [])
    }
    const fences = fleet.started.map(({ fence }) => fence ?? 0)
    t.ok(fences.length >= 4)
    t.strictSame(
      fences,
      [...new Set(fences)].sort((left, right) => left - right),
    )
  },
)
