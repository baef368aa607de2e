// Members of requests that are wrong in every way there is: each is refused with a reason, or is what it says; none is a
// fault of the service, and what is refused changes nothing.

import { startPostgres } from '@holdfast/test-kit'
import t from 'tap'
import type { DescribedRoute } from '../src/openapi/described-route.ts'
import { bearerOf } from './bearer-of.ts'
import { demoDatabase, testPool } from './fresh-database.ts'
import { ServiceApp } from './service-app.ts'

t.setTimeout(240_000)

const TOKEN = 'a-token-of-operators'
const MANY = '1000000/minute'
const postgres = await startPostgres()
t.teardown(() => postgres.stop())
const databaseUrl = await demoDatabase(postgres.directUrl)
const sql = testPool(databaseUrl)
t.teardown(() => sql.end())
const service = await ServiceApp.start(t, {
  DATABASE_URL: databaseUrl,
  ADMIN_TOKEN: TOKEN,
  ABUSE_MAX_PER_MINUTE: '1000000',
  RATE_LIMITS_BET: MANY,
  RATE_LIMITS_READ: MANY,
  RATE_LIMITS_GLOBAL: MANY,
})
const { fastify } = service.app
const trader = (await bearerOf(databaseUrl, 'acme/trader@acme.example')) ?? ''

const ROUTES = /^\/(api\/(bots|trades|strategies|sports|events|bets|balance)|admin\/(audit|dlq))(\/|$)/
const AN_ID = '9f0b6f6e-58a1-4a5c-9d4f-0a4b1d0c2f11'
/** What stands for a parameter of the path where it is not its turn. */
const RIGHT: Readonly<Record<string, string>> = { queue: 'settle', id: AN_ID }

const TEXTS = [
  '',
  ' ',
  '\0',
  'a\0b',
  '-1',
  '0',
  '1.5',
  '1e3',
  '0x10',
  '9'.repeat(30),
  '-9223372036854775809',
  'NaN',
  'null',
  '\u202eevil',
  '\uff11',
  '\u{1f600}'.repeat(40),
  'x'.repeat(3000),
  `'; drop table bets; --`,
  '%',
  '__proto__',
  '2016-12-31T23:59:60Z',
  '0000-01-01T00:00:00Z',
  '9999-12-31T23:59:59-23:59',
  // Cursors of other lists.
  '12',
  'chess',
  'winner.home',
  '1763800000000000.12',
  `1763800000000000.${AN_ID}`,
]
const VALUES: readonly unknown[] = [
  ...TEXTS,
  null,
  true,
  false,
  -1,
  0,
  0.5,
  1e21,
  1e300,
  -0,
  [],
  ['a', 'b'],
  [1],
  {},
  { a: 1 },
  '\ud800',
]

interface Sent {
  readonly url: string
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string | string[]>>
}

const routes = fastify.describedRoutes().filter(({ url }) => ROUTES.test(url))
let sent = 0

/** Each from an address of its own: limits of addresses are not what this is about. */
function send({ method }: DescribedRoute, { url, body, headers }: Sent) {
  sent += 1
  return fastify.inject({
    method,
    url,
    remoteAddress: `10.${(sent >> 16) & 255}.${(sent >> 8) & 255}.${sent & 255}`,
    headers: {
      authorization: `Bearer ${url.startsWith('/admin/') ? TOKEN : trader}`,
      'idempotency-key': `key-${sent}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { payload: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
}

/** How many rows there are of what requests make, and what stands in balances. */
async function counted(): Promise<unknown> {
  const { rows } = await sql.query(
    `select (select count(*) from bots) as bots, (select count(*) from bets) as bets,
       (select count(*) from ledger_entries) as entries, (select count(*) from jobs.job) as jobs,
       (select count(*) from audit_log where action like 'dead_letter%') as actions`,
  )
  return rows[0]
}

type Members = Readonly<Record<string, unknown>>
const propertiesOf = (schema: unknown): Members =>
  (Object(schema) as { readonly properties?: Members }).properties ?? {}

function pathOf(url: string, given: Readonly<Record<string, string>> = {}): string {
  return url.replaceAll(/:(\w+)/g, (_, name: string) => encodeURIComponent(given[name] ?? RIGHT[name] ?? '1'))
}

/** A request that would be taken, from the examples of the route. */
function rightBody({ schema }: DescribedRoute): Members | undefined {
  return schema.examples?.find((each) => each.body !== undefined && each.status < 300)?.body as
    | Members
    | undefined
}

function* requestsOf(route: DescribedRoute): Generator<Sent> {
  const { url, schema } = route
  const body = rightBody(route)
  const withBody = body !== undefined && { body }
  for (const name of Object.keys(propertiesOf(schema.params))) {
    for (const text of TEXTS) yield { url: pathOf(url, { [name]: text }), ...withBody }
  }
  const right = pathOf(url)
  for (const name of [...Object.keys(propertiesOf(schema.querystring)), 'unknown', '__proto__']) {
    const asked = (text: string) => `${right}?${name}=${encodeURIComponent(text)}`
    for (const text of TEXTS) yield { url: asked(text), ...withBody }
    yield { url: `${asked('1')}&${name}=2`, ...withBody }
    yield { url: `${right}?${name}[]=1`, ...withBody }
    yield { url: `${right}?${name}`, ...withBody }
    yield { url: `${right}?${name}=%ff%fe`, ...withBody }
  }
  if (body === undefined) return
  for (const whole of ['', 'null', '[]', '[{}]', '7', '"text"', '{', '{}', '{"a":1}', '\ufeff{}']) {
    yield { url: right, body: whole }
  }
  for (const name of [...Object.keys(body), 'unknown', '__proto__', 'constructor']) {
    for (const value of VALUES) {
      // Written by hand: an object has no such member otherwise.
      const rest = Object.entries(body).filter(([member]) => member !== name)
      const members = [...rest, [name, value] as const]
      const text = members.map(([member, each]) => `${JSON.stringify(member)}:${JSON.stringify(each)}`).join()
      yield { url: right, body: `{${text}}` }
    }
  }
  for (const key of ['', ' ', 'a b', 'x'.repeat(256), 'k\u00e9y', ['a', 'b'], ['a', 'a']]) {
    yield { url: right, body, headers: { 'idempotency-key': key } }
  }
}

t.test('what is wrong with a request is a refusal, and changes nothing', async (t) => {
  t.ok(routes.length >= 15, `${routes.length} routes`)
  for (const route of routes) {
    const name = `${route.method} ${route.url}`
    const answers = new Map<number, number>()
    const faults: string[] = []
    let before = await counted()
    for (const request of requestsOf(route)) {
      const answer = await send(route, request)
      const { statusCode: status } = answer
      answers.set(status, (answers.get(status) ?? 0) + 1)
      const what = `${status} ${JSON.stringify(request).slice(0, 200)}`
      if (status >= 500 || status === 401 || status === 429) faults.push(what)
      if (status >= 400) {
        const { detail, error } = answer.json()
        if (typeof detail !== 'string' || detail === '' || typeof error !== 'string') faults.push(what)
      }
      if (route.method === 'GET') continue
      const after = await counted()
      if (status >= 400 && JSON.stringify(after) !== JSON.stringify(before)) faults.push(`changed: ${what}`)
      before = after
    }
    t.strictSame(faults, [], name)
    t.comment(`${name}: ${JSON.stringify(Object.fromEntries(answers))}`)
  }
})
