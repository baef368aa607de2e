import { HandClock } from '@holdfast/test-kit'
import t from 'tap'
import { claim, type PolicySource } from '../src/index.ts'
import { MemoryStore } from '../src/memory-store.ts'
import { Refusals } from '../src/refusal.ts'
import { policyOf } from './policy-of.ts'

function refusedBy(source: PolicySource, cost = 1) {
  const store = new MemoryStore({ clock: new HandClock() })
  const policy = policyOf('public', source)
  store.decide([claim(policy, 'acme', 'all')], 'consume')
  return store.decide([claim(policy, 'acme', 'all', cost)], 'consume')
}

t.test('a refusal is a problem document that says why and how long', async (t) => {
  const refusals = new Refusals()
  const refusal = refusals.of(refusedBy('1 per 90s'))
  t.match(refusal, { statusCode: 429, violated: ['public'], retryAfterMs: 90_000, retryAfterSeconds: 90 })
  t.strictSame(JSON.parse(refusal.body), {
    type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
    title: 'Too Many Requests',
    status: 429,
    detail: 'A rate limit is reached.',
    error: 'too_many_requests',
    retry_after: 90,
    'violated-policies': ['public'],
  })
  t.equal(JSON.parse(refusals.of(refusedBy('1 per 100ms')).body).retry_after, 1, 'at least a second')
})

t.test('what never can pass is told no time', async (t) => {
  const refusal = new Refusals().of(refusedBy('1/minute', 2))
  t.equal(refusal.retryAfterSeconds, undefined)
  t.notOk('retry_after' in JSON.parse(refusal.body))
})

t.test('where only the loss of the store refuses, it is 503', async (t) => {
  const decision = { ...refusedBy({ limit: '1/minute', onStoreLoss: 'closed' }), degraded: true }
  const refusal = new Refusals().of(decision)
  t.equal(refusal.statusCode, 503)
  t.match(JSON.parse(refusal.body), { status: 503, error: 'service_unavailable', retry_after: 60 })
  t.equal(new Refusals().of({ ...refusedBy('1/minute'), degraded: true }).statusCode, 429)
})

t.test('documents are kept for 1,000 sets of policies', async (t) => {
  const refusals = new Refusals()
  const decision = refusedBy('1/minute')
  for (let at = 0; at < 2500; at += 1) {
    const names = [`p${at}`, 'public']
    t.strictSame(JSON.parse(refusals.of({ ...decision, violated: names }).body)['violated-policies'], names)
  }
  t.equal(refusals.kept, 500)
})
