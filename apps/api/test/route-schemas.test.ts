// The schemas of all routes: none takes what it does not name, and whatever is the slug of a tenant is one.

import { subscribe } from 'node:diagnostics_channel'
import type { FastifyInstance, RouteOptions } from 'fastify'
import t from 'tap'
import { TENANT_SLUG_PATTERN } from '../src/tenant-slug.ts'
import { loneApp } from './lone-app.ts'

t.setTimeout(120_000)

const routesOf = new Map<FastifyInstance, RouteOptions[]>()
subscribe('fastify.initialization', (message) => {
  const { fastify } = message as { readonly fastify: FastifyInstance }
  const routes: RouteOptions[] = []
  routesOf.set(fastify, routes)
  fastify.addHook('onRoute', (route) => void routes.push(route))
})

const fastify = await loneApp(t, {
  ENABLE_METRICS: 'true',
  METRICS_TOKEN: 'a-token-for-tests',
  RATE_LIMITS_IP: '100000/minute',
  RATE_LIMITS_TENANT: '100000/minute',
})
await fastify.ready()
const routes = routesOf.get(fastify) ?? []

interface ObjectSchema {
  readonly type?: string | readonly string[]
  readonly additionalProperties?: unknown
  readonly properties?: Readonly<Record<string, ObjectSchema & { readonly pattern?: string }>>
  readonly items?: ObjectSchema
}

/** Of headers a schema names those that a handler reads; there are always others. */
const PARTS = ['body', 'querystring', 'params'] as const

/** Where a schema would take a member that it does not name. */
function openPlaces(schema: ObjectSchema, place: string): readonly string[] {
  const isObject = schema.properties !== undefined || [schema.type].flat().includes('object')
  const here = isObject && schema.additionalProperties !== false ? [place] : []
  const inside = Object.entries(schema.properties ?? {}).flatMap(([name, member]) =>
    openPlaces(member, `${place}.${name}`),
  )
  return [...here, ...inside, ...(schema.items === undefined ? [] : openPlaces(schema.items, `${place}[]`))]
}

/** What changes something, and has no body: a body that is sent is not looked at. */
const WITHOUT_BODY = [
  'POST /admin/dlq/:queue/:id/replay',
  'POST /admin/lifecycle/uncordon',
  'POST /auth/sessions/revoke-all',
]
/** Routes of packages, which check by themselves, and are tested there. */
const OF_PACKAGES = [
  'POST /admin/abuse/blocks',
  'POST /admin/banner',
  'POST /admin/banner/clear',
  'POST /admin/maintenance/bypasses',
  'POST /admin/maintenance/disable',
  'POST /admin/maintenance/enable',
  'POST /api/status/maintenance/bypass',
  'PUT /admin/log-level',
  'PUT /admin/maintenance/rules/:id',
]
/** Read by the function that reads the setting, whose words say more than a schema's: `operator-limits.test.ts`. */
const OF_A_SETTING = ['PUT /admin/limits']

t.test('no schema takes a member that it does not name', async (t) => {
  t.ok(routes.length > 60, `${routes.length} routes`)
  let schemas = 0
  for (const { schema, method, url } of routes) {
    for (const part of PARTS) {
      const given = schema?.[part] as ObjectSchema | undefined
      if (given === undefined) continue
      schemas += 1
      t.same(openPlaces(given, part), [], `${method} ${url}`)
    }
  }
  t.ok(schemas > 15, `${schemas} schemas`)
})

t.test('what changes something has a schema for its body', async (t) => {
  const without = routes
    .filter(({ method, url }) => ['POST', 'PUT', 'PATCH'].includes(String(method)) && url !== '*')
    .filter(({ schema }) => schema?.body === undefined)
    .map(({ method, url }) => `${method} ${url}`)
  t.same(without.toSorted(), [...WITHOUT_BODY, ...OF_PACKAGES, ...OF_A_SETTING].toSorted())
})

t.test('whatever is the slug of a tenant is checked before anything is done with it', async (t) => {
  // A theme is answered whatever is asked for, and from memory alone.
  const open = ['/:tenant/api/public/load-theme']
  const answering = routes.filter(({ url, schema, handler, onRequest }) => {
    // Those for methods that a path lacks answer in their first hook.
    return url.includes(':tenant') && !open.includes(url) && (schema !== undefined || handler !== onRequest)
  })
  t.ok(answering.length >= 2)
  for (const { method, url, schema } of answering) {
    const { properties } = (schema?.params ?? {}) as ObjectSchema
    t.equal(properties?.['tenant']?.pattern, TENANT_SLUG_PATTERN, `${method} ${url}`)
  }
  const bodies = routes.flatMap(({ schema, url }) => {
    const tenant = (schema?.body as ObjectSchema | undefined)?.properties?.['tenant']
    return tenant === undefined ? [] : [{ url, pattern: tenant.pattern }]
  })
  t.ok(bodies.length >= 3)
  for (const { url, pattern } of bodies) t.equal(pattern, TENANT_SLUG_PATTERN, url)
  for (const slug of ['..%2f', '%00', '*', 'A', 'a:b', '{x}', 'x'.repeat(64)]) {
    t.match((await fastify.inject(`/${slug}/api/theme/history`)).json(), {
      status: 404,
      error: 'HOLDFAST_ERR_API_TENANT_UNKNOWN',
    })
  }
})

t.test("who he is and what he may do comes from nobody's body", async (t) => {
  const account = { email: 'a@b.example', password: 'correct horse battery', tenant: 'acme' }
  const tries: readonly [string, object, string][] = [
    ['/auth/register', { ...account, role: 'admin' }, 'role'],
    ['/auth/register', { ...account, is_admin: 'yes' }, 'is_admin'],
    ['/auth/login', { ...account, user_id: '1' }, 'user_id'],
    ['/auth/password/forgot', { email: account.email, tenant: 'acme', tenant_id: '2' }, 'tenant_id'],
    [
      '/acme/api/theme/preview-events',
      { event_id: '9d3c1f0e-0000-4000-8000-000000000000', theme_version: '1', viewport: 'mobile', id: '7' },
      'id',
    ],
  ]
  for (const [url, payload, name] of tries) {
    const answer = await fastify.inject({ method: 'POST', url, payload })
    t.match(answer.json(), { status: 400, detail: `the body must not have "${name}"` }, `${url} ${name}`)
  }
  t.match((await fastify.inject('/acme/api/theme/history?limit=1&tenant=globex')).json(), {
    status: 400,
    detail: 'the query must not have "tenant"',
  })
})

t.test('the code of a 5xx that the document names is one that clients get', async (t) => {
  const named = routes.flatMap(({ method, url, schema }) =>
    (schema?.problems ?? []).flatMap((problem) =>
      typeof problem === 'function' ? [{ at: `${method} ${url}`, told: new problem() }] : [],
    ),
  )
  t.ok(named.length > 50)
  // Without `expose` it would be answered in general words.
  const kept = named.filter(({ told }) => (told.statusCode ?? 500) >= 500 && !('expose' in told))
  t.strictSame(
    kept.map(({ at, told }) => `${at}: ${told.code}`),
    [],
  )
})
