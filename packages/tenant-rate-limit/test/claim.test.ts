import t from 'tap'
import { MAX_PART_LENGTH } from '../src/claim.ts'
import { claim } from '../src/index.ts'
import { policyOf } from './policy-of.ts'

const login = policyOf('login', '10/minute')

t.test('a cost that is no whole number is refused, because nothing could be reckoned with it', async (t) => {
  for (const cost of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, '1' as never]) {
    t.throws(() => claim(login, 'acme', 'all', cost), { code: 'HOLDFAST_ERR_TENANT_RATE_LIMIT_COST' })
  }
  t.equal(claim(login, 'acme', 'all', 0).cost, 0)
  t.equal(claim(login, 'acme', 'all').cost, 1)
})

t.test('different buckets have different keys, whatever users put into them', async (t) => {
  const parts = [
    '',
    'a',
    'b',
    'ab',
    ':',
    '1:',
    '1:a',
    'a:',
    '#',
    '#a',
    '\0',
    '\ud800',
    '\udfff',
    'é',
    'e\u0301',
  ]
  const keys = new Set<string>()
  for (const tag of parts) for (const scope of parts) keys.add(claim(login, tag, scope).key)
  t.equal(keys.size, parts.length ** 2)
  t.not(claim(policyOf('log', '1/s'), 'in', '').key, claim(policyOf('login', '1/s'), '', '').key)
  t.equal(claim(login, 'acme', 'all').key, claim(login, 'acme', 'all', 5).key)
})

t.test('long texts are replaced by a hash, and nobody can name a hash', async (t) => {
  const long = 'x'.repeat(MAX_PART_LENGTH + 1)
  const { slotTag, scope, key } = claim(login, long, long.repeat(1000))
  t.ok(slotTag.length <= MAX_PART_LENGTH && scope.length <= MAX_PART_LENGTH)
  t.not(slotTag, scope)
  t.equal(claim(login, long, long.repeat(1000)).key, key, 'always the same')
  t.not(claim(login, slotTag, scope).key, key)
  t.equal(claim(login, 'x'.repeat(MAX_PART_LENGTH), 'a').slotTag, 'x'.repeat(MAX_PART_LENGTH))
})
