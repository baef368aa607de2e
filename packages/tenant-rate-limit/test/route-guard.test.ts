import { type RefusalPage, RefusalPages } from '@holdfast/footing'
import { HandClock } from '@holdfast/test-kit'
import t from 'tap'
import { type Decision, Policies } from '../src/index.ts'
import { RateLimiter } from '../src/limiter.ts'
import { MemoryStore } from '../src/memory-store.ts'
import { RateLimitHeaders } from '../src/rate-limit-headers.ts'
import { Refusals } from '../src/refusal.ts'
import { RequestClaims } from '../src/request-claims.ts'
import { RouteGuard } from '../src/route-guard.ts'
import type { OnLimit } from '../src/route-options.ts'
import { StaleLimit } from '../src/stale-answers.ts'
import { policyOf } from './policy-of.ts'

interface Options {
  /** Decides a moment later, as one who has to ask. */
  readonly later?: boolean
  readonly fails?: boolean
  readonly onLimit?: OnLimit<never, never>
  readonly page?: RefusalPage
}

/** A guard of one request a minute, without a server. */
function guardOf({ later = false, fails = false, onLimit = 'reject', page }: Options) {
  const clock = new HandClock()
  const limiter = new RateLimiter({ store: new MemoryStore({ clock }), clock })
  const policies = new Policies({ policies: { public: '1/minute' } })
  const decide = (...claims: Parameters<RateLimiter['decide']>) => {
    if (fails) return Promise.reject(new Error('no decision'))
    const decision = limiter.decide(...claims)
    return later ? Promise.resolve(decision) : decision
  }
  const claims = new RequestClaims<object>(
    { rules: [{ policy: 'public', by: 'tenant' }], group: undefined, cost: 1 },
    policies,
    { tenant: () => 'acme', user: () => undefined, address: () => '192.0.2.1' },
  )
  const guard = new RouteGuard(
    'GET /',
    { count: 'all', onLimit: onLimit as never, stale: undefined },
    claims,
    {
      limiter: { decide, settle: (...settled) => limiter.settle(...settled) },
      headers: new RateLimitHeaders(['draft']),
      refusals: new Refusals(),
      pages: new RefusalPages(() => page, clock),
      staleLimit: new StaleLimit(policyOf('stale', '100/s'), clock),
      counts: {
        exempt: 0,
        refused: 0,
        servedStale: 0,
        staleLimited: 0,
        staleMissed: 0,
        handled: 0,
        refunded: 0,
      },
      isExempt: () => false,
    },
  )
  return () => {
    const seen: { done: (Error | undefined)[]; code?: number; body?: unknown } = { done: [] }
    const request = { log: { warn() {} }, tenantRateLimit: null as Decision | null }
    const reply = {
      raw: { statusCode: 200, headersSent: false, once: () => undefined },
      sent: false,
      code(status: number) {
        seen.code = status
      },
      header() {},
      send(body: unknown) {
        seen.body = body
      },
    }
    guard.handle(request, reply, (error) => void seen.done.push(error))
    return seen
  }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

t.test('where nothing has to be asked, it is decided before the hook returns', async (t) => {
  const ask = guardOf({})
  t.strictSame(ask(), { done: [undefined] })
  t.match(ask(), { done: [], code: 429, body: /too_many_requests/ })
})

t.test('else when there is an answer, and never twice', async (t) => {
  const ask = guardOf({ later: true })
  const [first, second] = [ask(), ask()]
  t.strictSame(first, { done: [] })
  await settled()
  t.strictSame(first, { done: [undefined] })
  t.match(second, { done: [], code: 429 })
})

t.test('what cannot be decided is an error of the request', async (t) => {
  const failed = guardOf({ fails: true })()
  await settled()
  t.match(failed, { done: [{ message: 'no decision' }] })
})

t.test('so is what onLimit throws, at once or later', async (t) => {
  const onLimit = () => {
    throw new Error('broken')
  }
  const later = guardOf({ later: true, onLimit })
  later()
  const second = later()
  await settled()
  t.match(second, { done: [], body: { message: 'broken' } })
  const now = guardOf({ onLimit })
  now()
  t.match(now(), { done: [], body: { message: 'broken' } })
})
