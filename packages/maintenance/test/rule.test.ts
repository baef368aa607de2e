import t from 'tap'
import { idOf, momentOf, type RuleInput, readKept, readRule } from '../src/rule.ts'

const code = 'HOLDFAST_ERR_MAINTENANCE_RULE'

t.test('a rule of nothing closes everything to all but administrators, at once and for ever', async (t) => {
  t.same(readRule({}), {
    id: 'all',
    scope: {},
    mode: 'block',
    allow: { roles: ['admin'], addresses: [], paths: [] },
    announceMs: 900_000,
  })
})

t.test('what was read is read again as it is, by whoever is told of it', async (t) => {
  const rule = readRule({
    id: 'tonight',
    scope: { group: 'bots', tenant: 'acme' },
    mode: 'drain-writes',
    methods: ['POST', 'DELETE'],
    from: '2026-11-22T20:00:00Z',
    until: new Date(Date.UTC(2026, 10, 22, 21)),
    message: ' We move to a larger database. ',
    reason: 'change 4711',
    allow: { roles: [], addresses: ['10.0.0.0/8', 'loopback'], paths: ['/api/public'] },
    announceMs: 0,
    retryAfterMs: 5000,
  })
  t.equal(rule.message, 'We move to a larger database.')
  t.equal(rule.fromMs, Date.UTC(2026, 10, 22, 20))
  t.same(readKept(JSON.parse(JSON.stringify(rule))), rule)
})

t.test('a rule without a name is named for its scope, so that the same said twice is one rule', async (t) => {
  t.equal(idOf({}), 'all')
  t.same(readRule({ scope: 'all' }), readRule({}))
  t.equal(idOf({ group: 'bots' }), 'group:bots')
  t.equal(idOf({ tenant: 'acme' }), 'tenant:acme')
  t.equal(idOf({ group: 'bots', tenant: 'acme' }), 'group:bots.tenant:acme')
  const long = 'x'.repeat(64)
  t.ok(readKept(readRule({ scope: { group: long, tenant: long } })), 'also where that is long')
  const ofTenant = (last: string) => readRule({ scope: { group: long, tenant: `${'x'.repeat(63)}${last}` } })
  t.not(ofTenant('a').id, ofTenant('b').id, 'the rule of one tenant does not take the place of another')
  t.equal(ofTenant('a').id, ofTenant('a').id)
})

t.test('a moment is a number, a Date, or RFC 3339 with its time zone', async (t) => {
  const ms = Date.UTC(2026, 1, 28, 20, 30)
  for (const given of [
    ms,
    new Date(ms),
    '2026-02-28T20:30:00Z',
    '2026-02-28T21:30+01:00',
    '2026-02-28 20:30:00z',
  ]) {
    t.equal(momentOf('from', given), ms, String(given))
  }
  for (const given of [
    '2026-02-30T20:30:00Z',
    '2026-02-28T20:30:00',
    '2026-13-28T20:30:00Z',
    'tomorrow',
    '20:30',
    Number.NaN,
    -1,
    new Date(Number.NaN),
    Number.MAX_SAFE_INTEGER,
  ]) {
    t.throws(
      () => momentOf('from', given),
      { code, message: /"from" must be a moment such as/ },
      String(given),
    )
  }
})

t.test('whatever could not be kept, told and shown is refused, with what was received', async (t) => {
  const cases: readonly (readonly [object, RegExp])[] = [
    [{ mode: 'off' }, /"mode" must be 'block' or .*, received "off"/],
    [{ id: '' }, /"id" must be a name/],
    [{ id: 'a b' }, /"id" must be a name.*received "a b"/],
    [{ id: 'x'.repeat(65) }, /"id" must be a name/],
    [{ scope: { group: 'a/b' } }, /"scope.group" must be a name/],
    [{ scope: { tenant: '' } }, /"scope.tenant" must be a name/],
    [{ scope: { tenants: 'acme' } }, /"scope.tenants" must be left out/],
    [{ scope: 'bots' }, /"scope" must be "all", or an object with "group" and "tenant", received "bots"/],
    [{ methods: [] }, /"methods" must be left out, or at least one/],
    [{ methods: ['post'] }, /"methods" must be a list of methods such as POST, received "post"/],
    [{ methods: 'POST' }, /"methods" must be a list of at most 20 methods/],
    [{ from: 2000, until: 2000 }, /"until" must be later than "from"/],
    [{ message: '' }, /"message" must be a text/],
    [{ message: '   ' }, /"message" must be one line of text/],
    [{ message: 'two\nlines' }, /"message" must be one line of text/],
    [{ message: 'turned \u202e round' }, /"message" must be one line of text/],
    [{ message: 'x'.repeat(501) }, /"message" must be a text of 1 to 500 characters/],
    [{ reason: 7 }, /"reason" must be a text/],
    [{ allow: { roles: ['a b'] } }, /"allow.roles" must be a list of names of roles/],
    [
      { allow: { addresses: ['10.0.0.0/33'] } },
      /"allow.addresses" must be a list .*, received "10.0.0.0\/33"/,
    ],
    [{ allow: { addresses: 'loopback' } }, /"allow.addresses" must be a list/],
    [{ allow: { paths: ['api'] } }, /"allow.paths" must be a list of beginnings of paths/],
    [{ allow: { role: [] } }, /"allow.role" must be left out/],
    [{ announceMs: -1 }, /"announceMs" must be milliseconds/],
    [{ retryAfterMs: 999 }, /"retryAfterMs" must be milliseconds from 1000/],
    [{ starts: 'now' }, /"starts" must be left out \(accepted: id, scope/],
  ]
  for (const [given, message] of cases) t.throws(() => readRule(given as RuleInput), { code, message })
  t.throws(() => readRule(null as unknown as RuleInput), { code, message: /"rule" must be an object/ })
})
