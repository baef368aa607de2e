// What the document says of refusals, read from routes.

import createError from '@fastify/error'
import t from 'tap'
import type { DescribedRoute } from '../src/openapi/described-route.ts'
import { refusalsOf } from '../src/openapi/refusals.ts'

function codesOf(route: Partial<DescribedRoute>): Readonly<Record<number, readonly string[]>> {
  const refusals = refusalsOf({
    method: 'GET',
    url: '/api/x',
    access: 'public',
    schema: {},
    config: {},
    ...route,
  })
  return Object.fromEntries([...refusals].map(([status, all]) => [status, all.map(({ code }) => code)]))
}

t.test('who may use a route makes what it is refused with', async (t) => {
  t.notOk(codesOf({})[401])
  t.strictSame(codesOf({ access: 'user' })[401], ['HOLDFAST_ERR_API_NOT_SIGNED_IN'])
  t.notOk(codesOf({ access: 'user' })[403], 'a GET changes nothing')
  t.strictSame(codesOf({ access: 'user', url: '/:tenant/api/x' })[403], ['HOLDFAST_ERR_API_OTHER_TENANT'])
  t.strictSame(codesOf({ access: 'admin', method: 'POST' })[403], [
    'HOLDFAST_ERR_API_FORBIDDEN',
    'HOLDFAST_ERR_API_CROSS_SITE',
  ])
})

t.test('so do the guards of its config', async (t) => {
  t.strictSame(codesOf({ config: { health: 'probe', access: 'public' } }), {}, 'a probe refuses nobody')
  t.notOk(codesOf({ config: { addressLimit: false } })[429]?.includes('HOLDFAST_ERR_API_ADDRESS_LIMITED'))
  t.ok(codesOf({ config: { tenantRateLimit: 'read' } })[429]?.includes('too_many_requests'))
  const stale = { policy: 'public', onLimit: 'stale', stale: () => undefined } as const
  t.notOk(codesOf({ config: { tenantRateLimit: stale } })[429]?.includes('too_many_requests'))
  t.ok(codesOf({ config: { poolGuard: { criticality: 'normal' } } })[504])
  t.notOk(codesOf({ config: { poolGuard: false } })[504])
  t.ok(codesOf({ config: { hashes: true } })[503]?.includes('HOLDFAST_ERR_API_PASSWORDS_BUSY'))
  t.notOk(codesOf({ url: '/auth/login' })[503], 'what opens it again is never closed')
  t.ok(codesOf({ url: '/auth/loginx' })[503])
})

t.test('errors of a handler are told in their own words, without what is known only then', async (t) => {
  const Full = createError<[number]>('HOLDFAST_ERR_X_FULL', 'there are %d already', 409)
  const refusals = refusalsOf({
    method: 'POST',
    url: '/api/x',
    access: 'public',
    schema: { problems: [Full, { status: 404, code: 'nothing', detail: 'there is none' }] },
    config: {},
  })
  t.same(refusals.get(409), [{ status: 409, code: 'HOLDFAST_ERR_X_FULL', detail: 'there are … already' }])
  t.same(refusals.get(404), [{ status: 404, code: 'nothing', detail: 'there is none' }])
})
