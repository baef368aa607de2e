// All routes of the service: who may use each, that none leads elsewhere, and that no text makes a pattern slow.

import { subscribe } from 'node:diagnostics_channel'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startPostgres } from '@holdfast/test-kit'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { bearerOf } from './bearer-of.ts'
import { ServiceApp } from './service-app.ts'

t.setTimeout(120_000)

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
const schemas: unknown[] = []
subscribe('fastify.initialization', (message) => {
  const { fastify } = message as { readonly fastify: FastifyInstance }
  fastify.addHook('onRoute', ({ schema }) => void schemas.push(schema))
})
const service = await ServiceApp.start(t, {
  DATABASE_URL: postgres.directUrl,
  ENABLE_METRICS: 'true',
  ABUSE_MAX_PER_MINUTE: '1000000',
  RATE_LIMITS_SIGN_IN_ADDRESS: '1000000/minute',
})
const { fastify } = service.app

const RULES = `guarded DELETE /admin/abuse/blocks/:address
guarded DELETE /admin/abuse/users/:user
guarded DELETE /admin/dlq/:queue/:id
guarded DELETE /admin/limits
guarded DELETE /admin/log-level
guarded DELETE /admin/maintenance/bypasses
guarded DELETE /admin/maintenance/rules/:id
guarded GET /admin/abuse/addresses
guarded GET /admin/abuse/addresses/:address
guarded GET /admin/abuse/blocks
guarded GET /admin/abuse/users
guarded GET /admin/audit
guarded GET /admin/deployment
guarded GET /admin/dlq/:queue
guarded GET /admin/dlq/:queue/:id
guarded GET /admin/lifecycle
guarded GET /admin/limits
guarded GET /admin/log-level
guarded GET /admin/maintenance
guarded GET /admin/maintenance/history
guarded GET /admin/maintenance/rules/:id/quiescence
guarded GET /health/check
guarded GET /health/detailed
guarded GET /health/metrics
guarded GET /health/security
guarded GET /health/summary
guarded GET /metrics
guarded POST /admin/abuse/blocks
guarded POST /admin/banner
guarded POST /admin/banner/clear
guarded POST /admin/dlq/:queue/:id/replay
guarded POST /admin/dlq/:queue/replay
guarded POST /admin/lifecycle/cordon
guarded POST /admin/lifecycle/uncordon
guarded POST /admin/maintenance/bypasses
guarded POST /admin/maintenance/disable
guarded POST /admin/maintenance/enable
guarded POST /auth/logout
guarded PUT /admin/limits
guarded PUT /admin/log-level
guarded PUT /admin/maintenance/rules/:id
public GET /:tenant/api/public/load-theme
public GET /:tenant/api/theme/history
public GET /api/status
public GET /api/status/maintenance
public GET /docs
public GET /docs/explorer.css
public GET /docs/explorer.js
public GET /docs/favicon-32x32.png
public GET /docs/json
public GET /docs/swagger-ui-bundle.js
public GET /docs/swagger-ui.css
public GET /docs/yaml
public GET /health
public GET /health/groups/:group
public GET /health/live
public GET /health/ready
public GET /healthz
public GET /live
public GET /livez
public GET /livez/:check
public GET /ready
public GET /readyz
public GET /readyz/:check
public GET /startupz
public GET /startupz/:check
public POST /:tenant/api/theme/preview-events
public POST /api/status/maintenance/bypass
public POST /auth/login
public POST /auth/password/forgot
public POST /auth/password/reset
public POST /auth/refresh
public POST /auth/register
public POST /auth/verify
user DELETE /auth/sessions/:id
user GET /api/balance
user GET /api/balance/entries
user GET /api/bets
user GET /api/bot/status
user GET /api/bots
user GET /api/bots/:id/events
user GET /api/events
user GET /api/events/:id/odds
user GET /api/sports
user GET /api/trades
user GET /auth/me
user GET /auth/sessions
user POST /api/bets
user POST /api/bot/recover
user POST /api/bot/start
user POST /api/bot/stop
user POST /api/bots
user POST /api/strategies/validate
user POST /auth/password
user POST /auth/sessions/revoke-all`

t.test('every route has its rule, and a change of one shows here', (t) => {
  const table = [...fastify.accessRules].map(([route, rule]) => `${rule} ${route}`)
  const heads = table.filter((line) => / (HEAD|OPTIONS) /.test(line))
  t.strictSame(
    heads.filter((line) => !table.includes(line.replace(/ (HEAD|OPTIONS) /, ' GET '))),
    [],
    'they are as GET',
  )
  t.equal(
    table
      .filter((line) => !heads.includes(line))
      .toSorted()
      .join('\n'),
    RULES,
  )
  t.end()
})

/** All else is open by construction: to see how things are, to sign in, and to open it again. */
const CLOSED = `GET /:tenant/api/public/load-theme
GET /:tenant/api/theme/history
GET /api/balance
GET /api/balance/entries
GET /api/bets
GET /api/bot/status
GET /api/bots
GET /api/bots/:id/events
GET /api/events
GET /api/events/:id/odds
GET /api/sports
GET /api/trades
GET /docs
GET /docs/explorer.css
GET /docs/explorer.js
GET /docs/favicon-32x32.png
GET /docs/json
GET /docs/swagger-ui-bundle.js
GET /docs/swagger-ui.css
GET /docs/yaml
POST /:tenant/api/theme/preview-events
POST /api/bets
POST /api/bot/recover
POST /api/bot/start
POST /api/bot/stop
POST /api/bots
POST /api/strategies/validate
POST /auth/password
POST /auth/password/forgot
POST /auth/password/reset
POST /auth/register
POST /auth/verify`

t.test('a rule that closes everything closes these routes, and no other', async (t) => {
  await fastify.maintenance.set({ allow: { roles: [] } })
  const closed: string[] = []
  for (const route of fastify.accessRules.keys()) {
    const [method = 'GET', path = '/'] = route.split(' ')
    const { body } = await fastify.inject({ method: method as 'GET', url: path.replaceAll(/:\w+/g, 'acme') })
    if (body.includes('HOLDFAST_ERR_MAINTENANCE_ACTIVE')) closed.push(route)
  }
  await fastify.maintenance.clear()
  t.equal(closed.toSorted().join('\n'), CLOSED)
})

/** Places that are not ours, as browsers read them (OWASP, unvalidated redirects). */
const ELSEWHERE = [
  '//evil.example',
  '/\\evil.example',
  '\\\\evil.example',
  '/%09/evil.example',
  'https:evil.example',
  'https://evil.example',
  'javascript:alert(1)',
  '/ok?x=//evil.example',
]
const NAMES = ['next', 'url', 'return_to', 'returnTo', 'redirect', 'redirect_uri', 'continue']

t.test('no answer leads anywhere else, whatever is asked for', async (t) => {
  const admin = await bearerOf(postgres.directUrl, 'acme/admin@acme.example')
  let asked = 0
  for (const route of fastify.accessRules.keys()) {
    const [method = 'GET', path = '/'] = route.split(' ')
    for (const place of ELSEWHERE) {
      const query = new URLSearchParams(NAMES.map((name): [string, string] => [name, place]))
      const { statusCode, headers } = await fastify.inject({
        method: method as 'GET',
        url: `${path.replaceAll(/:\w+/g, 'acme').replaceAll('*', 'x')}?${query}`,
        headers: { authorization: `Bearer ${admin}`, 'x-forwarded-host': 'evil.example' },
      })
      if (headers.location !== undefined || (statusCode >= 300 && statusCode < 400)) {
        t.fail(`${route} with ${place}: ${statusCode} to ${headers.location}`)
      }
      asked += 1
    }
  }
  for (const place of ELSEWHERE) {
    const { statusCode, headers } = await fastify.inject({ url: place.startsWith('/') ? place : `/${place}` })
    t.ok(statusCode < 300 || statusCode >= 400, place)
    t.notOk(headers.location)
  }
  t.comment(`${asked} requests`)
  t.ok(asked > 200)
})

/** Texts that make a pattern with nested or overlapping repetitions try them all. */
function adversaries(length: number): readonly string[] {
  const units = ['a', 'a-', '-', '.', 'a.', '@', 'a@', '%', ' ', '0', '/', '"', '\\', 'hfr_', 'ä', '\u0000']
  return units.flatMap((unit) => {
    const run = unit.repeat(Math.ceil(length / unit.length)).slice(0, length)
    return [run, `${run}!`, `a${run}`, `a@${run}!`, `hfr_${run}!`, `Bearer ${run} !`]
  })
}

function patternsOf(schema: unknown): readonly string[] {
  if (typeof schema !== 'object' || schema === null) return []
  return Object.entries(schema).flatMap(([name, value]) =>
    name === 'pattern' && typeof value === 'string' ? [value] : patternsOf(value),
  )
}

/** A pattern as it is written in the source, where a value may stand. */
const LITERAL =
  /(?<=[=(,:?&|!{[\s])\/(?![*/\s])((?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+)\/([dgimsuvy]*)(?=[\s.,;)\]:?]|$)/gm

/** The patterns in the source of the service, and of the packages that it is made of. */
async function writtenPatterns(): Promise<[string, RegExp][]> {
  const root = join(import.meta.dirname, '../../..')
  const packages = await readdir(join(root, 'packages'))
  const folders = ['apps/api/src', ...packages.map((name) => `packages/${name}/src`)]
  const texts = await Promise.all(folders.map((folder) => sourcesOf(join(root, folder))))
  return texts.flat().flatMap((text) =>
    [...text.matchAll(LITERAL)].map(([, source = '', flags = '']): [string, RegExp] => {
      // Those that remember where they were would begin there.
      return [source, new RegExp(source, flags.replaceAll(/[gy]/g, ''))]
    }),
  )
}

/** Without comments, which may hold what looks like a pattern. */
async function sourcesOf(folder: string): Promise<readonly string[]> {
  const files = (await readdir(folder, { recursive: true })).filter((file) => file.endsWith('.ts'))
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')))
  return texts.map((text) => text.replaceAll(/^\s*(\/\/|\*|\/\*).*$/gm, ''))
}

t.test('no text of 50 KB keeps a pattern busy, of a schema or of the source', async (t) => {
  const found = new Map<string, RegExp>()
  for (const schema of schemas) {
    // As the validator reads them.
    for (const pattern of patternsOf(schema)) found.set(pattern, new RegExp(pattern, 'u'))
  }
  t.ok(found.size >= 12, `${found.size} patterns of schemas`)
  const ofSchemas = found.size
  for (const [source, expression] of await writtenPatterns()) found.set(source, expression)
  t.ok(found.size > ofSchemas + 50, `${found.size} patterns`)
  const texts = adversaries(50_000)
  for (const [pattern, expression] of found) {
    const startMs = performance.now()
    for (const text of texts) expression.test(text)
    const elapsedMs = performance.now() - startMs
    // 96 texts of 50 KB; a pattern that tries them all twice over takes minutes.
    t.ok(elapsedMs < 5000, `${pattern}: ${elapsedMs.toFixed(1)} ms for ${texts.length} texts`)
  }
})
