import { HandClock, seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { ConcurrencyGuard, type HeldOperation } from '../src/index.ts'
import { MemoryLeases } from './memory-leases.ts'

const KEYS = ['a', 'b', 'c']
const LEASE_MS = 900

/** One process of the trace. */
interface Process {
  readonly guard: ConcurrencyGuard
  readonly store: ReturnType<MemoryLeases['store']>
  readonly running: Map<HeldOperation, string>
  readonly callers: Set<AbortController>
}

t.test('random traces of several processes: never two at work, fences grow, nothing is left', async (t) => {
  const random = seededRandom()
  random.announce(t)
  let begun = 0
  let refused = 0
  for (let trace = 0; trace < 40; trace += 1) {
    const clock = new HandClock()
    const leases = new MemoryLeases(clock)
    const isStrict = random.next() < 0.5
    const processes: Process[] = Array.from({ length: random.int(1, 4) }, () => {
      const store = leases.store()
      const guard = new ConcurrencyGuard({
        clock,
        redis: store,
        random: random.next,
        leaseMs: LEASE_MS,
        onStoreLoss: isStrict ? 'closed' : 'local',
        timeoutMs: 2000,
        graceMs: 500,
      })
      return { guard, store, running: new Map(), callers: new Set() }
    })
    const lastFence = new Map<string, number>()

    /** Of one key: in a process one; in all of them one that has its lease and is not too late. */
    const check = () => {
      for (const key of KEYS) {
        const working = processes.map(({ running }) =>
          [...running].flatMap(([operation, of]) => (of === key && !operation.ended ? [operation] : [])),
        )
        if (working.some(({ length }) => length > 1)) t.fail(`two of ${key} in one process`)
        const sure = working.flat().filter(({ degraded, signal }) => !degraded && !signal.aborted)
        if (sure.length > 1) t.fail(`two of ${key} with a lease`)
      }
    }

    const begin = (process: Process) => {
      const key = random.pick(KEYS)
      const controller = new AbortController()
      process.callers.add(controller)
      const options = { signal: controller.signal, maxWaiting: random.pick([0, 0, 1, 3]), maxWaitMs: 300 }
      process.guard.begin(key, options).then(
        (operation) => {
          begun += 1
          process.running.set(operation, key)
          const { fence } = operation
          if (fence === undefined) {
            if (isStrict) t.fail('began without a lease')
            return
          }
          if (fence <= (lastFence.get(key) ?? 0)) t.fail(`fence ${fence} came late`)
          lastFence.set(key, fence)
        },
        () => {
          refused += 1
        },
      )
    }

    for (let step = 0; step < 150; step += 1) {
      const process = random.pick(processes)
      const dice = random.next()
      if (dice < 0.45) begin(process)
      else if (dice < 0.75) {
        const [operation] = process.running.keys()
        if (operation !== undefined) {
          process.running.delete(operation)
          operation.end()
        }
      } else if (dice < 0.82) {
        const [controller] = process.callers
        if (controller !== undefined) process.callers.delete(controller)
        controller?.abort()
      } else if (dice < 0.85) process.store.lose(random.next() < 0.3)
      else if (dice < 0.92) process.store.restore()
      else await clock.advance(random.int(1, 400))
      if (random.next() < 0.5) await clock.advance(0)
      check()
    }

    for (const { store } of processes) store.restore()
    for (const { running } of processes) for (const operation of running.keys()) operation.end()
    await clock.advance(0)
    for (const { callers } of processes) for (const controller of callers) controller.abort()
    await clock.advance(10_000)
    for (const { guard } of processes) {
      const { held, waiting, unreturned } = guard.snapshot()
      if (held + waiting + unreturned > 0) t.fail(`left: ${JSON.stringify(guard.snapshot())}`)
    }
    if (leases.count > 0) t.fail('a lease is left')
    if (clock.pendingTimers > 0) t.fail('a timer is left')
    for (const { guard } of processes) await guard.close()
  }
  t.comment(`${begun} operations, ${refused} refusals`)
  t.ok(begun > 500 && refused > 500)
})
