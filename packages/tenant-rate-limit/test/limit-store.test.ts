import { GuardedRedis } from '@holdfast/redis-guard'
import { contractSuite, HandClock, startRedis, startRedisCluster } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { claim, Policies, type Policy } from '../src/index.ts'
import { MemoryStore } from '../src/memory-store.ts'
import { RedisStore } from '../src/redis-store.ts'
import type { LimitStore } from '../src/store.ts'
import { policyOf } from './policy-of.ts'

/** A store, and a way to let time pass. */
interface Subject {
  readonly store: LimitStore
  /** Lets at least so much of the store's time pass. */
  readonly pass: (ms: number) => Promise<unknown>
  /** Scopes of one behaviour are its own. */
  readonly scope: string
  readonly close: () => Promise<void>
}

let scopes = 0

const memory = {
  name: 'memory',
  setUp(): Subject {
    const clock = new HandClock()
    const store = new MemoryStore({ clock })
    scopes += 1
    return { store, pass: (ms) => clock.advance(ms), scope: `scope-${scopes}`, close: () => store.close() }
  },
  tearDown: (subject: Subject) => subject.close(),
}

function onRedis(
  name: string,
  start: () => Promise<{ settings: object; stop: () => Promise<void> }>,
): typeof memory & { open(): Promise<void>; close(): Promise<void> } {
  let guard: GuardedRedis
  let stop: () => Promise<void>
  return {
    name,
    async open() {
      const world = await start()
      stop = world.stop
      // Generous: this is about what is answered, on a machine that may be busy.
      guard = new GuardedRedis({ ...world.settings, budgetMs: 5000 })
      await guard.ready(10_000)
    },
    setUp() {
      scopes += 1
      const store = new RedisStore(guard)
      return {
        store,
        // By the clock of the server, whose time is this machine's.
        async pass(ms) {
          const end = performance.now() + ms
          while (performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 1))
        },
        scope: `scope-${scopes}`,
        close: () => store.close(),
      }
    },
    tearDown: (subject) => subject.close(),
    async close() {
      await guard.close()
      await stop()
    },
  }
}

const single = onRedis('Redis', async () => {
  const server = await startRedis()
  return { settings: { url: server.url }, stop: () => server.stop() }
})

const cluster = onRedis('a cluster', async () => {
  const nodes = await startRedisCluster()
  return { settings: { cluster: nodes.addresses }, stop: () => nodes.stop() }
})

/** Refills so slowly that nothing comes back while a test runs. */
const ten = policyOf('ten', '10/day')
const three = policyOf('three', '3/day')
const shadow = policyOf('shadow', '1/day shadow')

function remaining(decision: { verdicts: readonly { remaining: number }[] }): number[] {
  return decision.verdicts.map((verdict) => verdict.remaining)
}

await contractSuite<Subject, Test>(t, 'LimitStore', [memory, single, cluster], {
  'takes units until there are none, and says when there will be': async (t, { store, scope }) => {
    const claims = [claim(three, 'acme', scope)]
    for (const left of [2, 1, 0]) {
      const decision = await store.decide(claims, 'consume')
      t.match(decision, { allowed: true, violated: [], retryAfterMs: 0, degraded: false })
      t.strictSame(remaining(decision), [left])
    }
    for (const _ of [1, 2, 3]) {
      const decision = await store.decide(claims, 'consume')
      t.match(decision, { allowed: false, violated: ['three'], verdicts: [{ allowed: false, remaining: 0 }] })
      t.ok(decision.retryAfterMs > 28_000_000 && decision.retryAfterMs <= 28_800_000, 'a third of a day')
      t.equal(decision.verdicts[0]?.retryAfterMs, decision.retryAfterMs)
      const resetMs = decision.verdicts[0]?.resetMs ?? 0
      t.ok(resetMs > 86_000_000 && resetMs <= 86_400_000)
    }
  },
  'takes what a request costs, and never lets pass what costs more than the capacity': async (
    t,
    { store, scope },
  ) => {
    const costs = (cost: number) => store.decide([claim(ten, 'acme', scope, cost)], 'consume')
    t.strictSame(remaining(await costs(4)), [6])
    t.match(await costs(7), { allowed: false, verdicts: [{ remaining: 6 }] })
    t.match(await costs(11), { allowed: false, retryAfterMs: Number.POSITIVE_INFINITY })
    t.match(await costs(Number.MAX_SAFE_INTEGER), { allowed: false, retryAfterMs: Number.POSITIVE_INFINITY })
    t.match(await costs(0), { allowed: true, verdicts: [{ remaining: 6 }] })
    t.match(await costs(6), { allowed: true, verdicts: [{ remaining: 0 }] })
    t.match(await costs(0), { allowed: true, verdicts: [{ remaining: 0 }] })
  },
  'takes from all buckets or from none': async (t, { store, scope }) => {
    const claims = [
      claim(ten, 'acme', scope),
      claim(three, 'acme', scope),
      claim(ten, 'acme', `${scope}-b`, 2),
    ]
    for (const left of [
      [9, 2, 8],
      [8, 1, 6],
      [7, 0, 4],
    ]) {
      t.strictSame(remaining(await store.decide(claims, 'consume')), left)
    }
    for (const _ of [1, 2]) {
      const decision = await store.decide(claims, 'consume')
      t.match(decision, { allowed: false, violated: ['three'] })
      t.strictSame(remaining(decision), [7, 0, 4])
      t.strictSame(
        decision.verdicts.map(({ allowed }) => allowed),
        [true, false, true],
      )
    }
    t.strictSame(remaining(await store.decide(claims, 'peek')), [7, 0, 4])
  },
  'names every policy that refuses, with the longest of their waits': async (t, { store, scope }) => {
    const claims = [claim(ten, 'acme', scope, 10), claim(three, 'acme', scope, 3)]
    await store.decide(claims, 'consume')
    const decision = await store.decide(
      [claim(ten, 'acme', scope, 1), claim(three, 'acme', scope, 1), claim(ten, 'acme', `${scope}-b`)],
      'consume',
    )
    t.strictSame(decision.violated, ['ten', 'three'])
    t.equal(decision.retryAfterMs, decision.verdicts[1]?.retryAfterMs)
  },
  'takes from several slots, and a refusal by the last gives back what the first have taken': async (
    t,
    { store, scope },
  ) => {
    const ceiling = claim(three, `fleet-${scope}`, 'all')
    const claims = [
      claim(ten, 'acme', scope),
      ceiling,
      claim(ten, 'globex', scope),
      claim(ten, 'acme', `${scope}-b`),
    ]
    for (const _ of [1, 2, 3]) t.equal((await store.decide(claims, 'consume')).allowed, true)
    for (const _ of [1, 2]) {
      const decision = await store.decide(claims, 'consume')
      t.match(decision, { allowed: false, violated: ['three'] })
    }
    t.strictSame(remaining(await store.decide([claim(ten, 'acme', scope)], 'peek')), [7])
    t.strictSame(
      (
        await store.decide([claim(ten, 'acme', scope, 0), claim(ten, 'acme', `${scope}-b`, 0)], 'peek')
      ).verdicts.map((verdict) => verdict.remaining),
      [7, 7],
    )
    t.strictSame(remaining(await store.decide([claim(ten, 'globex', scope, 0)], 'peek')), [7])
  },
  'names what refuses in every slot, and the longest of their waits': async (t, { store, scope }) => {
    const own = claim(ten, 'acme', scope, 10)
    const ceiling = claim(three, `fleet-${scope}`, 'all', 3)
    await store.decide([own, ceiling], 'consume')
    const other = claim(ten, 'globex', scope)
    const decision = await store.decide([own, other, ceiling], 'consume')
    t.strictSame(decision.violated, ['ten', 'three'])
    t.strictSame(
      decision.verdicts.map(({ allowed }) => allowed),
      [false, true, false],
    )
    t.equal(
      decision.retryAfterMs,
      Math.max(...decision.verdicts.map(({ retryAfterMs }) => retryAfterMs)),
      'whoever comes back then is let pass',
    )
    t.strictSame(remaining(await store.decide([claim(ten, 'globex', scope, 0)], 'peek')), [10])
  },
  'counts two claims on one bucket one after the other': async (t, { store, scope }) => {
    const twice = [claim(three, 'acme', scope), claim(three, 'acme', scope)]
    t.strictSame(remaining(await store.decide(twice, 'consume')), [2, 1])
    const decision = await store.decide(twice, 'consume')
    t.equal(decision.allowed, false)
    t.strictSame(
      decision.verdicts.map(({ allowed }) => allowed),
      [true, false],
    )
    t.strictSame(remaining(await store.decide([claim(three, 'acme', scope, 0)], 'peek')), [1])
  },
  'a shadow policy tells and refuses nobody, and takes nothing it does not have': async (
    t,
    { store, scope },
  ) => {
    const claims = [claim(shadow, 'acme', scope), claim(ten, 'acme', scope)]
    t.match(await store.decide(claims, 'consume'), { allowed: true, verdicts: [{ allowed: true }, {}] })
    const second = await store.decide(claims, 'consume')
    t.match(second, { allowed: true, violated: [], retryAfterMs: 0, verdicts: [{ allowed: false }, {}] })
    t.strictSame(remaining(second), [0, 8])
    const alone = await store.decide([claim(shadow, 'acme', scope)], 'consume')
    t.match(alone, { allowed: true, violated: [], verdicts: [{ allowed: false, remaining: 0 }] })
    t.ok((alone.verdicts[0]?.resetMs ?? 0) <= 86_400_000, 'it was not taken from')
  },
  'peeking takes nothing': async (t, { store, scope }) => {
    const claims = [claim(three, 'acme', scope, 2)]
    for (const _ of [1, 2, 3]) t.match(await store.decide(claims, 'peek'), { allowed: true })
    t.strictSame(remaining(await store.decide(claims, 'consume')), [1])
    t.match(await store.decide(claims, 'peek'), { allowed: false, violated: ['three'] })
  },
  'keeps buckets apart by policy, tenant and scope, whatever they are called': async (
    t,
    { store, scope },
  ) => {
    const claims = [
      claim(three, 'a', scope),
      claim(three, 'a:b', scope),
      claim(three, 'a', `b:${scope}`),
      claim(three, '{a}', scope),
      claim(ten, 'a', scope),
      claim(three, '', scope),
      claim(three, '\ud800', scope),
      claim(three, '\ud801', scope),
      claim(three, 'x'.repeat(5000), scope),
      claim(three, `${'x'.repeat(4999)}y`, scope),
    ]
    for (const one of claims) {
      t.equal((await store.decide([one], 'consume')).verdicts[0]?.remaining, one.policy.capacity - 1)
    }
  },
  'refills by its clock': async (t, { store, pass, scope }) => {
    const fast = policyOf('fast', '2 per 100ms')
    const claims = [claim(fast, 'acme', scope)]
    const until = async (wanted: boolean) => {
      for (let asked = 0; ; asked += 1) {
        const decision = await store.decide(claims, 'consume')
        if (decision.allowed === wanted || asked > 1000) return decision
      }
    }
    const refused = await until(false)
    t.ok(refused.retryAfterMs > 0 && refused.retryAfterMs <= 50)
    await pass(refused.retryAfterMs)
    t.equal((await store.decide(claims, 'peek')).allowed, true, 'a retry at the time that was told succeeds')
    await pass(100)
    t.strictSame(remaining(await store.decide([claim(fast, 'acme', scope, 0)], 'peek')), [2])
  },
  'gives back what was taken, up to full': async (t, { store, scope }) => {
    const claims = [claim(three, 'acme', scope, 2), claim(ten, 'acme', scope)]
    await store.decide(claims, 'consume')
    await store.refund(claims)
    t.strictSame(remaining(await store.decide(claims, 'consume')), [1, 9])
    await store.refund(claims)
    await store.refund(claims)
    t.strictSame(remaining(await store.decide(claims, 'consume')), [1, 9], 'no fuller than full')
  },
  'forgets a bucket': async (t, { store, scope }) => {
    const claims = [claim(three, 'acme', scope, 3)]
    await store.decide(claims, 'consume')
    await store.forget(claims)
    t.strictSame(remaining(await store.decide(claims, 'consume')), [0])
  },
  'a change of the limit keeps the used fraction': async (t, { store, scope }) => {
    const policies = new Policies({ policies: { p: '100 per day burst 100' } })
    const now = () => policies.get('p') as Policy
    await store.decide([claim(now(), 'acme', scope, 50)], 'consume')
    const left = async () => remaining(await store.decide([claim(now(), 'acme', scope, 0)], 'peek'))[0]
    for (const [text, expected] of [
      ['100 per day burst 20', 10],
      ['100 per day burst 1000', 500],
      ['10 per day burst 1000', 500],
      ['100 per day burst 100', 50],
      ['1 per 300d burst 1', 0],
    ] as const) {
      policies.update({ policies: { p: text } })
      t.equal(await left(), expected, text)
    }
    await store.decide([claim(now(), 'acme', scope, 0)], 'consume')
    policies.update({ policies: { p: '100 per day burst 100' } })
    await store.decide([claim(now(), 'acme', scope, 30)], 'consume')
    policies.update({ policies: { p: '50 per day burst 10' } })
    t.equal(await left(), 2)
  },
  'many at once take no more than there is': async (t, { store, scope }) => {
    const claims = [claim(ten, 'acme', scope), claim(ten, `fleet-${scope}`, 'all')]
    const decisions = await Promise.all(Array.from({ length: 100 }, () => store.decide(claims, 'consume')))
    const allowed = decisions.filter((decision) => decision.allowed).length
    t.ok(allowed <= 10, `${allowed} were let pass`)
    await store.refund([claim(ten, 'acme', scope, 0)])
    t.strictSame(remaining(await store.decide([claim(ten, 'acme', scope, 0)], 'peek')), [10 - allowed])
    t.strictSame(remaining(await store.decide([claim(ten, `fleet-${scope}`, 'all', 0)], 'peek')), [
      10 - allowed,
    ])
  },
})
