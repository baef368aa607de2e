import { HandClock, seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { claim, type Decision, Policies, type PolicySource } from '../src/index.ts'
import { MemoryStore } from '../src/memory-store.ts'
import {
  HEADER_FAMILIES,
  policyItem,
  RateLimitHeaders,
  retryAfterSeconds,
} from '../src/rate-limit-headers.ts'
import { named, policyOf } from './policy-of.ts'

/** What is written for a decision. */
function written(decision: Decision, families = HEADER_FAMILIES): Record<string, string> {
  const seen: Record<string, string> = {}
  new RateLimitHeaders(families).write(
    {
      header(name, value) {
        seen[name] = value
      },
    },
    decision,
  )
  return seen
}

function decisions(source: PolicySource) {
  const clock = new HandClock()
  const store = new MemoryStore({ clock })
  const policy = policyOf('public', source)
  const decide = (cost = 1, mode: 'consume' | 'peek' = 'consume') =>
    store.decide([claim(policy, 'acme', 'all', cost)], mode)
  return { clock, decide }
}

t.test('q per w is the pace that can be kept up forever', async (t) => {
  for (const [source, item] of [
    ['10/minute', '"public";q=10;w=60'],
    ['100 per 60s burst 100 refill 2/s', '"public";q=100;w=50'],
    ['100 per 60s burst 20', '"public";q=20;w=12'],
    ['5 per 15m strict', '"public";q=3;w=900'],
    ['100 per 100ms', '"public";q=100;w=1'],
  ] as const) {
    t.equal(policyItem(policyOf('public', source)), item)
  }
})

t.test('r is what is left, and t the time for which it lasts at that pace', async (t) => {
  const { clock, decide } = decisions('10/minute')
  t.equal(written(decide())['ratelimit'], '"public";r=9;t=54')
  t.equal(written(decide(8))['ratelimit'], '"public";r=1;t=6')
  t.equal(written(decide())['ratelimit'], '"public";r=0;t=6', 'nothing left: until there is something')
  await clock.advance(2500)
  t.equal(written(decide(0))['ratelimit'], '"public";r=0;t=4')
  const refused = decide()
  t.equal(written(refused)['ratelimit'], '"public";r=0;t=4', 'refused: until it can pass')
  t.equal(retryAfterSeconds(refused), 4)
  await clock.advance(60_000)
  t.equal(written(decide(0))['ratelimit'], '"public";r=10;t=60', 'full')
})

t.test('older headers speak of the bucket with least left', async (t) => {
  const clock = new HandClock()
  const policies = new Policies({ policies: { wide: '100/minute', narrow: '4/minute' } })
  const claims = ['wide', 'narrow'].map((name) => claim(named(policies, name), 'acme', 'all'))
  const decision = new MemoryStore({ clock }).decide(claims, 'consume')
  t.strictSame(written(decision), {
    ratelimit: '"wide";r=99;t=60, "narrow";r=3;t=45',
    'ratelimit-policy': '"wide";q=100;w=60, "narrow";q=4;w=60',
    'x-ratelimit-limit': '4',
    'x-ratelimit-remaining': '3',
    'x-ratelimit-reset': '15',
    'x-rate-limit-remaining': '3',
    'x-rate-limit-reset': '15',
  })
  t.strictSame(Object.keys(written(decision, ['draft'])), ['ratelimit', 'ratelimit-policy'])
  t.strictSame(Object.keys(written(decision, ['x-rate-limit'])), [
    'x-rate-limit-remaining',
    'x-rate-limit-reset',
  ])
  t.strictSame(written(decision, []), {})
})

t.test('of two with equally little left, the one that is full later', async (t) => {
  const policies = new Policies({ policies: { minute: '4/minute', hour: '4/hour' } })
  const claims = ['minute', 'hour'].map((name) => claim(named(policies, name), 'acme', 'all'))
  const decision = new MemoryStore({ clock: new HandClock() }).decide(claims, 'consume')
  t.match(written(decision), { 'x-ratelimit-remaining': '3', 'x-ratelimit-reset': '900' })
})

t.test('a refusal shows the policies that refuse, and no others', async (t) => {
  const clock = new HandClock()
  const policies = new Policies({ policies: { wide: '100/minute', narrow: '1/minute' } })
  const claims = ['wide', 'narrow'].map((name) => claim(named(policies, name), 'acme', 'all'))
  const store = new MemoryStore({ clock })
  store.decide(claims, 'consume')
  t.strictSame(written(store.decide(claims, 'consume'), ['draft']), {
    ratelimit: '"narrow";r=0;t=60',
    'ratelimit-policy': '"narrow";q=1;w=60',
  })
})

t.test('shadow policies and the ceilings of groups are not shown while nobody is refused', async (t) => {
  const policies = new Policies({ policies: { trial: '1/minute shadow' }, groups: { bots: '1/minute' } })
  const store = new MemoryStore({ clock: new HandClock() })
  const [trial, bots] = [policies.get('trial'), policies.group('bots')]
  if (trial === undefined || bots === undefined) throw new Error('no policies')
  const claims = [claim(trial, 'acme', 'all'), claim(bots, 'fleet', 'all')]
  t.strictSame(written(store.decide(claims, 'consume')), {})
  t.match(written(store.decide(claims, 'consume')), { ratelimit: '"group/bots";r=0;t=60' })
})

t.test('without the shared store nothing is said about what is left', async (t) => {
  const { decide } = decisions('10/minute')
  const decision = { ...decide(), source: 'fallback', degraded: true } as const
  t.strictSame(written(decision), { 'ratelimit-policy': '"public";q=10;w=60', 'x-ratelimit-limit': '10' })
})

t.test('a cost above the capacity has no Retry-After, and its t is no infinity', async (t) => {
  const { decide } = decisions('10/minute')
  const decision = decide(11)
  t.equal(retryAfterSeconds(decision), undefined)
  t.equal(written(decision)['ratelimit'], '"public";r=10;t=60')
})

t.test('after Retry-After a retry succeeds, and r requests within t are not refused', async (t) => {
  const random = seededRandom()
  random.announce(t)
  for (let run = 0; run < 60; run += 1) {
    const source = `${random.int(1, 50)} per ${random.int(1, 5000)}ms burst ${random.int(1, 50)}`
    const { clock, decide } = decisions(source)
    const { capacity } = policyOf('public', source)
    for (let step = 0; step < 40; step += 1) {
      const cost = random.int(1, capacity)
      const decision = decide(cost)
      const limit = /r=(\d+);t=(\d+)/.exec(written(decision)['ratelimit'] ?? '')
      const [left, lastsSeconds] = [Number(limit?.[1]), Number(limit?.[2])]
      if (!decision.allowed) {
        const seconds = retryAfterSeconds(decision) ?? 0
        if (lastsSeconds > seconds) t.fail(`${source}: t is ${lastsSeconds}, Retry-After ${seconds}`)
        await clock.advance(seconds * 1000)
        if (!decide(cost).allowed) t.fail(`${source}: a retry after ${seconds} s was refused`)
      } else if (left > 0 && random.next() < 0.3) {
        for (let use = 0; use < left; use += 1) {
          if (!decide().allowed) t.fail(`${source}: use ${use + 1} of ${left} was refused`)
          await clock.advance((lastsSeconds * 1000) / left)
        }
        if (!decide().allowed) t.fail(`${source}: after t there was no more`)
      } else {
        await clock.advance(random.int(0, 500))
      }
    }
  }
  t.pass('no retry and no use was refused')
})
