// Rules, their tests, the list of metrics and the dashboard: written from their sources, understood by promtool, about
// metrics that there are.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { startPostgres, startRedis, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { parse } from 'yaml'
import { dashboard } from '../deploy/grafana/dashboard.ts'
import { LOG_ALERTS } from '../deploy/loki/log-alerts.ts'
import { ALERTS } from '../deploy/prometheus/alerts.ts'
import { CATALOGUE, series } from '../deploy/prometheus/catalogue.ts'
import {
  type Described,
  describe,
  describePrimary,
  describeService,
  sorted,
} from '../deploy/prometheus/described.ts'
import { FILES } from '../deploy/prometheus/files.ts'
import { tableOf } from '../deploy/prometheus/metric-table.ts'
import { METRICS } from '../deploy/prometheus/service-metrics.ts'
import { promtool } from './promtool.ts'
import { ServiceApp } from './service-app.ts'

t.setTimeout(300_000)

const DEPLOY = new URL('../deploy/', import.meta.url).pathname
const TOKEN = 'a-token-for-metrics'
/** Prometheus' own. */
const OWN = ['up']
const ofPrimary = Object.keys(describePrimary())
const file = (path: string) => readFileSync(join(DEPLOY, path), 'utf8')

/** Every expression of a panel, and of an annotation. */
function expressionsOfDashboard(): readonly string[] {
  const targets = dashboard.panels.flatMap((panel) => ('targets' in panel ? panel.targets : []))
  const annotations = dashboard.annotations.list ?? []
  return [...targets, ...annotations].flatMap(({ expr }) => (expr === undefined ? [] : [expr]))
}

/** The metrics that an expression names, without what makes parts of histograms of them. */
function namesIn(expression: string): readonly string[] {
  const bare = expression.replaceAll(/\{[^}]*\}|\[[^\]]*\]|"[^"]*"|(by|on) \([^)]*\)/g, ' ')
  const words = bare.match(/[a-z][a-z0-9]*(_[a-z0-9]+)*(?=\s*($|[^\w\s(]|unless|and))/g) ?? []
  return words
    .filter((word) => word === 'up' || word.includes('_'))
    .map((word) => word.replace(/_bucket$/, ''))
}

const named = new Set(
  [...ALERTS.map(({ expression }) => expression), ...expressionsOfDashboard()].flatMap(namesIn),
)

t.test('the files are those that the sources make', (t) => {
  for (const [path, text] of Object.entries(FILES)) {
    t.equal(file(path), text(), `${path}: pnpm --filter @holdfast/api observability`)
  }
  t.end()
})

t.test('promtool understands the configuration and the rules', (t) => {
  const rules = promtool(['check', 'rules', 'alerts.yaml'])
  t.equal(rules.status, 0, rules.said)
  t.match(rules.said, `SUCCESS: ${ALERTS.length} rules found`)
  // kubernetes.yaml is looked at in scrape-config.test.ts: Debian builds promtool without Kubernetes.
  const configuration = promtool(['check', 'config', 'prometheus.yaml'])
  t.equal(configuration.status, 0, configuration.said)
  t.end()
})

t.test('every alert fires when it should, is silent just below, and says what it does without data', (t) => {
  const { status, said } = promtool(['test', 'rules', 'alerts.test.yaml'])
  t.equal(status, 0, said)
  t.end()
})

t.test('no alert lacks a case, and its cases are about the metrics that it names', (t) => {
  interface RuleTest {
    readonly name: string
    readonly input_series: readonly { readonly series: string }[]
    readonly alert_rule_test: readonly {
      readonly alertname: string
      readonly exp_alerts: readonly object[]
    }[]
  }
  const { groups } = parse(file('prometheus/alerts.yaml')) as {
    readonly groups: readonly {
      readonly rules: readonly { readonly alert: string; readonly expr: string }[]
    }[]
  }
  const { tests } = parse(file('prometheus/alerts.test.yaml')) as { readonly tests: readonly RuleTest[] }
  const rules = groups.flatMap((group) => group.rules)
  t.ok(rules.length >= 30)
  const withoutData = ['HoldfastGone']
  for (const { alert, expr } of rules) {
    const caseOf = (what: string) => {
      const found = tests.filter(({ name }) => name === `${alert} ${what}`)
      t.equal(found.length, 1, `${alert} ${what}`)
      const given = new Set(
        (found[0]?.input_series ?? []).map(({ series }) => /^\w+?(?=_bucket\{|\{|$)/.exec(series)?.[0]),
      )
      const [looked] = found[0]?.alert_rule_test ?? []
      t.equal(looked?.alertname, alert)
      return { given, alerts: looked?.exp_alerts.length ?? 0 }
    }
    const fires = caseOf('fires')
    const silent = caseOf('is silent just below')
    const nothing = caseOf('without data')
    t.equal(fires.alerts, 1, `${alert} fires once`)
    t.equal(silent.alerts, 0)
    t.ok(silent.given.size > 0, `${alert} is silent although there is data`)
    t.equal(nothing.given.size, 0)
    t.equal(nothing.alerts, withoutData.includes(alert) ? 1 : 0)
    const about = namesIn(expr)
    t.ok(about.length > 0, expr)
    for (const name of [...fires.given, ...silent.given])
      t.ok(about.includes(name ?? ''), `${alert}: ${name}`)
  }
  t.end()
})

t.test('every alert has its section in the runbook, which names only what there is', (t) => {
  const runbook = file('prometheus/RUNBOOK.md')
  const anchors = [...runbook.matchAll(/^## (.+)$/gm)].map(([, title = '']) => `#${title.toLowerCase()}`)
  const rules = ['prometheus', 'loki'].flatMap((of) => parse(file(`${of}/alerts.yaml`)).groups[0].rules)
  for (const { alert, annotations } of rules) {
    const [path, anchor] = annotations.runbook_url.split(/(?=#)/)
    t.equal(path, 'apps/api/deploy/prometheus/RUNBOOK.md')
    t.ok(anchors.includes(anchor), `${alert}: ${anchor}`)
  }
  const all = [...ALERTS, ...LOG_ALERTS]
  t.equal(anchors.length, all.length)
  const steps = all.flatMap((alert) => alert.steps).join('\n')
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  // Two that are not of this service.
  const foreign = ['LimitNOFILE', 'SIGTERM']
  for (const [, setting = ''] of steps.matchAll(/`([A-Z][A-Z_]{5,})`/g)) {
    if (!foreign.includes(setting)) t.match(readme, setting, `${setting} is a setting`)
  }
  for (const [, name = ''] of steps.matchAll(/\b([a-z]+(?:_[a-z]+)+)\b/g)) {
    const known = Object.hasOwn(CATALOGUE, name) || ['pg_stat_activity'].includes(name)
    t.ok(known, `${name} is a metric`)
  }
  for (const [, alert = ''] of steps.matchAll(/\b(Holdfast[A-Z]\w+)/g)) {
    t.ok(anchors.includes(`#${alert.toLowerCase()}`), `${alert} is an alert`)
  }
  t.end()
})

t.test('with everything on', async (t) => {
  const [postgres, redis] = await Promise.all([startPostgres(), startRedis()])
  t.teardown(() => Promise.all([postgres.stop(), redis.stop()]))
  const service = await ServiceApp.start(t, {
    DATABASE_URL: postgres.directUrl,
    REDIS_URL: redis.url,
    PROCESS_TYPE: 'all',
    ENABLE_METRICS: 'true',
    METRICS_TOKEN: TOKEN,
    ADMIN_TOKEN: 'a-token-for-operators',
    MANAGEMENT_PORT: '0',
    ABUSE_MAX_PER_MINUTE: '1000000',
  })
  const { fastify } = service.app
  const scrape = async (accept = 'text/plain') =>
    (await fetch(`${service.url}/metrics`, { headers: { authorization: `Bearer ${TOKEN}`, accept } })).text()
  await fastify.inject({ url: '/acme/api/public/load-theme' })
  await fastify.inject({
    method: 'POST',
    url: '/auth/login',
    payload: '{',
    headers: { 'content-type': 'application/json' },
  })
  const closed = await fastify.inject({
    method: 'POST',
    url: '/admin/maintenance/enable',
    headers: { authorization: 'Bearer a-token-for-operators' },
    payload: {},
  })
  t.equal(closed.statusCode, 200, closed.body)
  await waitUntil(async () => /^errors_total\{/m.test(await scrape()))
  await waitUntil(async () => /^holdfast_maintenance_enabled 1$/m.test(await scrape()))
  // On a slow machine a probe of Redis may have been late.
  let text = ''
  await waitUntil(async () => {
    text = await scrape()
    return /^holdfast_redis_guard_up\{redis="redis"\} 1$/m.test(text)
  })

  t.test('promtool finds nothing wrong, whatever is asked for', async (t) => {
    const { status, said } = promtool(['check', 'metrics'], text)
    t.equal(status, 0, said)
    t.equal(said, '')
    t.match(text, /^holdfast_redis_guard_up\{redis="redis"\} 1$/m)
    t.match(text, /^lifecycle_state\{state="serving"\} 1$/m)
    t.match(text, /^holdfast_logging_lines_total\{level="warn"\} [1-9]/m)
  })

  t.test('every metric that a rule or a panel names is there', async (t) => {
    t.ok(named.size > 50, [...named].join())
    for (const name of named) {
      t.ok(Object.hasOwn(CATALOGUE, name), `${name} is in the catalogue`)
      // What the primary of several workers tells is looked at in stuck-workers.test.ts.
      if (![...OWN, ...ofPrimary].includes(name)) t.match(text, new RegExp(`^# TYPE ${name} `, 'm'))
    }
  })

  t.test('the list of metrics is that of the service, with types and labels', async (t) => {
    const registered = fastify.metrics.registry.getMetricsAsArray() as Parameters<typeof describe>[0]
    const live = describe(registered)
    const facts = ({ type, labels }: Pick<Described, 'type' | 'labels'>) => ({ type, labels: [...labels] })
    const of = (list: Readonly<Record<string, Pick<Described, 'type' | 'labels'>>>) =>
      Object.fromEntries(Object.entries(list).map(([name, described]) => [name, facts(described)]))
    const advice = 'pnpm --filter @holdfast/api observability'
    const all = sorted({ ...live, ...describePrimary() })
    t.strictSame(of(METRICS), of(all), advice)
    t.strictSame(all, await describeService(), 'also of one that has reached neither database nor Redis')
    const page = file('prometheus/METRICS.md')
    const [, written = ''] = /^<!-- (.*) -->/.exec(page) ?? []
    t.equal(page, tableOf(all, written), advice)
    for (const [name, { type, labels }] of Object.entries(live)) {
      t.match(text, `# TYPE ${name} ${type}\n`)
      const rows = [...text.matchAll(new RegExp(`^${name}(?:_bucket|_sum|_count)?\\{(.*)\\} `, 'gm'))]
      for (const [, row = ''] of rows) {
        const shown = [...row.matchAll(/(\w+)="/g)]
          .map(([, label]) => label)
          .filter((label) => label !== 'le')
        t.strictSame(shown.toSorted(), labels.toSorted(), name)
      }
    }
    const told = [...text.matchAll(/^# TYPE (\w+) /gm)].map(([, name]) => name)
    t.strictSame(told.toSorted(), Object.keys(live), 'nothing else is told')
  })

  t.test('10,000 unknown paths and 500 junk tenants leave the series as few as they were', async (t) => {
    const count = async () =>
      (await scrape()).split('\n').filter((line) => line !== '' && !line.startsWith('#')).length
    await fastify.inject('/scan/x')
    await fastify.inject('/junk/api/public/load-theme')
    const before = await count()
    // A hundred at a time: most of it is waiting for Redis.
    for (let at = 0; at < 10_000; at += 100)
      await Promise.all(Array.from({ length: 100 }, (_, more) => fastify.inject(`/scan/${at + more}`)))
    for (let at = 0; at < 500; at += 1) await fastify.inject(`/junk-${at}/api/public/load-theme`)
    const after = await count()
    t.comment(`${before} series before, ${after} after`)
    // Collections of memory and open resources come and go.
    t.ok(after <= before + 15, `${before} series before, ${after} after`)
    const now = await scrape()
    t.notMatch(now, 'junk-')
    t.match(now, /^http_requests_total\{method="GET",route="unmatched",status="(404|503)"\} 10001$/m)
    t.equal(promtool(['check', 'metrics'], now).status, 0)
  })
})

t.test('panels have numbers and places of their own', (t) => {
  const { panels } = dashboard
  t.equal(new Set(panels.map(({ id }) => id)).size, panels.length)
  const cells = panels.flatMap(({ gridPos }) => {
    const { x, y, w, h } = gridPos ?? { x: 0, y: 0, w: 0, h: 0 }
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
