/**
 * Many simulated processes, one store, a hand-held clock and a seeded source of misfortune: operations are late, fail
 * before or after they were carried out, messages are late or lost, subscriptions and connections come and go,
 * processes die. What must hold whatever happens is asserted after every trace.
 */
import { HandClock, type SeededRandom, seededRandom } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { type FlightContext, Singleflight } from '../src/index.ts'
import { FleetMemory, type MemoryFleetStore, type Weather } from './memory-fleet-store.ts'

interface Misfortune {
  readonly processes: number
  readonly steps: number
  /** Chances from 0 to 1. */
  readonly failing: number
  readonly losingMessages: number
  readonly lateMs: number
  readonly dying: number
  readonly disconnecting: number
  readonly flushing: number
  readonly failingWork: number
}

const keys = [['a'], ['b'], ['c']] as const

interface Trace {
  readonly executions: { readonly key: string; readonly fence: number | undefined }[]
  /** Calls whose process lived on. */
  readonly survivors: PromiseSettledResult<unknown>[]
  readonly calls: number
  readonly wrongValues: number
  readonly memory: FleetMemory
  readonly flights: Singleflight[]
  readonly clock: HandClock
}

async function trace(random: SeededRandom, misfortune: Misfortune): Promise<Trace> {
  const clock = new HandClock()
  const memory = new FleetMemory(clock)
  const executions: { key: string; fence: number | undefined }[] = []
  const calls: { process: number; key: string; promise: Promise<unknown> }[] = []
  const dead = new Set<number>()
  const happens = (chance: number) => random.next() < chance
  const weather = (): Weather => ({
    delayMs: random.int(0, misfortune.lateMs),
    fails: happens(misfortune.failing) ? random.pick(['before', 'after'] as const) : 'no',
    messageMs: () => (happens(misfortune.losingMessages) ? undefined : random.int(0, misfortune.lateMs)),
  })
  const processes: { store: MemoryFleetStore; flights: Singleflight }[] = []
  for (let number = 0; number < misfortune.processes; number += 1) {
    const store = memory.connect()
    store.weather = weather
    const fleet = { leaseMs: 300, handoffMs: 200, errorTtlMs: 100 }
    processes.push({ store, flights: new Singleflight({ clock, random: random.next, fleet }, store) })
  }
  const work = (key: string) => (context: FlightContext) => {
    executions.push({ key, fence: context.fence })
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    const fails = happens(misfortune.failingWork)
    const cancel = clock.schedule(random.int(1, 900), () => {
      if (fails) reject(Object.assign(new Error('the work failed'), { code: 'WORK' }))
      else resolve(`${key}@${clock.nowMs()}`)
    })
    context.signal.addEventListener('abort', () => {
      cancel()
      reject(context.signal.reason)
    })
    return promise
  }
  for (let step = 0; step < misfortune.steps; step += 1) {
    const process = random.int(0, misfortune.processes - 1)
    const { store, flights } = processes[process] as (typeof processes)[number]
    if (dead.has(process)) continue
    if (happens(misfortune.dying) && dead.size < misfortune.processes - 1) {
      dead.add(process)
      store.kill()
    } else if (happens(misfortune.disconnecting)) {
      if (happens(0.5)) store.setAvailable(!store.available)
      else store.setListening(!store.listening)
    } else if (happens(misfortune.flushing)) {
      memory.flush()
    } else {
      const key = random.pick(keys)
      const promise = flights.run(key, work(key[0]), { fleet: true })
      promise.catch(() => undefined)
      calls.push({ process, key: key[0], promise })
    }
    await clock.advance(random.int(0, 60))
  }
  await clock.advance(10_000)
  const living = calls.filter(({ process }) => !dead.has(process))
  const pending = Symbol('pending')
  const survivors: PromiseSettledResult<unknown>[] = []
  let wrongValues = 0
  for (const { key, promise } of living) {
    const [settled] = await Promise.allSettled([Promise.race([promise, Promise.resolve(pending)])])
    survivors.push(settled)
    if (settled.status === 'fulfilled' && !String(settled.value).startsWith(`${key}@`)) wrongValues += 1
  }
  const flights = processes.filter((_, process) => !dead.has(process)).map((process) => process.flights)
  return { executions, survivors, calls: living.length, wrongValues, memory, flights, clock }
}

const fair: Misfortune = {
  processes: 4,
  steps: 120,
  failing: 0,
  losingMessages: 0,
  lateMs: 0,
  dying: 0,
  disconnecting: 0,
  flushing: 0,
  failingWork: 0,
}

function holds(t: Test, result: Trace) {
  const ends = result.survivors.map((settled) =>
    settled.status === 'fulfilled' ? 'value' : (settled.reason as { code?: string }).code,
  )
  t.strictSame(
    [...new Set(ends)].filter((end) => end !== 'value' && end !== 'WORK'),
    [],
    'everybody got a value, or what the work threw',
  )
  t.equal(result.wrongValues, 0, 'of its own key')
  t.equal(result.calls, result.survivors.length)
  for (const fences of result.memory.granted.values()) {
    t.strictSame(
      fences,
      [...new Set(fences)].sort((left, right) => left - right),
      'fences grow',
    )
  }
  for (const flights of result.flights) {
    t.match(flights.snapshot(), { inFlight: 0, waiters: 0, fleet: { leading: 0, following: 0 } })
  }
}

t.test('without misfortune no work runs beside itself, and every execution is under a lease', async (t) => {
  const random = seededRandom()
  random.announce(t)
  for (let run = 0; run < 10; run += 1) {
    const result = await trace(random, { ...fair, failingWork: run % 2 === 0 ? 0 : 0.3 })
    holds(t, result)
    t.ok(result.executions.every(({ fence }) => fence !== undefined))
    let granted = 0
    for (const fences of result.memory.granted.values()) granted += fences.length
    t.equal(result.executions.length, granted, 'one execution for each lease')
    for (const flights of result.flights)
      t.match(flights.snapshot().fleet, { lost: 0, fenced: 0, degraded: 0, tookOver: 0 })
    t.equal(result.clock.pendingTimers, 0)
  }
})

t.test('lost and late messages cause no execution more', async (t) => {
  const random = seededRandom()
  random.announce(t)
  for (let run = 0; run < 10; run += 1) {
    const result = await trace(random, { ...fair, losingMessages: 0.5, lateMs: 30 })
    holds(t, result)
    for (const flights of result.flights)
      t.match(flights.snapshot().fleet, { lost: 0, fenced: 0, degraded: 0, tookOver: 0 })
  }
})

t.test('processes that die cost one execution more for each flight they led', async (t) => {
  const random = seededRandom()
  random.announce(t)
  for (let run = 0; run < 10; run += 1) {
    const result = await trace(random, { ...fair, processes: 6, dying: 0.05, lateMs: 5 })
    holds(t, result)
    let granted = 0
    for (const fences of result.memory.granted.values()) granted += fences.length
    t.ok(result.executions.length <= granted)
  }
})

t.test('whatever happens to the store, every caller gets a value or what the work threw', async (t) => {
  const random = seededRandom()
  random.announce(t)
  for (let run = 0; run < 20; run += 1) {
    const result = await trace(random, {
      processes: 5,
      steps: 150,
      failing: 0.1,
      losingMessages: 0.2,
      lateMs: 50,
      dying: 0.01,
      disconnecting: 0.05,
      flushing: 0.03,
      failingWork: 0.1,
    })
    holds(t, result)
  }
})
