import t from 'tap'
import { readBanner } from '../src/banner.ts'
import { readRule } from '../src/rule.ts'
import {
  type Document,
  MAX_RULES,
  NOTHING,
  stateFrom,
  textOf,
  withBanner,
  withNextEpoch,
  withoutRule,
  withoutRules,
  withRule,
} from '../src/state.ts'

const state = (document: Document, version = 1) => ({ ...document, version })

t.test('an edit makes the next state, and leaves the one before as it was', async (t) => {
  const one = state(withRule(NOTHING, readRule({ id: 'a' }), 0))
  const two = state(withRule(one, readRule({ id: 'b' }), 0))
  const replaced = withRule(two, readRule({ id: 'a', mode: 'read-only' }), 0)
  t.same(NOTHING.rules, [])
  t.same(
    replaced.rules.map(({ id, mode }) => [id, mode]),
    [
      ['b', 'block'],
      ['a', 'read-only'],
    ],
  )
  t.same(
    withoutRule(two, 'a', 0).rules.map(({ id }) => id),
    ['b'],
  )
  t.same(
    withoutRules(two, ({ id }) => id === 'b', 0).rules.map(({ id }) => id),
    ['a'],
  )
  t.throws(() => withoutRule(two, 'c', 0), {
    code: 'HOLDFAST_ERR_MAINTENANCE_UNKNOWN',
    message: 'there is no rule "c"',
  })
  t.equal(withNextEpoch(two, 0).epoch, 2)
})

t.test('what is over is forgotten with the next edit', async (t) => {
  const before = {
    ...NOTHING,
    rules: [readRule({ id: 'over', until: 1000 }), readRule({ id: 'a' })],
    banner: readBanner({ message: 'x', until: 1000 }),
  }
  const next = withNextEpoch(before, 1000)
  t.equal(next.banner, undefined)
  t.ok(withNextEpoch(before, 999).banner)
  t.same(
    withRule(before, readRule({ id: 'b' }), 1000).rules.map(({ id }) => id),
    ['a', 'b'],
  )
  t.throws(() => withoutRule(before, 'over', 1000), { code: 'HOLDFAST_ERR_MAINTENANCE_UNKNOWN' })
})

t.test('there are at most a hundred rules; one more in the place of another is none more', async (t) => {
  let full = NOTHING
  for (let at = 0; at < MAX_RULES; at += 1) full = state(withRule(full, readRule({ id: `r${at}` }), 0))
  t.throws(() => withRule(full, readRule({ id: 'more' }), 0), {
    code: 'HOLDFAST_ERR_MAINTENANCE_FULL',
    statusCode: 409,
    message: 'there are 100 rules already; remove one first',
  })
  t.equal(withRule(full, readRule({ id: 'r0' }), 0).rules.length, MAX_RULES)
})

t.test('a banner is set and taken away without touching the rules', async (t) => {
  const before = state(withRule(NOTHING, readRule({}), 0))
  const shown = state(withBanner(before, readBanner({ message: 'x' }), 0))
  t.equal(shown.banner?.message, 'x')
  t.same(withBanner(shown, undefined, 0), { epoch: 1, rules: before.rules })
})

t.test('a state is read again as it was told', async (t) => {
  const change = { action: 'rule.set', subject: 'all', by: 'alice', reason: 'x', requestId: '1' } as const
  const document = {
    ...withBanner(state(withRule(NOTHING, readRule({}), 0)), readBanner({ message: 'x' }), 0),
    change,
  }
  t.same(stateFrom(textOf(document), 7), { ...document, version: 7 })
  t.same(stateFrom(textOf(NOTHING), 0), NOTHING)
})

t.test('what no version of this could have written is refused as a whole', async (t) => {
  const code = 'HOLDFAST_ERR_MAINTENANCE_RULE'
  for (const text of [
    '[]',
    'null',
    '{}',
    '{"epoch":1,"rules":{}}',
    '{"epoch":0,"rules":[]}',
    '{"epoch":1,"rules":[{"mode":"sleep"}]}',
    '{"epoch":1,"rules":[null]}',
    '{"epoch":1,"rules":[],"banner":{}}',
    '{"epoch":1,"rules":[],"banner":null}',
    '{"epoch":1,"rules":[],"change":{"action":"x"}}',
    '{"epoch":1,"rules":[],"change":{"action":"rule.set","by":7}}',
    '{"epoch":1,"rules":[],"change":{"action":"rule.set","who":"x"}}',
    `{"epoch":1,"rules":${JSON.stringify(Array.from({ length: 101 }, () => ({})))}}`,
    '',
  ]) {
    t.throws(() => stateFrom(text, 1), { code }, text.slice(0, 60))
  }
  t.throws(() => stateFrom('{', 1), SyntaxError)
})
