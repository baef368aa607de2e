// A body is taken as it was written: a number between quotes is text, `true` is no 1 and `null` no 0, on every route that
// takes one. Those of `@holdfast/maintenance` read their members themselves, where `null` is left out.

import { startPostgres } from '@holdfast/test-kit'
import t from 'tap'
import { bearerOf } from './bearer-of.ts'
import { demoDatabase } from './fresh-database.ts'
import { ServiceApp } from './service-app.ts'

const TOKEN = 'a-token-of-operators'
const MANY = '1000000/minute'
const postgres = await startPostgres()
t.teardown(() => postgres.stop())
const databaseUrl = await demoDatabase(postgres.directUrl)
const { app } = await ServiceApp.start(t, {
  DATABASE_URL: databaseUrl,
  ADMIN_TOKEN: TOKEN,
  ABUSE_MAX_PER_MINUTE: '1000000',
  RATE_LIMITS_BET: MANY,
  RATE_LIMITS_START: MANY,
  RATE_LIMITS_STOP: MANY,
  RATE_LIMITS_RECOVER: MANY,
  RATE_LIMITS_GLOBAL: MANY,
})
const trader = await bearerOf(databaseUrl, 'acme/trader@acme.example')
const admin = await bearerOf(databaseUrl, 'acme/admin@acme.example')

type Members = Readonly<Record<string, unknown>>

/** What a reader who helps would take for it. */
function lookalikes(value: unknown): unknown[] {
  if (typeof value === 'number') return [String(value), true, null, [value]]
  if (typeof value === 'boolean') return [String(value), Number(value), null, [value]]
  if (typeof value === 'string') return [7, true, [value]]
  return []
}

const routes = app.fastify
  .describedRoutes()
  .filter(({ url }) => !url.startsWith('/admin/maintenance'))
  .flatMap((route) =>
    (route.schema.examples ?? []).flatMap(({ body }) =>
      typeof body === 'object' && body !== null ? [{ ...route, body: body as Members }] : [],
    ),
  )

t.test('no member is read as another kind than it is written', async (t) => {
  const looked: string[] = []
  for (const { method, url, body } of routes) {
    const path = url.replaceAll(':queue', 'settle').replaceAll(':tenant', 'acme').replaceAll(/:\w+/g, '1')
    for (const [name, value] of Object.entries(body)) {
      for (const wrong of lookalikes(value)) {
        const answer = await app.fastify.inject({
          method,
          url: path,
          remoteAddress: `10.0.${looked.length >> 8}.${looked.length & 255}`,
          headers: {
            authorization: `Bearer ${url.startsWith('/admin/') ? TOKEN : url.startsWith('/api/theme') ? admin : trader}`,
            'idempotency-key': `kinds-${looked.length}`,
          },
          payload: { ...body, [name]: wrong },
        })
        looked.push(`${answer.statusCode} ${method} ${url} ${name}: ${JSON.stringify(wrong)}`)
      }
    }
  }
  t.ok(routes.length >= 15, `${routes.length} routes`)
  t.ok(looked.length >= 60, `${looked.length} members`)
  t.strictSame(
    looked.filter((each) => !each.startsWith('400 ')),
    [],
  )
})

t.test('a query is text, and read as what it should be', async (t) => {
  const answer = await app.fastify.inject({
    url: '/api/bets?limit=5',
    headers: { authorization: `Bearer ${trader}` },
  })
  t.equal(answer.statusCode, 200)
})
