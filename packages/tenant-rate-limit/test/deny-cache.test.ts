import { seededRandom } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { DenyCache } from '../src/deny-cache.ts'
import { type Claim, claim, type Decision, type Policy } from '../src/index.ts'
import { MemoryStore } from '../src/memory-store.ts'
import { microseconds } from '../src/token-bucket.ts'
import { policyOf } from './policy-of.ts'

/** A store that answers after a round trip, and a process before it with a cache. */
class Fleet {
  nowMs = 0
  asked = 0
  readonly store = new MemoryStore({
    clock: { nowMs: () => this.nowMs, wallMs: () => 0, schedule: () => () => {} },
  })
  readonly #events: { atMs: number; run: () => void }[] = []

  /** Runs what is due until then. */
  advance(toMs: number): void {
    for (;;) {
      const [next] = this.#events
      if (next === undefined || next.atMs > toMs) break
      this.#events.shift()
      this.nowMs = next.atMs
      next.run()
    }
    this.nowMs = toMs
  }

  after(delayMs: number, run: () => void): void {
    const event = { atMs: this.nowMs + delayMs, run }
    const later = this.#events.findIndex(({ atMs }) => atMs > event.atMs)
    this.#events.splice(later === -1 ? this.#events.length : later, 0, event)
  }
}

/** One process: its clock has nothing to do with the store's. */
class Process {
  readonly #fleet: Fleet
  readonly #cache: DenyCache | undefined
  readonly #aheadMs: number
  readonly #roundTripMs: number

  constructor(fleet: Fleet, cache: DenyCache | undefined, aheadMs = 0, roundTripMs = 0.5) {
    this.#fleet = fleet
    this.#cache = cache
    this.#aheadMs = aheadMs
    this.#roundTripMs = roundTripMs
  }

  /** Answers at once when the cache refuses. */
  request(
    claims: readonly Claim[],
    onDecision: (decision: Decision) => void = () => {},
    mayComeBack = false,
  ): boolean {
    const nowUs = () => microseconds(this.#fleet.nowMs + this.#aheadMs)
    const askedAtUs = nowUs()
    const refusal = this.#cache?.refusal(claims, askedAtUs)
    if (refusal !== undefined) {
      onDecision(refusal)
      return false
    }
    this.#fleet.asked += 1
    const asked = this.#cache?.ask(claims) ?? []
    this.#fleet.after(this.#roundTripMs / 2, () => {
      const decision = this.#fleet.store.decide(claims, 'consume')
      this.#fleet.after(this.#roundTripMs / 2, () => {
        this.#cache?.learn(claims, asked, decision, askedAtUs, nowUs(), mayComeBack)
        onDecision(decision)
      })
    })
    return true
  }
}

function exhaust(fleet: Fleet, process: Process, policy: Policy, one: Claim): void {
  for (let taken = 0; taken <= policy.capacity; taken += 1) {
    process.request([one])
    fleet.advance(fleet.nowMs + 1)
  }
}

const perMinute = policyOf('perMinute', '10/minute')

t.test('refuses by itself until the very moment when the store would let it pass', async (t) => {
  const fleet = new Fleet()
  const process = new Process(fleet, new DenyCache({ floorMs: 0 }), 1_000_000, 4)
  const one = claim(perMinute, 'acme', 'all')
  // All of them reach the store after 2 ms: from 6,002 on it has one more.
  for (let taken = 0; taken < 10; taken += 1) process.request([one])
  fleet.advance(10)
  const refusals: Decision[] = []
  let passedAtMs: number | undefined
  while (passedAtMs === undefined && fleet.nowMs < 10_000) {
    process.request([one], (decision) => {
      if (decision.allowed) passedAtMs = fleet.nowMs
      else refusals.push(decision)
    })
    fleet.advance(fleet.nowMs + 1)
  }
  t.equal(passedAtMs, 6004, 'the first question that could pass was asked')
  t.equal(fleet.asked, 11, 'and no other')
  t.ok(refusals.length > 5980)
  t.match(refusals[0], { allowed: false, violated: ['perMinute'], source: 'denied-locally' })
  t.match(refusals.at(-1)?.verdicts, [{ allowed: false, remaining: 0 }])
})

t.test('the wait that it tells is one after which a retry succeeds', async (t) => {
  const fleet = new Fleet()
  const process = new Process(fleet, new DenyCache({ floorMs: 0 }))
  const one = claim(perMinute, 'acme', 'all')
  exhaust(fleet, process, perMinute, one)
  fleet.advance(1000)
  let retryAfterMs = 0
  const sent = process.request([one], (decision) => {
    retryAfterMs = decision.retryAfterMs
  })
  t.equal(sent, false)
  t.ok(retryAfterMs >= 5000 && retryAfterMs <= 5002, `${retryAfterMs}`)
  fleet.advance(1000 + retryAfterMs)
  t.equal(fleet.store.decide([one], 'peek').allowed, true)
  t.equal(process.request([one]), true)
})

t.test('knows at once that the last unit is gone, and that less may fit where more does not', async (t) => {
  const fleet = new Fleet()
  const process = new Process(fleet, new DenyCache())
  const costs = (cost: number) => [claim(perMinute, 'acme', 'all', cost)]
  process.request(costs(6))
  fleet.advance(1)
  t.equal(process.request(costs(6)), false, 'four are left')
  t.equal(process.request(costs(4)), true)
  fleet.advance(2)
  t.equal(process.request(costs(1)), false)
  t.equal(process.request(costs(0)), true, 'nothing always fits')
})

t.test('a pause after a refusal is for what costs as much, not for less', async (t) => {
  const fleet = new Fleet()
  const process = new Process(fleet, new DenyCache())
  const costs = (cost: number) => [claim(perMinute, 'acme', 'all', cost)]
  process.request(costs(3))
  process.request(costs(8))
  fleet.advance(1)
  for (let again = 0; again < 20; again += 1) t.equal(process.request(costs(8)), false)
  t.equal(process.request(costs(7)), true)
})

t.test('remembers other terms as if they were another bucket, and forgets what is given back', async (t) => {
  const fleet = new Fleet()
  const cache = new DenyCache({ floorMs: 0 })
  const process = new Process(fleet, cache)
  const one = claim(perMinute, 'acme', 'all')
  exhaust(fleet, process, perMinute, one)
  t.equal(process.request([claim(policyOf('perMinute', '100/minute'), 'acme', 'all')]), true)
  exhaust(fleet, process, perMinute, one)
  t.equal(process.request([one]), false)
  cache.forget([one])
  t.equal(process.request([one]), true)
})

t.test('shadow policies are not remembered, nor what may come back for longer than the floor', async (t) => {
  const fleet = new Fleet()
  const cache = new DenyCache()
  const process = new Process(fleet, cache)
  const shadow = policyOf('shadow', '1/minute shadow')
  exhaust(fleet, process, shadow, claim(shadow, 'acme', 'all'))
  t.equal(cache.size, 0)
  const one = claim(perMinute, 'acme', 'all')
  for (let taken = 0; taken <= 10; taken += 1) process.request([one], undefined, true)
  fleet.advance(fleet.nowMs + 1)
  t.equal(process.request([one], undefined, true), false)
  fleet.advance(fleet.nowMs + 25)
  t.equal(process.request([one], undefined, true), true, 'another process may have given something back')
})

t.test('names all that it knows to be violated, with the longest wait', async (t) => {
  const fleet = new Fleet()
  const process = new Process(fleet, new DenyCache())
  const perHour = policyOf('perHour', '10/hour')
  const both = [claim(perMinute, 'acme', 'all', 10), claim(perHour, 'acme', 'all', 10)]
  process.request(both)
  fleet.advance(1)
  let decision: Decision | undefined
  process.request(
    [claim(perMinute, 'acme', 'all'), claim(perHour, 'acme', 'all'), claim(perHour, 'b', 'c')],
    (own) => {
      decision = own
    },
  )
  t.match(decision, { violated: ['perMinute', 'perHour'], source: 'denied-locally' })
  t.equal(decision?.verdicts.length, 2, 'nothing is known of the third')
  t.ok((decision?.retryAfterMs ?? 0) > 300_000)
  fleet.advance(10_000)
  process.request([claim(perMinute, 'acme', 'all'), claim(perHour, 'acme', 'all')], (own) => {
    decision = own
  })
  t.strictSame(decision?.violated, ['perHour'])
  t.match(decision?.verdicts, [
    { allowed: true, remaining: 1 },
    { allowed: false, remaining: 0 },
  ])
})

t.test('a question without an answer changes nothing', async (t) => {
  const cache = new DenyCache()
  const one = claim(perMinute, 'acme', 'all')
  const store = new MemoryStore({ clock: { nowMs: () => 0, wallMs: () => 0, schedule: () => () => {} } })
  const ten = [claim(perMinute, 'acme', 'all', 10)]
  cache.learn(ten, cache.ask(ten), store.decide(ten, 'consume'), 0, 0, false)
  t.equal(cache.size, 1)
  const asked = cache.ask([one])
  cache.learn([one], asked, undefined, 0, 0, false)
  t.equal(cache.refusal([one], 6_000_000), undefined)
})

t.test('a clock may begin anywhere', async (t) => {
  const fleet = new Fleet()
  const process = new Process(fleet, new DenyCache(), -1_000_000)
  const one = claim(perMinute, 'acme', 'all')
  process.request([one], undefined, true)
  exhaust(fleet, process, perMinute, one)
  t.equal(process.request([one], undefined, true), false)
  fleet.advance(fleet.nowMs + 6000)
  t.equal(process.request([one], undefined, true), true)
  fleet.advance(fleet.nowMs + 1)
  const other = claim(perMinute, 'globex', 'all')
  for (let taken = 0; taken <= 10; taken += 1) process.request([other], undefined, true)
  fleet.advance(fleet.nowMs + 1)
  t.equal(process.request([other], undefined, true), false)
  fleet.advance(fleet.nowMs + 25)
  t.equal(process.request([other], undefined, true), true, 'not known to be empty, only paused')
})

t.test('what was forgotten leaves a gap, and the others still go in their order', async (t) => {
  const cache = new DenyCache({ maxKeys: 3 })
  const store = new MemoryStore({ clock: { nowMs: () => 0, wallMs: () => 0, schedule: () => () => {} } })
  const empty = (scope: string) => {
    const all = [claim(perMinute, 'acme', scope, 10)]
    cache.learn(all, cache.ask(all), store.decide(all, 'consume'), 0, 0, false)
  }
  const known = () =>
    ['a', 'b', 'c', 'd', 'e', 'f'].filter(
      (scope) => cache.refusal([claim(perMinute, 'acme', scope)], 0) !== undefined,
    )
  for (const scope of ['a', 'b', 'c']) empty(scope)
  cache.forget([claim(perMinute, 'acme', 'b'), claim(perMinute, 'acme', 'unknown')])
  t.strictSame(known(), ['a', 'c'])
  empty('d')
  t.strictSame(known(), ['c', 'd'])
  empty('e')
  t.strictSame(known(), ['c', 'd', 'e'])
  empty('f')
  t.strictSame(known(), ['d', 'e', 'f'])
})

t.test('keeps so many buckets, and lets the first one go', async (t) => {
  const fleet = new Fleet()
  const cache = new DenyCache({ maxKeys: 10 })
  const process = new Process(fleet, cache)
  for (let key = 0; key < 100; key += 1) {
    process.request([claim(perMinute, 'acme', `${key}`, 10)])
    fleet.advance(fleet.nowMs + 1)
  }
  t.equal(cache.size, 10)
  t.equal(process.request([claim(perMinute, 'acme', '99')]), false)
  t.equal(process.request([claim(perMinute, 'acme', '0')]), true, 'it costs a question')
  fleet.advance(fleet.nowMs + 120_000)
  process.request([claim(perMinute, 'acme', '99')])
  t.ok(cache.size < 10, 'what is full again goes when it is met')
})

t.test('refuses options it cannot work with', async (t) => {
  for (const options of [{ maxKeys: 0 }, { floorMs: -1 }, { floorMs: 1001 }]) {
    t.throws(() => new DenyCache(options), { code: 'HOLDFAST_ERR_TENANT_RATE_LIMIT_OPTION' })
  }
})

interface Flood {
  readonly processes: number
  readonly limit: string
  readonly factor: number
  readonly seconds: number
  /** Default: no cache. */
  readonly floorMs?: number
}

/** A tenant that asks for `factor` times what it has, in a fleet; the shares of questions and of the ideal. */
function flood(t: Test, { processes, limit, factor, seconds, floorMs }: Flood) {
  const random = seededRandom()
  random.announce(t)
  const policy = policyOf('flooded', limit)
  const fleet = new Fleet()
  const all = Array.from({ length: processes }, (_, at) => {
    const cache = floorMs === undefined ? undefined : new DenyCache({ floorMs })
    return new Process(fleet, cache, at * 300_000)
  })
  const claims = [claim(policy, 'acme', 'all')]
  const perSecond = policy.refillPerSecond * factor
  const total = Math.floor(perSecond * seconds)
  let admitted = 0
  for (let request = 0; request < total; request += 1) {
    fleet.advance((request / perSecond) * 1000)
    random.pick(all).request(claims, ({ allowed }) => {
      if (allowed) admitted += 1
    })
  }
  fleet.advance(fleet.nowMs + 10)
  const most = policy.capacity + policy.refillPerSecond * seconds
  t.ok(admitted <= most + 1)
  return { questions: fleet.asked / total, admitted, ofIdeal: admitted / Math.min(total, most) }
}

t.test(
  'in a flood of 100 times the limit hardly anybody is asked for, and all that comes back is used',
  async (t) => {
    for (const processes of [1, 4, 8]) {
      for (const [limit, seconds] of [
        ['100 per 60s refill 2/s', 300],
        ['100/s', 10],
        ['1000/s', 3],
      ] as const) {
        const { questions, ofIdeal } = flood(t, { processes, limit, factor: 100, seconds, floorMs: 20 })
        const what = `${processes} x ${limit}: asked for ${questions}, admitted ${ofIdeal}`
        // What was in the bucket at first is asked for, too.
        const first = 1 / (100 * seconds) / (limit.startsWith('100 per') ? 0.02 : 1)
        t.ok(questions - first <= 0.02, what)
        t.ok(ofIdeal >= 0.99, what)
      }
    }
  },
)

t.test('who asks for a little too much gets as much as without a cache', async (t) => {
  for (const limit of ['200/s', '500/s burst 2', '500/s burst 1', '1000/s burst 50']) {
    const plan = { processes: 4, limit, factor: 1.5, seconds: 10 }
    const without = flood(t, plan)
    t.equal(without.questions, 1)
    for (const floorMs of [0, 20]) {
      const { admitted } = flood(t, { ...plan, floorMs })
      t.ok(admitted >= 0.97 * without.admitted, `${limit}: ${admitted} of ${without.admitted}`)
    }
  }
})
