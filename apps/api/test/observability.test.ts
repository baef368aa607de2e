// Rules, their tests and the dashboard: written from their sources, understood by promtool, about metrics that there are.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { requireExecutable, startPostgres, startRedis, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { dashboard } from '../deploy/grafana/dashboard.ts'
import { ALERTS } from '../deploy/prometheus/alerts.ts'
import { CATALOGUE, series } from '../deploy/prometheus/catalogue.ts'
import { FILES } from '../deploy/prometheus/files.ts'
import { ServiceApp } from './service-app.ts'

t.setTimeout(120_000)

const DEPLOY = new URL('../deploy/', import.meta.url).pathname
const PROMETHEUS = join(DEPLOY, 'prometheus')
/** Prometheus' own. */
const OWN = ['up']

function promtool(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(requireExecutable('promtool'), args, {
    cwd: PROMETHEUS,
    encoding: 'utf8',
  })
  return { status, said: stdout + stderr }
}

interface Target {
  readonly expr: string
}

/** Every expression of a panel, and of an annotation. */
function expressionsOfDashboard(): readonly string[] {
  const panels = dashboard.panels as readonly { readonly targets?: readonly Target[] }[]
  const targets = panels.flatMap(({ targets = [] }) => targets)
  return [...targets, ...dashboard.annotations.list].map(({ expr }) => expr)
}

/** The metrics that an expression names, without what makes parts of histograms of them. */
function namesIn(expression: string): readonly string[] {
  const bare = expression.replaceAll(/\{[^}]*\}|\[[^\]]*\]|"[^"]*"|by \([^)]*\)/g, ' ')
  const words = bare.match(/[a-z][a-z0-9]*(_[a-z0-9]+)*(?=\s*($|[^\w\s(]))/g) ?? []
  return words
    .filter((word) => word === 'up' || word.includes('_'))
    .map((word) => word.replace(/_bucket$/, ''))
}

t.test('the files are those that the sources make', (t) => {
  for (const [path, text] of Object.entries(FILES)) {
    t.equal(
      readFileSync(join(DEPLOY, path), 'utf8'),
      text(),
      `${path}: pnpm --filter @holdfast/api observability`,
    )
  }
  t.end()
})

t.test('promtool understands the configuration and the rules', (t) => {
  const rules = promtool('check', 'rules', 'alerts.yaml')
  t.equal(rules.status, 0, rules.said)
  t.match(rules.said, `SUCCESS: ${ALERTS.length} rules found`)
  const configuration = promtool('check', 'config', 'prometheus.yaml')
  t.equal(configuration.status, 0, configuration.said)
  t.end()
})

t.test('every alert fires when it should, is silent just below, and says what it does without data', (t) => {
  const { status, said } = promtool('test', 'rules', 'alerts.test.yaml')
  t.equal(status, 0, said)
  const tests = readFileSync(join(PROMETHEUS, 'alerts.test.yaml'), 'utf8')
  for (const { name } of ALERTS) {
    for (const what of ['fires', 'is silent just below', 'without data'])
      t.match(tests, `name: ${name} ${what}\n`)
  }
  t.end()
})

t.test('every metric that a rule or a panel names is in a live scrape, as the catalogue says', async (t) => {
  const [postgres, redis] = await Promise.all([startPostgres(), startRedis()])
  t.teardown(() => Promise.all([postgres.stop(), redis.stop()]))
  const service = await ServiceApp.start(t, {
    DATABASE_URL: postgres.directUrl,
    REDIS_URL: redis.url,
    ENABLE_METRICS: 'true',
    METRICS_TOKEN: 'a-token-for-metrics',
  })
  const { fastify } = service.app
  const scrape = async () =>
    (
      await fetch(`${service.url}/metrics`, { headers: { authorization: 'Bearer a-token-for-metrics' } })
    ).text()
  await fastify.inject({ url: '/acme/api/public/load-theme' })
  await fastify.inject({
    method: 'POST',
    url: '/auth/login',
    payload: '{',
    headers: { 'content-type': 'application/json' },
  })
  await waitUntil(async () => /^errors_total\{/m.test(await scrape()))
  const text = await scrape()
  for (const [name, { type, labels }] of Object.entries(CATALOGUE)) {
    if (OWN.includes(name)) continue
    t.match(text, `# TYPE ${name} ${type}\n`)
    const rows = [...text.matchAll(new RegExp(`^${name}(?:_bucket)?\\{(.*)\\} `, 'gm'))]
    const shown = new Set(
      rows.flatMap(([, row = '']) => [...row.matchAll(/(\w+)="/g)].map(([, label]) => label)),
    )
    shown.delete('le')
    const unknown = [...shown].filter((label) => !(labels as readonly string[]).includes(label ?? ''))
    t.strictSame(unknown, [], `${name} has no other labels`)
  }
  const named = [...ALERTS.map(({ expression }) => expression), ...expressionsOfDashboard()].flatMap(namesIn)
  t.ok(new Set(named).size > 25, [...new Set(named)].join())
  for (const name of new Set(named)) t.ok(Object.hasOwn(CATALOGUE, name), `${name} is in the catalogue`)
  const unused = Object.keys(CATALOGUE).filter((name) => !named.includes(name))
  // Kept for those who write panels of their own.
  t.ok(unused.length < 8, unused.join())
})

t.test('panels have numbers and places of their own', (t) => {
  const panels = dashboard.panels as readonly {
    readonly id: number
    readonly type: string
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  }[]
  t.equal(new Set(panels.map(({ id }) => id)).size, panels.length)
  const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) => {
    t.ok(x + w <= 24)
    return Array.from({ length: w * h }, (_, at) => `${x + (at % w)},${y + Math.floor(at / w)}`)
  })
  t.equal(new Set(cells).size, cells.length, 'none covers another')
  t.end()
})

t.test('a metric or a label that there is not does not compile', (t) => {
  // @ts-expect-error: no such metric
  t.match(series('http_requests'), 'http_requests')
  // @ts-expect-error: it has no such label
  t.match(series('active_bots', { tenant: '="acme"' }), 'active_bots{tenant="acme"}')
  t.equal(series('errors_total', { type: '!="client"' }), 'errors_total{type!="client"}')
  t.end()
})
