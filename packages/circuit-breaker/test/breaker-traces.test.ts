import { type SeededRandom, seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { Breaker, type BreakerRules } from '../src/breaker.ts'
import { resolveOptions } from '../src/options.ts'
import type { Outcome } from '../src/outcome.ts'
import { SlowBreaker, type SlowPermit } from './slow-breaker.ts'

const traces = 300
const steps = 300
const outcomes: readonly Outcome[] = ['success', 'failure', 'failure', 'ignored', 'abandoned']

function rulesOf(random: SeededRandom, chance: () => number): BreakerRules {
  return resolveOptions({
    failureThreshold: random.pick([1, 2, 3, 5, Number.POSITIVE_INFINITY]),
    failureRate: random.pick([0.1, 0.3, 0.5, 1, Number.POSITIVE_INFINITY]),
    slowCallMs: random.pick([0, 5, 20, Number.POSITIVE_INFINITY]),
    slowCallRate: random.pick([0.3, 1, Number.POSITIVE_INFINITY]),
    windowMs: random.pick([10, 100, 1000]),
    minimumCalls: random.pick([1, 3, 10]),
    openMs: random.pick([1, 30, 100]),
    openGrowth: random.pick([1, 2]),
    maxOpenMs: 200,
    openJitter: random.pick([0, 0.5]),
    probes: random.pick([1, 2, 5]),
    probeLeaseMs: random.pick([5, 50]),
    probing: random.pick(['calls', 'calls', 'manual']),
    rampMs: random.pick([0, 50]),
    rampFrom: random.pick([0, 0.5]),
    shadow: random.next() < 0.1,
    random: chance,
  })
}

t.test('agrees with a breaker that keeps every call and counts anew, in random traces', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const seen = { closed: 0, open: 0, 'half-open': 0 }
  let refused = 0
  for (let trace = 0; trace < traces; trace += 1) {
    // Both throw the same dice, each in its own order of asking.
    const seed = random.int(0, 2 ** 31)
    const dice = () => {
      let state = seed
      return () => {
        state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
        return state / 2 ** 31
      }
    }
    const rules = rulesOf(random, dice())
    let nowMs = random.int(0, 100)
    const breaker = new Breaker(rules, nowMs, () => {})
    const slow = new SlowBreaker({ ...rules, random: dice() }, nowMs)
    if (rules.shadow) slow.shadows += 1
    const running: SlowPermit[] = []
    const overlays: ('held' | 'isolated')[] = []
    for (let step = 0; step < steps; step += 1) {
      nowMs += random.pick([0, 0, 1, 2, random.int(0, 40)])
      const action = random.int(0, 99)
      if (action < 48 || (action < 56 && rules.probing === 'manual')) {
        const byOwner = action >= 48
        const permit = byOwner ? breaker.acquireProbe(nowMs) : breaker.acquire(nowMs)
        const twin = slow.acquire(nowMs, byOwner)
        if ((permit === undefined) !== (twin === undefined)) {
          throw new Error(
            `trace ${trace}, step ${step}: only one admits, at ${nowMs} ms in state ${slow.state}`,
          )
        }
        if (permit === undefined || twin === undefined) refused += 1
        else {
          twin.twin = permit
          running.push(twin)
        }
      } else if (action < 92 && running.length > 0) {
        const permit = random.pick(running)
        // A few are settled twice, and late ones stay on the list.
        if (random.next() < 0.9) running.splice(running.indexOf(permit), 1)
        const outcome = random.pick(outcomes)
        if (permit.twin !== undefined) breaker.settle(permit.twin, outcome, nowMs)
        slow.settle(permit, outcome, nowMs)
      } else if (action === 92) {
        breaker.trip('a test', nowMs)
        slow.trip(nowMs)
      } else if (action === 93) {
        const kind = random.pick(['held', 'isolated'] as const)
        overlays.push(kind)
        breaker.hold(kind, 'a test', nowMs)
        slow.overlay(kind, nowMs)
      } else if (action < 97) {
        const kind = overlays.pop()
        if (kind !== undefined) {
          breaker.release(kind)
          slow.release(kind)
        }
      } else if (action === 97) {
        breaker.beginShadow()
        slow.shadows += 1
      } else if (action === 98 && slow.shadows > (rules.shadow ? 1 : 0)) {
        breaker.endShadow()
        slow.shadows -= 1
      }
      seen[breaker.state] += 1
      if (breaker.state !== slow.state) {
        throw new Error(`trace ${trace}, step ${step}: is ${breaker.state}, should be ${slow.state}`)
      }
    }
  }
  t.ok(Math.min(seen.closed, seen.open, seen['half-open'], refused) > traces, 'the traces went everywhere')
})
