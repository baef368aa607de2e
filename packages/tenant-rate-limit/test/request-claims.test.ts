import t from 'tap'
import { type CountBy, Policies } from '../src/index.ts'
import { RequestClaims } from '../src/request-claims.ts'

interface Asking {
  readonly tenant?: string | null
  readonly user?: string
  readonly units?: number
}

const identities = {
  tenant: ({ tenant }: Asking) => tenant,
  user: ({ user }: Asking) => user,
  address: () => '192.0.2.1',
}

function claimsOf(policies: Policies, by: CountBy<Asking> = 'tenant', group?: string) {
  const rules = [{ policy: 'public', by }]
  return new RequestClaims<Asking>({ rules, group, cost: ({ units = 1 }) => units }, policies, identities)
}

t.test('a limit is never lifted because its policy is gone', async (t) => {
  const policies = new Policies({ policies: { public: '3/minute' }, groups: { bots: '9/minute' } })
  const claims = claimsOf(policies, 'tenant', 'bots')
  const before = claims.of({ tenant: 'acme' })
  policies.update({ policies: { other: '1/minute' } })
  t.strictSame(claims.of({ tenant: 'acme' }), before)
  t.strictSame(
    before.map(({ policy, slotTag, scope }) => [policy.name, slotTag, scope]),
    [
      ['public', 'acme', 'all'],
      ['group/bots', 'fleet', 'all'],
    ],
  )
})

t.test(
  'requests of one client in a row share a claim; another client, cost or policy has its own',
  async (t) => {
    const policies = new Policies({ policies: { public: '3/minute' } })
    const claims = claimsOf(policies, 'user')
    const of = (asking: Asking) => claims.of(asking)[0]
    const first = of({ tenant: 'acme', user: 'ann' })
    t.equal(of({ tenant: 'acme', user: 'ann' }), first)
    t.not(of({ tenant: 'acme', user: 'ben' }), first)
    const again = of({ tenant: 'acme', user: 'ann' })
    t.not(of({ tenant: 'globex', user: 'ann' })?.key, again?.key)
    t.equal(of({ tenant: 'acme', user: 'ann', units: 2 })?.cost, 2)
    policies.update({ policies: { public: '4/minute' } })
    t.equal(of({ tenant: 'acme', user: 'ann', units: 2 })?.policy.capacity, 4)
  },
)

t.test('a promise is refused where a text or a number is due, and may fail', async (t) => {
  const policies = new Policies({ policies: { public: '3/minute' } })
  const promised = (): never => Promise.reject(new Error('nobody waits for it')) as never
  const rules = (by: CountBy<Asking>) => [{ policy: 'public', by }]
  const key = {
    code: 'HOLDFAST_ERR_TENANT_RATE_LIMIT_KEY',
    message: /answered a promise, and nothing waits for it/,
  }
  const of = (by: CountBy<Asking>, parts: object = {}, cost: number | (() => number) = 1) =>
    new RequestClaims<Asking>({ rules: rules(by), group: undefined, cost }, policies, {
      ...identities,
      ...parts,
    }).of({})
  t.throws(() => of(promised), key)
  t.throws(() => of('user', { user: promised }), key)
  t.throws(() => of('tenant', { tenant: promised }), key)
  t.throws(() => of('tenant', {}, promised), { code: 'HOLDFAST_ERR_TENANT_RATE_LIMIT_COST' })
  t.throws(() => of('user', { user: () => 7 }), { message: /"user" must answer a text.* the number 7/ })
  t.throws(() => of('user', { user: () => ({}) }), { message: /it answered an object/ })
  await new Promise(setImmediate)
})

t.test('nobody can name the bucket of those who have no name', async (t) => {
  const claims = claimsOf(new Policies({ policies: { public: '3/minute' } }))
  const keyOf = (tenant: string | null | undefined) =>
    claims.of(tenant === undefined ? {} : { tenant })[0]?.key
  const nobody = keyOf(undefined)
  t.equal(keyOf(null), nobody)
  t.equal(keyOf(''), nobody)
  const tag = claims.of({})[0]?.slotTag ?? ''
  for (const tenant of ['-', 'fleet', 'all', tag, 'undefined']) t.not(keyOf(tenant), nobody, tenant)
})
