import { seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import {
  type Asker,
  beginsWith,
  decide,
  isWrite,
  mayOnlyRead,
  nextChangeMs,
  type Plan,
  planAt,
  type RouteFacts,
  retryAfterMs,
} from '../src/plan.ts'
import { type Mode, type RuleInput, readRule } from '../src/rule.ts'

const NOW = 1_700_000_000_000

function planOf(...rules: readonly RuleInput[]): Plan | undefined {
  return planAt(rules.map(readRule), NOW)
}

function asker(
  given: Partial<{ method: string; tenant: string; address: string; roles: string[]; bypass: boolean }> = {},
): Asker {
  return {
    method: given.method ?? 'POST',
    tenant: () => given.tenant,
    address: () => given.address,
    roles: () => given.roles ?? [],
    hasBypass: () => given.bypass ?? false,
  }
}

const bots = { group: 'bots', path: '/api/bot/start', open: false }
const other = { group: undefined, path: '/api/bets', open: false }

function outcome(plan: Plan | undefined, route: RouteFacts, who: Asker): string {
  if (plan === undefined) return 'no plan'
  const verdict = decide(plan, route, who)
  if (verdict.pass === true) return verdict.by === undefined ? 'pass' : `pass by ${verdict.by}`
  return `${verdict.pass === false ? 'refused' : 'unsure'} by ${verdict.active.rule.id}`
}

t.test('nothing in force is no plan: before a window, after it, and when it is only announced', async (t) => {
  t.equal(planOf(), undefined)
  t.equal(planOf({ from: NOW + 1 }), undefined)
  t.equal(planOf({ until: NOW }), undefined)
  t.equal(planOf({ mode: 'banner-only' }), undefined)
  t.ok(
    planOf({ from: NOW, until: NOW + 1 }),
    'a window holds from its first millisecond to the last before its end',
  )
})

t.test('a rule is about its scope and about nothing else', async (t) => {
  t.equal(outcome(planOf({}), other, asker()), 'refused by all')
  const group = planOf({ scope: { group: 'bots' } })
  t.equal(outcome(group, bots, asker()), 'refused by group:bots')
  t.equal(outcome(group, other, asker()), 'pass')
  const tenant = planOf({ scope: { tenant: 'acme' } })
  t.equal(outcome(tenant, bots, asker({ tenant: 'acme' })), 'refused by tenant:acme')
  t.equal(outcome(tenant, bots, asker({ tenant: 'globex' })), 'pass')
  t.equal(outcome(tenant, bots, asker()), 'pass', 'whose it is is not known')
  const both = planOf({ scope: { group: 'bots', tenant: 'acme' } })
  t.equal(outcome(both, other, asker({ tenant: 'acme' })), 'pass')
  t.equal(outcome(both, bots, asker({ tenant: 'acme' })), 'refused by group:bots.tenant:acme')
})

t.test(
  'a block is about every method but OPTIONS, the other modes about what changes something',
  async (t) => {
    for (const mode of ['read-only', 'drain-writes'] as const) {
      const plan = planOf({ mode })
      for (const method of ['GET', 'HEAD', 'OPTIONS', 'TRACE']) {
        t.equal(outcome(plan, bots, asker({ method })), 'pass', `${mode} ${method}`)
      }
      for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'PROPFIND']) {
        t.equal(outcome(plan, bots, asker({ method })), 'refused by all', `${mode} ${method}`)
      }
    }
    t.equal(outcome(planOf({}), bots, asker({ method: 'GET' })), 'refused by all')
    t.equal(
      outcome(planOf({}), bots, asker({ method: 'OPTIONS' })),
      'pass',
      'a browser asks with it whether it may',
    )
    const named = planOf({ methods: ['DELETE'] })
    t.equal(outcome(named, bots, asker({ method: 'POST' })), 'pass')
    t.equal(outcome(named, bots, asker({ method: 'DELETE' })), 'refused by all')
    t.equal(isWrite('GET'), false)
    t.equal(isWrite('BREW'), true, 'what nobody knows may change something')
  },
)

t.test('a rule lets pass whom it says, and says why', async (t) => {
  const plan = planOf({
    allow: { roles: ['admin', 'tester'], addresses: ['10.0.0.0/8'], paths: ['/api/bot'] },
  })
  t.equal(outcome(plan, other, asker({ roles: ['user', 'tester'] })), 'pass by role')
  t.equal(outcome(plan, other, asker({ roles: ['user'] })), 'refused by all')
  t.equal(outcome(plan, other, asker({ address: '10.1.2.3' })), 'pass by address')
  t.equal(outcome(plan, other, asker({ address: '192.0.2.1' })), 'refused by all')
  t.equal(outcome(plan, other, asker({ bypass: true })), 'pass by bypass')
  t.equal(outcome(plan, bots, asker()), 'pass by path')
  const unknown = { ...asker(), roles: () => undefined }
  t.equal(outcome(plan, other, unknown), 'unsure by all')
  t.equal(
    outcome(planOf({ allow: { roles: [] } }), other, unknown),
    'refused by all',
    'nobody can be let pass',
  )
})

t.test('a route that is always open is refused by nothing', async (t) => {
  t.equal(outcome(planOf({}), { ...other, open: true }, asker()), 'pass')
})

t.test('of several rules the strictest decides, and of those the one that ends last', async (t) => {
  const plan = planOf(
    { id: 'read', mode: 'read-only' },
    { id: 'soon', mode: 'block', until: NOW + 1000 },
    { id: 'later', mode: 'block', until: NOW + 9000 },
    { id: 'drain', mode: 'drain-writes' },
  )
  t.same(
    plan?.rules.map(({ rule }) => rule.id),
    ['later', 'soon', 'drain', 'read'],
  )
  t.equal(outcome(plan, bots, asker()), 'refused by later')
  const lenient = planOf({ id: 'a', allow: { roles: ['user'] } }, { id: 'b', mode: 'read-only' })
  t.equal(
    outcome(lenient, bots, asker({ roles: ['user'] })),
    'refused by b',
    'whom one lets pass another may refuse',
  )
})

t.test('a plan decides as all its rules do one by one, whatever they are', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const pick = <T>(...from: readonly T[]): T => random.pick(from)
  for (let run = 0; run < 500; run += 1) {
    const rules = Array.from({ length: random.int(1, 5) }, (_, at) =>
      readRule({
        id: `r${at}`,
        scope: pick<object>({}, { group: 'bots' }, { tenant: 'acme' }, { group: 'bots', tenant: 'acme' }),
        mode: pick<Mode>('block', 'read-only', 'drain-writes', 'banner-only'),
        from: NOW + pick(-10, 0, 10),
        until: NOW + pick(11, 20),
        allow: { roles: pick<string[]>([], ['admin']), addresses: pick<string[]>([], ['10.0.0.0/8']) },
      }),
    )
    const route: RouteFacts = random.pick<RouteFacts>([bots, other])
    const who = asker({
      method: pick('GET', 'POST', 'OPTIONS'),
      tenant: pick('acme', 'globex'),
      address: pick('10.0.0.1', '192.0.2.1'),
      roles: pick<string[]>(['admin'], []),
      bypass: pick(true, false, false),
    })
    const refuses = rules.some((rule) => {
      const { scope, mode, allow, fromMs = 0 } = rule
      if (mode === 'banner-only' || fromMs > NOW) return false
      if (scope.group !== undefined && scope.group !== route.group) return false
      if (scope.tenant !== undefined && scope.tenant !== who.tenant()) return false
      if (who.method === 'OPTIONS' || (mode !== 'block' && who.method === 'GET')) return false
      if (who.hasBypass() || (allow.addresses.length > 0 && who.address() === '10.0.0.1')) return false
      return !(allow.roles.length > 0 && who.roles()?.includes('admin'))
    })
    const plan = planAt(rules, NOW)
    t.equal(plan !== undefined && decide(plan, route, who).pass === false, refuses, JSON.stringify(rules))
  }
})

t.test('the next change is that of the window, of the announcement, or never', async (t) => {
  const at = (wallMs: number) =>
    nextChangeMs([readRule({ from: 5000, until: 9000, announceMs: 2000 })], wallMs)
  t.equal(at(0), 3000)
  t.equal(at(3000), 5000)
  t.equal(at(5000), 9000)
  t.equal(at(9000), Number.POSITIVE_INFINITY)
  t.equal(nextChangeMs([readRule({})], 0), Number.POSITIVE_INFINITY)
})

t.test('whoever is refused is told to come back at the end, and up to a tenth later', async (t) => {
  const wait = (rule: RuleInput, random: number) =>
    retryAfterMs(readRule(rule), { wallMs: NOW, random, otherwiseMs: 120_000 })
  t.equal(wait({ until: NOW + 60_000 }, 0), 60_000)
  t.equal(wait({ until: NOW + 60_000 }, 0.5), 63_000)
  t.equal(wait({}, 0), 120_000)
  t.equal(wait({ retryAfterMs: 30_000 }, 0), 30_000)
  t.equal(wait({ until: NOW + 86_400_000 }, 1), 86_400_000 + 300_000, 'but no more than five minutes later')
})

t.test('a path begins with another at a whole segment', async (t) => {
  t.equal(beginsWith('/api/bot/start', ['/api/bot']), true)
  t.equal(beginsWith('/api/bot', ['/api/bot/']), true)
  t.equal(beginsWith('/api/bots', ['/api/bot']), false)
  t.equal(beginsWith('/api', ['/']), true)
  t.equal(beginsWith(undefined, ['/']), false)
})

t.test('what may only read is what a rule lets read and would refuse to write', async (t) => {
  const reading = asker({ method: 'GET' })
  const may = (...rules: readonly RuleInput[]) => mayOnlyRead(planOf(...rules) as Plan, bots, reading)
  t.equal(may({ mode: 'read-only' }), true)
  t.equal(may({ mode: 'drain-writes', scope: { group: 'bots' } }), true)
  t.equal(may({ mode: 'block', methods: ['POST'] }), false, 'such a rule says nothing of what reads')
  t.equal(
    may({ mode: 'block', methods: ['POST'] }, { id: 'read', mode: 'read-only' }),
    true,
    'whatever others say',
  )
  t.equal(may({ mode: 'read-only', scope: { tenant: 'acme' } }), false)
  t.equal(may({ mode: 'read-only', allow: { paths: ['/api/bot'] } }), false)
  t.equal(mayOnlyRead(planOf({ mode: 'read-only' }) as Plan, { ...bots, open: true }, reading), false)
})
