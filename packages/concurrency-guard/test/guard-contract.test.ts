import { GuardedRedis } from '@holdfast/redis-guard'
import { contractSuite, freePort, type RealServer, startRedis, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { ConcurrencyGuard, type ConcurrencyGuardOptions, type HeldOperation } from '../src/index.ts'

interface Subject {
  readonly make: (options?: ConcurrencyGuardOptions) => ConcurrencyGuard
  readonly key: string
}

const conflict = { code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_CONFLICT', statusCode: 429, retryAfterSeconds: 30 }

let redis: RealServer | undefined
let door: GuardedRedis
let subjects = 0

/** A guard on a door that is open, on one that leads nowhere, and on none. */
function implementation(name: string, withDoor: boolean) {
  const guards: ConcurrencyGuard[] = []
  return {
    name,
    setUp: (): Subject => {
      subjects += 1
      const make = (options: ConcurrencyGuardOptions = {}) => {
        const guard = new ConcurrencyGuard({ redis: withDoor ? door : undefined, ...options })
        guards.push(guard)
        return guard
      }
      return { make, key: `subject-${subjects}` }
    },
    tearDown: async () => {
      for (const guard of guards.splice(0)) {
        t.match(guard.snapshot(), { held: 0, waiting: 0, unreturned: 0 })
        await guard.close()
      }
    },
  }
}

await contractSuite<Subject, Test>(
  t,
  'a guard',
  [
    implementation('in memory', false),
    {
      ...implementation('on Redis', true),
      open: async () => {
        redis = await startRedis()
        door = new GuardedRedis({ url: redis.url, budgetMs: 5000 })
        await door.ready(10_000)
      },
      close: async () => {
        await door.close()
        await redis?.stop()
      },
    },
    {
      ...implementation('on a Redis that is not there', true),
      open: async () => {
        door = new GuardedRedis({ url: `redis://127.0.0.1:${await freePort()}`, budgetMs: 5000 })
      },
      close: () => door.close(),
    },
  ],
  {
    'lets one of many begin, and tells the others at once': async (t, { make, key }) => {
      const guard = make()
      const attempts = await Promise.allSettled(Array.from({ length: 50 }, () => guard.begin(key)))
      const begun = attempts.flatMap((attempt) => (attempt.status === 'fulfilled' ? [attempt.value] : []))
      t.equal(begun.length, 1)
      for (const attempt of attempts) if (attempt.status === 'rejected') t.match(attempt.reason, conflict)
      await begun[0]?.end()
      await (await guard.begin(key)).end()
    },
    'gives the key back however the work ends': async (t, { make, key }) => {
      const guard = make()
      const thrown = new Error('no')
      t.equal(await guard.run(key, {}, () => 1), 1)
      await t.rejects(
        guard.run(key, {}, () => Promise.reject(thrown)),
        thrown,
      )
      t.equal(await guard.run(key, {}, async () => 2), 2)
    },
    'serves those who wait in the order in which they came': async (t, { make, key }) => {
      const guard = make({ maxWaiting: 10, maxWaitMs: 60_000 })
      const order: number[] = []
      await Promise.all(
        Array.from({ length: 10 }, (_, place) =>
          guard.run(key, {}, async () => {
            order.push(place)
          }),
        ),
      )
      t.strictSame(order, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    },
    'tells a caller that left, and keeps nothing for it': async (t, { make, key }) => {
      const guard = make({ maxWaiting: 1 })
      const first = await guard.begin(key)
      const controller = new AbortController()
      const waiting = guard.begin(key, { signal: controller.signal })
      controller.abort()
      await t.rejects(waiting, { code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_ABORTED' })
      await first.end()
      await (await guard.begin(key)).end()
    },
    'takes the key from work that does not stop': async (t, { make, key }) => {
      const guard = make({ timeoutMs: 20, graceMs: 20 })
      const late = await guard.begin(key)
      let next: HeldOperation | undefined
      await waitUntil(async () => {
        next = await guard.begin(key).catch(() => undefined)
        return next !== undefined
      })
      t.equal(late.ended, true)
      t.equal(late.signal.aborted, true)
      await late.end()
      await t.rejects(guard.begin(key), conflict)
      await next?.end()
    },
    'keeps keys apart, also those that look alike': async (t, { make, key }) => {
      const guard = make()
      const keys = [
        [key],
        [key, 'a'],
        ['a', key],
        [`${key},a`],
        [key, 'a', 'b'],
        [`${key}}`],
        [`{${key}`],
      ] as const
      const begun = []
      for (const parts of keys) begun.push(await guard.begin([...parts] as [string]))
      for (const operation of begun) await operation.end()
      t.equal(guard.snapshot().ended, keys.length)
    },
    'resolves its close when everything is given back': async (t, { make, key }) => {
      const guard = make()
      const operation = await guard.begin(key)
      let closed = false
      const closing = guard.close().then(() => {
        closed = true
      })
      await t.rejects(guard.begin(key), { code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_CLOSED' })
      t.equal(closed, false)
      await operation.end()
      await closing
    },
  },
)
