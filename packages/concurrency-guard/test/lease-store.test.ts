import { GuardedRedis } from '@holdfast/redis-guard'
import { contractSuite, HandClock, type RealServer, startRedis } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import type { HeldLease, LeasedElsewhere, LeaseStore } from '../src/index.ts'
import { MemoryLeases } from './memory-leases.ts'

interface Subject {
  /** Two processes. */
  readonly one: LeaseStore
  readonly two: LeaseStore
  /** Lets at least so much time pass. */
  readonly pass: (ms: number) => Promise<unknown>
  readonly flush: () => Promise<unknown>
}

let redis: RealServer
let guards: GuardedRedis[]
let names = 0

function granted(answer: HeldLease | LeasedElsewhere): HeldLease {
  if (!answer.held) throw new Error('somebody else holds it')
  return answer
}

await contractSuite<Subject, Test>(
  t,
  'a lease store',
  [
    {
      name: 'in memory, as the tests use it',
      setUp: () => {
        const clock = new HandClock()
        const leases = new MemoryLeases(clock)
        return {
          one: leases.store(),
          two: leases.store(),
          pass: (ms) => clock.advance(ms),
          flush: async () => leases.clear(),
        }
      },
    },
    {
      name: 'Redis',
      open: async () => {
        redis = await startRedis()
        guards = [1, 2].map(() => new GuardedRedis({ url: redis.url, budgetMs: 5000 }))
        for (const guard of guards) await guard.ready(10_000)
      },
      setUp: () => {
        const [one, two] = guards as [GuardedRedis, GuardedRedis]
        return {
          one,
          two,
          pass: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
          flush: () => one.call('FLUSHALL'),
        }
      },
      close: async () => {
        for (const guard of guards) await guard.close()
        await redis.stop()
      },
    },
  ],
  {
    'grants a name to one at a time, each with a larger fence': async (t, { one, two }) => {
      const name = nextName()
      const first = granted(await one.lease.acquire(name, { leaseMs: 60_000 }))
      const other = await two.lease.acquire(name, { leaseMs: 60_000 })
      t.equal(other.held, false)
      t.ok(!other.held && other.retryAfterMs > 50_000 && other.retryAfterMs <= 60_000)
      t.equal(await first.release(), true)
      const second = granted(await two.lease.acquire(name, { leaseMs: 60_000 }))
      t.ok(second.fence > first.fence)
      t.equal(await first.release(), false, 'a late end does not end the next one')
      t.equal((await one.lease.acquire(name, { leaseMs: 60_000 })).held, false)
      await second.release()
    },
    'lets a lease run out that nobody renews': async (t, { one, two, pass }) => {
      const name = nextName()
      const first = granted(await one.lease.acquire(name, { leaseMs: 100 }))
      await pass(150)
      const second = granted(await two.lease.acquire(name, { leaseMs: 60_000 }))
      t.ok(second.fence > first.fence)
      t.equal(await first.release(), false)
      await second.release()
    },
    'renews a lease that is kept, until it is given back': async (t, { one, two, pass }) => {
      const name = nextName()
      const first = granted(await one.lease.acquire(name, { leaseMs: 2000 }))
      const signal = first.keep()
      t.equal(first.keep(), signal)
      for (let third = 0; third < 4; third += 1) await pass(700)
      t.equal(signal.aborted, false)
      t.equal((await two.lease.acquire(name, { leaseMs: 2000 })).held, false)
      t.equal(await first.release(), true)
    },
    'tells that a lease was lost': async (t, { one, pass, flush }) => {
      const first = granted(await one.lease.acquire(nextName(), { leaseMs: 300 }))
      const signal = first.keep()
      await flush()
      for (let waits = 0; waits < 100 && !signal.aborted; waits += 1) await pass(20)
      t.equal(signal.aborted, true)
    },
  },
)

function nextName(): [string, string] {
  names += 1
  return ['contract', `name-${names}`]
}
