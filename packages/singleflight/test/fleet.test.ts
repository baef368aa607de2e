import diagnostics from 'node:diagnostics_channel'
import { HandClock, seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { fleetId, lookAgainMs } from '../src/fleet.ts'
import { type FleetCall, type FlightContext, Singleflight, type SingleflightOptions } from '../src/index.ts'
import { FleetMemory, type MemoryFleetStore, type Weather } from './memory-fleet-store.ts'

const key = ['prices', 'fx'] as const

/** A simulated process: flights of its own, work that ends when the test says so. */
class Process {
  readonly store: MemoryFleetStore
  readonly flights: Singleflight
  readonly works: {
    context: FlightContext
    land: (value: unknown) => void
    fail: (error: unknown) => void
  }[] = []
  readonly work = (context: FlightContext) => {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.works.push({ context, land: resolve, fail: reject })
    return promise
  }

  constructor(memory: FleetMemory, clock: HandClock, options: SingleflightOptions = {}) {
    this.store = memory.connect()
    this.flights = new Singleflight({ clock, random: () => 0.5, ...options }, this.store)
  }

  run(fleet: true | FleetCall = true, waiter: { signal?: AbortSignal; timeoutMs?: number } = {}) {
    return outcomeOf(this.flights.run(key, this.work, { ...waiter, fleet }))
  }

  workNumber(number: number) {
    const found = this.works[number]
    if (found === undefined) throw new Error(`work ${number} was not started`)
    return found
  }

  get fleet() {
    return this.flights.snapshot().fleet
  }
}

/** A call with its outcome, once it has one. */
interface Call {
  settled: PromiseSettledResult<unknown> | undefined
  readonly promise: Promise<PromiseSettledResult<unknown>>
}

function outcomeOf(promise: Promise<unknown>): Call {
  const call: Call = {
    settled: undefined,
    promise: Promise.allSettled([promise]).then(([settled]) => {
      call.settled = settled
      return settled
    }),
  }
  return call
}

/** Two processes that share a memory, under one clock. */
function twoProcesses(options: SingleflightOptions = {}) {
  const clock = new HandClock()
  const memory = new FleetMemory(clock)
  return { clock, memory, one: new Process(memory, clock, options), two: new Process(memory, clock, options) }
}

const fulfilled = (value: unknown) => ({ status: 'fulfilled', value })
const rejected = (reason: object) => ({ status: 'rejected', reason })

t.test('two processes that ask at the same time run the work once', async (t) => {
  const { clock, one, two } = twoProcesses()
  const calls = [one.run(), one.run(), two.run(), two.run()]
  await clock.advance(0)
  t.equal(one.works.length, 1)
  t.equal(two.works.length, 0)
  one.workNumber(0).land({ bid: 1.2 })
  await clock.advance(0)
  for (const call of calls) t.match(call.settled, fulfilled({ bid: 1.2 }))
  t.match(one.fleet, { led: 1, followed: 0, leading: 0 })
  t.match(two.fleet, { led: 0, followed: 1, following: 0 })
  t.match(two.flights.snapshot(), { executions: 0, joined: 1, inFlight: 0, failed: 0 })
  await clock.advance(10_000)
  t.equal(clock.pendingTimers, 0)
})

t.test('who comes while the value is handed over gets it, and who comes later starts afresh', async (t) => {
  const { clock, one, two } = twoProcesses({ fleet: { handoffMs: 200 } })
  one.run()
  await clock.advance(0)
  one.workNumber(0).land('a')
  await clock.advance(199)
  const early = two.run()
  await clock.advance(0)
  t.match(early.settled, fulfilled('a'))
  t.match(two.fleet, { hit: 1 })
  await clock.advance(1)
  two.run()
  await clock.advance(0)
  t.equal(two.works.length, 1)
})

t.test(
  'the leader knows a fence that grows from flight to flight, also when the store forgets all',
  async (t) => {
    const { clock, memory, one, two } = twoProcesses()
    const fences: (number | undefined)[] = []
    for (const [turn, process] of [one, two, one, two].entries()) {
      process.run()
      await clock.advance(0)
      const work = process.works.at(-1)
      fences.push(work?.context.fence)
      work?.land(turn)
      await clock.advance(1000)
      if (turn === 1) memory.flush()
    }
    t.equal(fences.length, 4)
    t.strictSame(
      fences,
      [...fences].sort((left = 0, right = 0) => left - right),
    )
    t.equal(new Set(fences).size, 4)
  },
)

t.test(
  'a failure is one execution for all processes, and is told with code and class but no stack',
  async (t) => {
    const { clock, one, two } = twoProcesses()
    const [leader, follower] = [one.run(), two.run()]
    await clock.advance(0)
    const thrown = Object.assign(new TypeError('no such market'), {
      code: 'NO_MARKET',
      statusCode: 404,
      secret: 1,
    })
    one.workNumber(0).fail(thrown)
    await clock.advance(0)
    t.equal(leader.settled?.status === 'rejected' && leader.settled.reason, thrown)
    t.match(follower.settled, rejected({ name: 'TypeError', message: 'no such market', code: 'NO_MARKET' }))
    t.match(follower.settled, rejected({ statusCode: 404, retryable: false, secret: undefined }))
    const later = two.run()
    await clock.advance(0)
    t.match(later.settled, rejected({ code: 'NO_MARKET' }))
    t.equal(two.works.length, 0)
    t.match(two.fleet, { failedElsewhere: 2 })
    t.match(two.flights.snapshot(), { failed: 0, executions: 0 })
    await clock.advance(501)
    two.run()
    await clock.advance(0)
    t.equal(two.works.length, 1, 'after errorTtlMs the work is tried again')
  },
)

t.test('errorTtlMs 0 tells a failure only to those who wait', async (t) => {
  const { clock, one, two } = twoProcesses({ fleet: { errorTtlMs: 0 } })
  one.run()
  const follower = two.run()
  await clock.advance(0)
  one.workNumber(0).fail(new Error('no'))
  await clock.advance(0)
  t.match(follower.settled, rejected({ message: 'no', code: 'HOLDFAST_ERR_SINGLEFLIGHT_REMOTE_FAILED' }))
  two.run()
  await clock.advance(0)
  t.equal(two.works.length, 1)
})

t.test('when a leader dies, exactly one of those who wait takes over, with a higher fence', async (t) => {
  const clock = new HandClock()
  const memory = new FleetMemory(clock)
  const [dead, ...rest] = [0, 1, 2, 3].map(
    (number) => new Process(memory, clock, { random: () => number / 4 }),
  ) as [Process, ...Process[]]
  dead.run()
  await clock.advance(0)
  const calls = rest.map((process) => process.run())
  await clock.advance(500)
  dead.store.kill()
  await clock.advance(1100)
  const leaders = rest.filter((process) => process.works.length === 1)
  t.equal(leaders.length, 1)
  const [leader] = leaders
  t.ok((leader?.works[0]?.context.fence ?? 0) > (dead.works[0]?.context.fence ?? 0))
  t.match(leader?.fleet, { led: 1, tookOver: 1 })
  leader?.works[0]?.land('rescued')
  await clock.advance(0)
  for (const call of calls) t.match(call.settled, fulfilled('rescued'))
})

t.test('a leader keeps its lease for as long as it works, also beyond hardTimeoutMs', async (t) => {
  const { clock, one, two } = twoProcesses({ hardTimeoutMs: 3000, fleet: { leaseMs: 300 } })
  const first = one.run()
  await clock.advance(0)
  two.run()
  await clock.advance(10_000)
  t.match(first.settled, rejected({ code: 'HOLDFAST_ERR_SINGLEFLIGHT_FLIGHT_TIMEOUT' }))
  const late = two.run()
  await clock.advance(1000)
  t.equal(two.works.length, 0, 'nobody took over')
  t.equal(one.workNumber(0).context.signal.aborted, false)
  one.workNumber(0).land('slow')
  await clock.advance(0)
  t.match(late.settled, fulfilled('slow'))
})

t.test(
  'a leader that stopped for longer than its lease is refused, and its own callers get its value',
  async (t) => {
    const { clock, memory, one, two } = twoProcesses()
    const frozen = one.run()
    await clock.advance(0)
    // SIGSTOP: what it sends does not arrive before it goes on.
    one.store.weather = () => ({ delayMs: 5000, fails: 'no', messageMs: () => 5000 })
    const follower = two.run()
    await clock.advance(1100)
    t.equal(two.works.length, 1)
    t.ok((two.workNumber(0).context.fence ?? 0) > (one.workNumber(0).context.fence ?? 0))
    two.workNumber(0).land('new')
    await clock.advance(0)
    one.workNumber(0).land('old')
    await clock.advance(0)
    t.match(frozen.settled, fulfilled('old'))
    t.match(follower.settled, fulfilled('new'))
    await clock.advance(5000)
    t.match(one.fleet, { fenced: 1 })
    t.equal(memory.granted.get(fleetId('6:prices2:fx'))?.length, 2)
  },
)

t.test('work whose lease was taken is told so, and what it throws then reaches nobody', async (t) => {
  const { clock, memory, one, two } = twoProcesses()
  const first = one.run()
  await clock.advance(0)
  memory.flush()
  const second = two.run()
  await clock.advance(0)
  t.equal(two.works.length, 1)
  await clock.advance(400)
  const { context, fail } = one.workNumber(0)
  t.equal(context.signal.aborted, true)
  t.match(context.signal.reason, { code: 'HOLDFAST_ERR_SINGLEFLIGHT_LEASE_LOST' })
  fail(context.signal.reason)
  await clock.advance(0)
  t.equal(first.settled, undefined, 'it waits for the new leader')
  two.workNumber(0).land('new')
  await clock.advance(0)
  t.match(first.settled, fulfilled('new'))
  t.match(second.settled, fulfilled('new'))
  t.match(one.fleet, { led: 1, lost: 1, followed: 1 })
  t.match(one.flights.snapshot(), { executions: 1, failed: 0 })
})

t.test('whoever loses every lease runs the work for itself in the end', async (t) => {
  const { clock, memory, one } = twoProcesses()
  const call = one.run()
  for (let lease = 0; lease < 3; lease += 1) {
    await clock.advance(0)
    memory.flush()
    await clock.advance(400)
    one.workNumber(lease).fail(new Error('aborted'))
  }
  await clock.advance(0)
  t.equal(one.works.length, 4)
  t.equal(one.workNumber(3).context.fence, undefined)
  one.workNumber(3).land('at last')
  await clock.advance(0)
  t.match(call.settled, fulfilled('at last'))
  t.match(one.fleet, { led: 3, lost: 3, alone: 1 })
})

t.test('without the store every process runs the work for itself, at once', async (t) => {
  const { clock, one, two } = twoProcesses()
  for (const process of [one, two]) process.store.setAvailable(false)
  const calls = [one.run(), two.run()]
  for (const process of [one, two]) process.workNumber(0).land('own')
  await clock.advance(0)
  for (const call of calls) t.match(call.settled, fulfilled('own'))
  t.equal(one.workNumber(0).context.fence, undefined)
  t.match(one.fleet, { degraded: 1, led: 0 })
  t.equal(clock.nowMs(), 0)
  t.equal(clock.pendingTimers, 0)
})

for (const fails of ['before', 'after'] as const) {
  t.test(
    `a question that fails (${fails} it was carried out) costs a caller nothing but its own work`,
    async (t) => {
      const { clock, one, two } = twoProcesses()
      const failing: Weather = { delayMs: 0, fails, messageMs: () => 0 }
      let operations = 0
      one.store.weather = () => {
        operations += 1
        return operations === 1 ? failing : { ...failing, fails: 'no' }
      }
      const call = one.run()
      await clock.advance(0)
      one.workNumber(0).land('own')
      await clock.advance(0)
      t.match(call.settled, fulfilled('own'))
      t.match(one.fleet, { degraded: 1 })
      two.run()
      await clock.advance(0)
      t.equal(two.works.length, 1, 'the lease it may have got is released')
    },
  )
}

t.test(
  'followers go on at once when the store is lost, and a late leader does not disturb them',
  async (t) => {
    const { clock, one, two } = twoProcesses()
    one.run()
    await clock.advance(0)
    const follower = two.run()
    await clock.advance(100)
    t.match(two.fleet, { following: 1 })
    two.store.setAvailable(false)
    await clock.advance(0)
    t.equal(two.works.length, 1)
    two.workNumber(0).land('own')
    await clock.advance(0)
    t.match(follower.settled, fulfilled('own'))
    t.match(two.fleet, { following: 0, degraded: 1 })
  },
)

t.test('a leader whose store falls silent works on, and its callers get its value', async (t) => {
  const { clock, one } = twoProcesses({ fleet: { leaseMs: 300 } })
  const call = one.run()
  await clock.advance(0)
  one.store.setAvailable(false)
  await clock.advance(5000)
  t.equal(one.workNumber(0).context.signal.aborted, false)
  one.workNumber(0).land('value')
  await clock.advance(0)
  t.match(call.settled, fulfilled('value'))
  t.match(one.fleet, { lost: 0, unpublished: 1, leading: 0 })
  t.equal(clock.pendingTimers, 0)
})

t.test('a lost message costs half of handoffMs at most, and no second execution', async (t) => {
  const { clock, one, two } = twoProcesses({ fleet: { leaseMs: 10_000, handoffMs: 200 } })
  two.store.weather = () => ({ delayMs: 0, fails: 'no', messageMs: () => undefined })
  one.run()
  await clock.advance(0)
  const follower = two.run()
  await clock.advance(1000)
  one.workNumber(0).land('value')
  await clock.advance(120)
  t.match(follower.settled, fulfilled('value'))
  t.equal(two.works.length, 0)
})

t.test('without a subscription a follower asks again after 25 to 250 ms', async (t) => {
  const { clock, one, two } = twoProcesses({ fleet: { leaseMs: 60_000 } })
  two.store.listening = false
  one.run()
  await clock.advance(0)
  const follower = two.run()
  await clock.advance(0)
  one.workNumber(0).land('value')
  await clock.advance(25)
  t.match(follower.settled, fulfilled('value'))
})

t.test('after a gap everybody who waits asks again', async (t) => {
  const { clock, one, two } = twoProcesses({ fleet: { leaseMs: 60_000, handoffMs: 60_000 } })
  one.run()
  await clock.advance(0)
  const follower = two.run()
  await clock.advance(0)
  two.store.listening = false
  one.workNumber(0).land('value')
  await clock.advance(5)
  t.equal(follower.settled, undefined)
  two.store.setListening(true)
  await clock.advance(25)
  t.match(follower.settled, fulfilled('value'))
})

t.test(
  'a value too large for a message is asked for, and one beyond maxPayloadBytes is not shared',
  async (t) => {
    const { clock, one, two } = twoProcesses()
    const [large, tooLarge] = ['x'.repeat(20_000), 'x'.repeat(2 * 1024 * 1024)]
    one.run()
    const follower = two.run()
    await clock.advance(0)
    one.workNumber(0).land(large)
    await clock.advance(0)
    t.match(follower.settled, fulfilled(large))
    await clock.advance(1000)
    const leader = one.run()
    two.run()
    await clock.advance(0)
    one.workNumber(1).land(tooLarge)
    await clock.advance(0)
    t.match(leader.settled, fulfilled(tooLarge))
    t.equal(two.works.length, 1, 'at once, for itself')
    t.match(two.fleet, { alone: 1 })
    const third = two.flights.run(['other'], () => 1, { fleet: true })
    await clock.advance(0)
    t.equal(await third, 1)
  },
)

t.test('a value that cannot be shared is an error everywhere', async (t) => {
  const { clock, one, two } = twoProcesses()
  const calls = [one.run(), two.run()]
  await clock.advance(0)
  one.workNumber(0).land({ at: new Date(0) })
  await clock.advance(0)
  for (const call of calls) {
    t.match(call.settled, rejected({ code: 'HOLDFAST_ERR_SINGLEFLIGHT_VALUE_NOT_SHAREABLE' }))
    t.match(call.settled, rejected({ message: /the value\.at is an instance of Date/ }))
  }
  const local = new Singleflight()
  await t.rejects(
    local.run(key, () => new Map(), { fleet: true }),
    { code: 'HOLDFAST_ERR_SINGLEFLIGHT_VALUE_NOT_SHAREABLE' },
    'without Redis as well, so that it is found early',
  )
  t.equal(await local.run(key, () => 7, { fleet: true }), 7)
})

t.test('a codec carries what JSON cannot', async (t) => {
  const codec = {
    encode: (value: unknown) => new Uint8Array(value as Buffer),
    decode: (bytes: Buffer) => Buffer.from(bytes),
  }
  const { clock, one, two } = twoProcesses({ fleet: { codec } })
  one.run()
  const follower = two.run()
  await clock.advance(0)
  const bytes = Buffer.from([0, 255, 128, 10, 58])
  one.workNumber(0).land(bytes)
  await clock.advance(0)
  t.match(follower.settled, { status: 'fulfilled' })
  t.ok(follower.settled?.status === 'fulfilled' && bytes.equals(follower.settled.value as Buffer))
})

t.test('a codec that fails is the mistake of the work, or a missing value', async (t) => {
  const { clock, one, two } = twoProcesses()
  const calls = [
    one.run({ codec: { encode: () => 5 as unknown as string, decode: String } }),
    two.run({ codec: { encode: String, decode: String } }),
  ]
  await clock.advance(0)
  one.workNumber(0).land('value')
  await clock.advance(0)
  for (const call of calls) {
    t.match(call.settled, rejected({ code: 'HOLDFAST_ERR_SINGLEFLIGHT_CODEC_FAILED' }))
  }
  await clock.advance(1000)
  const boom = () => {
    throw new Error('boom')
  }
  const throwing = one.run({ codec: { encode: boom, decode: String }, isRetryable: boom })
  await clock.advance(0)
  one.workNumber(1).land('value')
  await clock.advance(0)
  t.match(
    throwing.settled,
    rejected({ code: 'HOLDFAST_ERR_SINGLEFLIGHT_CODEC_FAILED', cause: { message: 'boom' } }),
  )
  await clock.advance(1000)
  one.run()
  two.run({ codec: { encode: String, decode: boom } })
  await clock.advance(0)
  one.workNumber(2).land('value')
  await clock.advance(0)
  t.equal(two.works.length, 1, 'who cannot read it makes its own')
})

t.test('isRetryable that throws counts as yes', async (t) => {
  const { clock, one, two } = twoProcesses()
  one.run({
    isRetryable: () => {
      throw new Error('boom')
    },
  })
  const follower = two.run()
  await clock.advance(0)
  one.workNumber(0).fail(Object.assign(new Error('no'), { statusCode: 404 }))
  await clock.advance(0)
  t.match(follower.settled, rejected({ retryable: true }))
})

t.test('a caller leaves a flight of another process by its own signal and time', async (t) => {
  const { clock, one, two } = twoProcesses()
  one.run()
  await clock.advance(0)
  const browser = new AbortController()
  const [leaving, hurried, patient] = [
    two.run(true, { signal: browser.signal }),
    two.run(true, { timeoutMs: 50 }),
    two.run(),
  ]
  await clock.advance(50)
  browser.abort()
  await clock.advance(0)
  t.match(leaving.settled, rejected({ code: 'HOLDFAST_ERR_SINGLEFLIGHT_ABORTED' }))
  t.match(hurried.settled, rejected({ code: 'HOLDFAST_ERR_SINGLEFLIGHT_WAIT_TIMEOUT' }))
  one.workNumber(0).land('value')
  await clock.advance(0)
  t.match(patient.settled, fulfilled('value'))
})

t.test(
  'a flight that waits for another process ends with its last waiter, and never takes over',
  async (t) => {
    const { clock, one, two } = twoProcesses()
    one.run()
    await clock.advance(0)
    two.run(true, { timeoutMs: 50 })
    await clock.advance(50)
    t.match(two.flights.snapshot(), { abandoned: 1, waiters: 0, inFlight: 0, fleet: { following: 0 } })
    t.equal(two.flights.has(key), false)
    one.store.kill()
    await clock.advance(5000)
    t.equal(two.works.length, 0)
  },
)

t.test('an overdue flight that nobody waits for does not take over', async (t) => {
  const { clock, one, two } = twoProcesses({ hardTimeoutMs: 700 })
  one.run()
  await clock.advance(0)
  const call = two.run()
  await clock.advance(701)
  t.match(call.settled, rejected({ code: 'HOLDFAST_ERR_SINGLEFLIGHT_FLIGHT_TIMEOUT' }))
  one.store.kill()
  await clock.advance(6000)
  t.equal(two.works.length, 0)
  t.equal(two.flights.has(key), false)
})

for (const [what, end] of Object.entries({
  closed: ({ flights }: Process) => flights.close(),
  'abandoned with whenAbandoned abort': () => undefined,
})) {
  t.test(`a leader that is ${what} lets go at once, and another takes over`, async (t) => {
    const { clock, one, two } = twoProcesses({ whenAbandoned: 'abort' })
    one.run(true, { timeoutMs: 100 })
    await clock.advance(0)
    const follower = two.run()
    await clock.advance(what === 'closed' ? 50 : 100)
    end(one)
    await one.flights.drained()
    await clock.advance(0)
    t.equal(one.workNumber(0).context.signal.aborted, true)
    t.equal(two.works.length, 1)
    one.workNumber(0).fail(new Error('aborted'))
    two.workNumber(0).land('value')
    await clock.advance(0)
    t.match(follower.settled, fulfilled('value'))
    t.match(one.fleet, { leading: 0, unpublished: 0, fenced: 0 })
  })
}

t.test('work that never settles gives its lease back at maxFlightMs', async (t) => {
  const { clock, one, two } = twoProcesses({ hardTimeoutMs: 1000, maxFlightMs: 2000 })
  one.run()
  await clock.advance(2000)
  t.equal(one.workNumber(0).context.signal.aborted, true)
  t.match(one.fleet, { leading: 0 })
  two.run()
  await clock.advance(0)
  t.equal(two.works.length, 1)
})

t.test('a lease granted after the flight was closed is given back', async (t) => {
  const { clock, one, two } = twoProcesses()
  one.store.weather = () => ({ delayMs: 10, fails: 'no', messageMs: () => 0 })
  const call = one.run()
  await clock.advance(5)
  one.flights.close()
  await clock.advance(100)
  t.match(call.settled, rejected({ code: 'HOLDFAST_ERR_SINGLEFLIGHT_CLOSED' }))
  t.equal(one.works.length, 0)
  two.run()
  await clock.advance(0)
  t.equal(two.works.length, 1)
})

t.test('minIntervalMs holds the next start of the work back, in all processes', async (t) => {
  const { clock, one, two } = twoProcesses({ fleet: { minIntervalMs: 2000, handoffMs: 100 } })
  one.run()
  await clock.advance(0)
  one.workNumber(0).land(1)
  await clock.advance(500)
  const held = two.run()
  await clock.advance(1400)
  t.equal(two.works.length, 0)
  await clock.advance(200)
  t.equal(two.works.length, 1)
  two.workNumber(0).land(2)
  await clock.advance(0)
  t.match(held.settled, fulfilled(2))
})

t.test('minFence refuses an older value, and acceptStale takes it instead of waiting', async (t) => {
  const { clock, one, two } = twoProcesses({ fleet: { handoffMs: 10_000 } })
  one.run()
  await clock.advance(0)
  const fence = one.workNumber(0).context.fence ?? 0
  one.workNumber(0).land('old')
  await clock.advance(0)
  const same = two.run({ minFence: fence })
  await clock.advance(0)
  t.match(same.settled, fulfilled('old'))
  const newer = two.run({ minFence: fence + 1 })
  await clock.advance(0)
  t.equal(two.works.length, 1)
  const stale = one.run({ minFence: fence + 1, acceptStale: true })
  await clock.advance(0)
  t.match(stale.settled, fulfilled('old'))
  t.match(one.fleet, { stale: 1 })
  two.workNumber(0).land('new')
  await clock.advance(0)
  t.match(newer.settled, fulfilled('new'))
})

t.test('a message of an earlier fence than minFence does not settle a flight', async (t) => {
  const { clock, one, two } = twoProcesses()
  one.run()
  await clock.advance(0)
  const fence = one.workNumber(0).context.fence ?? 0
  const call = two.run({ minFence: fence + 1 })
  await clock.advance(0)
  one.workNumber(0).land('old')
  await clock.advance(0)
  t.equal(call.settled, undefined)
  t.equal(two.works.length, 1)
  two.workNumber(0).land('new')
  await clock.advance(0)
  t.match(call.settled, fulfilled('new'))
})

t.test(
  'forgetEverywhere drops the value, and the flight in the air lands for those who joined it',
  async (t) => {
    const { clock, one, two } = twoProcesses()
    const before = one.run()
    await clock.advance(0)
    const forgetting = two.flights.forgetEverywhere(key)
    await clock.advance(0)
    t.equal(await forgetting, true)
    t.equal(one.flights.has(key), false)
    const after = one.run()
    const elsewhere = two.run()
    await clock.advance(500)
    t.equal(one.works.length + two.works.length, 2)
    t.equal(one.workNumber(0).context.signal.aborted, false, 'who joined it gets what it comes to')
    one.workNumber(0).land('old')
    await clock.advance(0)
    t.match(before.settled, fulfilled('old'))
    t.equal(after.settled, undefined)
    one.workNumber(1).land('new')
    await clock.advance(0)
    t.match(after.settled, fulfilled('new'))
    t.match(elsewhere.settled, fulfilled('new'))
    t.match(one.fleet, { fenced: 1 })
  },
)

t.test('a flight that began after the forgetting is not forgotten by a late message', async (t) => {
  const { clock, one, two } = twoProcesses()
  const pair = { delayMs: 0, fails: 'no' as const }
  one.store.weather = () => ({ ...pair, messageMs: () => 50 })
  await Promise.all([two.flights.forgetEverywhere(key), clock.advance(1)])
  one.run()
  await clock.advance(100)
  t.equal(one.flights.has(key), true)
})

t.test(
  'a question that was answered before the forgetting is forgotten, whichever comes first',
  async (t) => {
    const { clock, memory, one, two } = twoProcesses()
    two.run()
    await clock.advance(0)
    const acquire = one.store.acquire.bind(one.store)
    const { promise, resolve } = Promise.withResolvers<void>()
    one.store.acquire = async (request) => {
      const answer = await acquire(request)
      await promise
      return answer
    }
    one.run()
    await clock.advance(0)
    memory.forget(fleetId('6:prices2:fx'))
    await clock.advance(0)
    t.equal(one.flights.has(key), true)
    resolve()
    await clock.advance(0)
    t.equal(one.flights.has(key), false)
  },
)

t.test('forgetEverywhere says when the others could not be told', async (t) => {
  const { one } = twoProcesses()
  one.store.setAvailable(false)
  t.equal(await one.flights.forgetEverywhere(key), false)
  t.equal(await new Singleflight().forgetEverywhere(key), false)
})

t.test(
  'settings of a call are checked like options, and reject the call that starts the flight',
  async (t) => {
    const flights = new Singleflight()
    for (const [fleet, message] of [
      [{ leaseMs: 0 }, /"fleet.leaseMs" must be a whole number from 50/],
      [{ leaseMS: 100 }, /"fleet.leaseMS" must be left out/],
      [{ namespace: 'x' }, /"fleet.namespace" must be left out/],
      ['yes', /"fleet" must be an object, received "yes"/],
    ] as const) {
      await t.rejects(
        flights.run(key, () => 1, { fleet: fleet as never }),
        {
          code: 'HOLDFAST_ERR_SINGLEFLIGHT_INVALID_OPTION',
          message,
        },
      )
    }
    t.equal(await flights.run(key, () => 1, { fleet: false }), 1)
  },
)

t.test('ids are short ASCII, and different keys have different ids', async (t) => {
  const texts = ['6:prices2:fx', '2:ä', '3:a b', 'x'.repeat(128), 'x'.repeat(129), 'x'.repeat(4096)]
  const ids = texts.map(fleetId)
  t.equal(new Set(ids).size, texts.length)
  for (const id of ids) t.match(id, /^[\x21-\x7e]{1,129}$/)
})

t.test(
  'the next look is never later than the end of the lease and half of the hand-off, plus 20 ms',
  async (t) => {
    const random = seededRandom()
    random.announce(t)
    for (let turn = 0; turn < 1000; turn += 1) {
      const [leftMs, handoffMs, polls] = [random.int(0, 5000), random.int(50, 5000), random.int(0, 1100)]
      const listening = lookAgainMs({ listening: true, leftMs, handoffMs, polls }, random.next)
      t.ok(listening >= 0 && listening <= Math.min(leftMs, handoffMs / 2) + 20)
      const polling = lookAgainMs({ listening: false, leftMs, handoffMs, polls }, random.next)
      t.ok(polling >= 0 && polling <= Math.min(375, leftMs + 20))
    }
  },
)

t.test('every step is an event for those who listen', async (t) => {
  const { clock, one, two } = twoProcesses()
  const roles: unknown[] = []
  const listen = (event: unknown) => roles.push((event as { role: string }).role)
  diagnostics.subscribe('holdfast:singleflight:fleet', listen)
  one.run()
  two.run()
  await clock.advance(0)
  one.workNumber(0).land(1)
  await clock.advance(0)
  diagnostics.unsubscribe('holdfast:singleflight:fleet', listen)
  t.strictSame(roles, ['led', 'followed'])
})

t.test('whatever the work throws reaches its caller as it is, and gives the lease back', async (t) => {
  const unreadable = () => {
    throw new Error('unreadable')
  }
  for (const thrown of [
    Object.assign(new Error('x'), { message: { text: 'an object' } }),
    Object.assign(new Error('x'), { name: undefined }),
    Object.defineProperty(new Error('x'), 'code', { get: unreadable }),
  ]) {
    const { clock, one, two } = twoProcesses({ fleet: { errorTtlMs: 0 } })
    const [leader, follower] = [one.run(), two.run()]
    await clock.advance(0)
    one.workNumber(0).fail(thrown)
    await clock.advance(0)
    t.equal(leader.settled?.status === 'rejected' && leader.settled.reason, thrown)
    t.match(follower.settled, rejected({ code: 'HOLDFAST_ERR_SINGLEFLIGHT_REMOTE_FAILED' }))
    two.run()
    await clock.advance(0)
    t.equal(two.works.length, 1, 'the lease is free')
  }
})

t.test(
  'what landed before a key was forgotten does not answer who came after, however late it is told',
  async (t) => {
    const { clock, one, two } = twoProcesses()
    one.run()
    await clock.advance(0)
    two.store.weather = () => ({ delayMs: 0, fails: 'no', messageMs: () => 50 })
    one.workNumber(0).land('old')
    await clock.advance(0)
    one.flights.forgetEverywhere(key)
    await clock.advance(0)
    one.run()
    await clock.advance(0)
    const call = two.run()
    await clock.advance(60)
    t.equal(call.settled, undefined, 'the message of the first flight has come')
    one.workNumber(1).land('new')
    await clock.advance(50)
    t.match(call.settled, fulfilled('new'))
  },
)

t.test('minIntervalMs is from start to start: keys that are forgotten often fly all the same', async (t) => {
  const { clock, one, two } = twoProcesses({ fleet: { minIntervalMs: 1000, handoffMs: 50 } })
  two.run()
  await clock.advance(0)
  two.workNumber(0).land(1)
  for (let forgotten = 0; forgotten < 5; forgotten += 1) {
    await clock.advance(300)
    two.flights.forgetEverywhere(key)
    if (forgotten === 0) one.run()
  }
  t.equal(one.works.length, 1)
})

t.test('a leader that was stopped for longer than its lease is told so when it goes on', async (t) => {
  const { clock, one, two } = twoProcesses()
  const first = one.run()
  await clock.advance(0)
  // SIGSTOP: what it sends does not arrive before it goes on.
  one.store.weather = () => ({ delayMs: 5000, fails: 'no', messageMs: () => 5000 })
  two.run()
  await clock.advance(1100)
  t.equal(two.works.length, 1)
  one.store.weather = () => ({ delayMs: 0, fails: 'no', messageMs: () => 0 })
  await clock.advance(400)
  const { context, fail } = one.workNumber(0)
  t.equal(context.signal.aborted, true)
  fail(context.signal.reason)
  two.workNumber(0).land('new')
  await clock.advance(0)
  t.match(first.settled, fulfilled('new'))
  t.match(one.fleet, { lost: 1, followed: 1 })
})

t.test('a leader keeps its lease when the store falls silent and comes back in time', async (t) => {
  const { clock, one, two } = twoProcesses()
  one.run()
  await clock.advance(0)
  // The store goes on with a lease that it was asked to renew, and says so too late.
  one.store.weather = () => ({ delayMs: 0, fails: 'after', messageMs: () => 0 })
  await clock.advance(1500)
  one.store.weather = () => ({ delayMs: 0, fails: 'no', messageMs: () => 0 })
  two.run()
  await clock.advance(5000)
  t.equal(two.works.length, 0)
  one.workNumber(0).land('value')
  await clock.advance(0)
  t.match(one.fleet, { lost: 0, fenced: 0 })
})

t.test('a lease of which nobody knows is given back as soon as the store can be told', async (t) => {
  const { clock, one, two } = twoProcesses({ fleet: { leaseMs: 60_000 } })
  one.store.weather = () => ({ delayMs: 0, fails: 'after', messageMs: () => 0 })
  const call = one.run()
  one.store.setAvailable(false)
  await clock.advance(0)
  one.workNumber(0).land('own')
  await clock.advance(0)
  t.match(call.settled, fulfilled('own'))
  one.store.weather = () => ({ delayMs: 0, fails: 'no', messageMs: () => 0 })
  const follower = two.run()
  await clock.advance(1000)
  t.equal(two.works.length, 0)
  one.store.setAvailable(true)
  await clock.advance(0)
  t.equal(two.works.length, 1)
  two.workNumber(0).land('value')
  await clock.advance(0)
  t.match(follower.settled, fulfilled('value'))
})

t.test('what could not be published gives its lease back as soon as the store can be told', async (t) => {
  const { clock, one, two } = twoProcesses({ fleet: { leaseMs: 60_000 } })
  one.run()
  two.run()
  await clock.advance(0)
  one.store.setAvailable(false)
  one.workNumber(0).land('own')
  await clock.advance(1000)
  t.equal(two.works.length, 0)
  one.store.setAvailable(true)
  await clock.advance(0)
  t.equal(two.works.length, 1)
})

t.test('a question that certainly was not carried out leaves nothing to give back', async (t) => {
  const { clock, one } = twoProcesses()
  let released = 0
  one.store.acquire = async () => {
    throw Object.assign(new Error('too many calls'), { mayHaveRun: false })
  }
  one.store.release = async () => {
    released += 1
    return true
  }
  one.run()
  await clock.advance(0)
  t.equal(one.works.length, 1)
  t.equal(released, 0)
})

t.test('who asks for a newer value does not join a flight that may bring an older one', async (t) => {
  const { clock, one, two } = twoProcesses()
  const first = one.run()
  await clock.advance(0)
  const fence = one.workNumber(0).context.fence ?? 0
  const same = one.run({ minFence: fence })
  const newer = one.run({ minFence: fence + 1 })
  const asNew = one.run({ minFence: fence + 1 })
  await clock.advance(0)
  one.workNumber(0).land('old')
  await clock.advance(0)
  t.match(first.settled, fulfilled('old'))
  t.match(same.settled, fulfilled('old'))
  t.equal(newer.settled, undefined)
  t.equal(one.works.length, 2, 'and not beside the first')
  t.equal(two.works.length, 0)
  one.workNumber(1).land('new')
  await clock.advance(0)
  t.match(newer.settled, fulfilled('new'))
  t.match(asNew.settled, fulfilled('new'))
  t.match(one.fleet, { led: 2 })
})

for (const [what, strike] of Object.entries({
  'the lease of the other process ends': () => undefined,
  'the store is lost': ({ store }: Process) => store.setAvailable(false),
})) {
  t.test(`a flight that nobody waits for starts no work when ${what}`, async (t) => {
    const { clock, one, two } = twoProcesses({ hardTimeoutMs: 980, fleet: { handoffMs: 10_000 } })
    one.run()
    await clock.advance(0)
    two.run()
    await clock.advance(0)
    one.store.kill()
    await clock.advance(985)
    t.match(two.flights.snapshot(), { waiters: 0, inFlight: 1 })
    strike(two)
    await clock.advance(5000)
    t.equal(two.works.length, 0)
    t.equal(two.flights.has(key), false)
  })
}

t.test('a leader that nobody waits for does not begin again when it lost its lease', async (t) => {
  const { clock, memory, one } = twoProcesses({ hardTimeoutMs: 100 })
  one.run()
  await clock.advance(150)
  memory.flush()
  await clock.advance(400)
  one.workNumber(0).fail(new Error('aborted'))
  await clock.advance(5000)
  t.equal(one.works.length, 1)
  t.equal(one.flights.has(key), false)
})

t.test('at most 1,000 leases wait to be given back; the others end by themselves', async (t) => {
  const { clock, one } = twoProcesses()
  let released = 0
  one.store.release = async () => {
    released += 1
    return true
  }
  for (let number = 0; number <= 1000; number += 1) one.flights.run([number], one.work, { fleet: true })
  await clock.advance(0)
  one.store.setAvailable(false)
  for (const { land } of one.works) land('value')
  await clock.advance(0)
  one.store.setAvailable(true)
  await clock.advance(0)
  t.equal(one.works.length, 1001)
  t.equal(released, 1000)
})
