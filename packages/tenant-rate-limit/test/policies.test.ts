import t from 'tap'
import { Policies, type PolicySet } from '../src/index.ts'
import { MAX_POLICIES } from '../src/policies.ts'

t.test('a policy that cannot be compiled is refused by name', async (t) => {
  for (const [source, problem] of [
    ['10', 'expected a limit such as .*, received "10"'],
    [undefined, 'expected a limit'],
    [{ limit: 5 }, 'expected a limit such as .*, received 5'],
    ['0/minute', 'it must refill more than 0 and at most 1000000000 a second, received 0'],
    [{ limit: '10/minute', onStoreLoss: ['open'] }, 'onStoreLoss must be .*, received \\["open"\\]'],
    ['10/minute burst 0', 'its capacity must be from 1 to 1000000000, received 0'],
    ['10/minute burst 1000000001', 'its capacity'],
    ['10/minute refill 0/s', 'it must refill more than 0'],
    ['2000000000/s burst 5', 'it must refill more than 0 and at most 1000000000 a second'],
    ['10 per 0s', 'it must refill'],
    ['1 per 367d', 'it takes more than 366 days'],
    ['1000000000 per 9999999999d', 'it takes more than 366 days'],
    [
      { limit: '10/minute', onStoreLoss: 'maybe' },
      'onStoreLoss must be local, open, closed, received "maybe"',
    ],
    [{ limit: '10/minute', shadow: 1 }, 'shadow must be true or false, received 1'],
    [
      { limit: '10/minute', strict: true },
      '"strict" must be left out \\(accepted: limit, shadow, onStoreLoss\\)',
    ],
  ] as const) {
    t.throws(() => new Policies({ policies: { login: source as never } }), {
      code: 'HOLDFAST_ERR_TENANT_RATE_LIMIT_POLICY',
      message: new RegExp(`rate limit policy "login": ${problem}`),
    })
  }
  t.throws(() => new Policies({ policies: { 'a:b': '10/minute' } }), {
    message: /its name must be 1 to 64 letters/,
  })
})

t.test('tenants have their own, by name, and everybody else what is general', async (t) => {
  const policies = new Policies({
    policies: { public: '10/minute', login: '5/minute' },
    overrides: { acme: { public: '1000/minute' } },
    groups: { bots: '200/minute' },
  })
  t.equal(policies.get('public', 'acme')?.capacity, 1000)
  t.equal(policies.get('public', 'globex')?.capacity, 10)
  t.equal(policies.get('public')?.capacity, 10)
  t.equal(policies.get('login', 'acme')?.capacity, 5)
  t.equal(policies.get('nothing', 'acme'), undefined)
  t.match(policies.group('bots'), { name: 'group/bots', capacity: 200 })
  t.equal(policies.group('public'), undefined)
  t.throws(() => new Policies({ policies: {}, overrides: { acme: { public: '1/s' } } }), {
    message: /"public": tenant acme overrides it, and it is not there/,
  })
  t.match(policies.snapshot(), {
    version: 1,
    policies: [{ name: 'public' }, { name: 'login' }],
    groups: [{ name: 'group/bots' }],
    overrides: { acme: [{ name: 'public', capacity: 1000 }] },
  })
})

t.test('knows the tenant that has least of a policy of its own', async (t) => {
  const policies = new Policies({
    policies: { public: '10/minute', login: '5/minute' },
    overrides: {
      a: { public: '4/minute' },
      b: { public: '2/minute', login: '9/minute' },
      c: { public: '3/minute' },
    },
  })
  t.match(policies.leastOverride('public'), { tenant: 'b', policy: { capacity: 2 } })
  t.match(policies.leastOverride('login'), { tenant: 'b', policy: { capacity: 9 } })
  policies.update({ policies: { public: '10/minute' } })
  t.equal(policies.leastOverride('public'), undefined)
})

t.test('defaults of the set hold for policies that do not say it themselves', async (t) => {
  const set: PolicySet = {
    policies: { a: '1/s', b: { limit: '1/s', onStoreLoss: 'open' }, c: { limit: '1/s', shadow: true } },
  }
  const plain = new Policies(set)
  t.match(
    [plain.get('a'), plain.get('b'), plain.get('c')],
    [
      { onStoreLoss: 'local', shadow: false },
      { onStoreLoss: 'open', shadow: false },
      { onStoreLoss: 'local', shadow: true },
    ],
  )
  const shadowed = new Policies({ ...set, shadow: true, onStoreLoss: 'closed' })
  t.match(
    [shadowed.get('a'), shadowed.get('b')],
    [
      { onStoreLoss: 'closed', shadow: true },
      { onStoreLoss: 'open', shadow: true },
    ],
  )
})

t.test('an update replaces all at once, and leaves alone what did not change', async (t) => {
  const policies = new Policies({ policies: { a: '1/s', b: '2/s' }, overrides: { acme: { a: '5/s' } } })
  const before = { a: policies.get('a'), b: policies.get('b'), own: policies.get('a', 'acme') }
  policies.update({ policies: { a: '1/s', b: '3/s' }, overrides: { acme: { a: '5/s' } } })
  t.equal(policies.version, 2)
  t.equal(policies.get('a'), before.a)
  t.equal(policies.get('a', 'acme'), before.own)
  t.match(policies.get('b'), { capacity: 3, version: 2 })
  t.match(before.b, { capacity: 2, version: 1 })
  policies.update({ policies: { a: { limit: '1/s', shadow: true } } })
  t.match(policies.get('a'), { shadow: true, version: 3 })
  t.equal(policies.get('b'), undefined)
  t.equal(policies.get('a', 'acme'), policies.get('a'))
})

t.test('a set with a mistake changes nothing', async (t) => {
  const policies = new Policies({ policies: { a: '1/s' } })
  const before = policies.get('a')
  t.throws(() => policies.update({ policies: { a: '2/s', b: 'much' } }), { message: /"b"/ })
  t.throws(() => policies.update({ policies: { a: '2/s' }, groups: { g: '0/s' } }), { message: /"group\/g"/ })
  t.equal(policies.get('a'), before)
  t.equal(policies.version, 1)
})

t.test('there is a largest set', async (t) => {
  const many = Object.fromEntries(Array.from({ length: MAX_POLICIES }, (_, at) => [`p${at}`, '1/s']))
  t.equal(new Policies({ policies: many }).snapshot().policies.length, MAX_POLICIES)
  t.throws(() => new Policies({ policies: many, groups: { one: '1/s' } }), { message: /more than 10000/ })
})
