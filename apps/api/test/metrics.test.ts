// The metrics of the service: every name that was promised, on real requests, with labels that stay few.

import { spawnSync } from 'node:child_process'
import { channel } from 'node:diagnostics_channel'
import { requireExecutable, startPostgres, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { componentOf } from '../src/error-component.ts'
import { WORKER_GAUGES } from '../src/worker-gauges.ts'
import { ServiceApp } from './service-app.ts'

t.setTimeout(120_000)

const TOKEN = 'a-token-for-metrics'
const postgres = await startPostgres()
t.teardown(() => postgres.stop())
const service = await ServiceApp.start(t, {
  DATABASE_URL: postgres.directUrl,
  ENABLE_METRICS: 'true',
  METRICS_TOKEN: TOKEN,
  APP_VERSION: '7.1.0',
  ABUSE_MAX_PER_MINUTE: '1000000',
  RATE_LIMITS_IP: '1000000/minute',
})

async function scrape(headers: Readonly<Record<string, string>> = {}): Promise<string> {
  const answer = await fetch(`${service.url}/metrics`, {
    headers: { authorization: `Bearer ${TOKEN}`, ...headers },
  })
  t.equal(answer.status, 200)
  return answer.text()
}

/** Section 2 of the requirements, with the type of each. */
const PROMISED: Readonly<Record<string, string>> = {
  http_requests_total: 'counter',
  http_request_duration_seconds: 'histogram',
  tenant_requests_total: 'counter',
  db_pool_usage_percent: 'gauge',
  db_pool_usage_ratio: 'gauge',
  db_pool_waiting_connections: 'gauge',
  db_active_connections: 'gauge',
  cache_hits_total: 'counter',
  cache_misses_total: 'counter',
  circuit_breaker_state: 'gauge',
  bot_starts_total: 'counter',
  bot_stops_total: 'counter',
  bot_recovers_total: 'counter',
  active_bots: 'gauge',
  errors_total: 'counter',
  app_info: 'gauge',
  process_cpu_seconds_total: 'counter',
  nodejs_gc_duration_seconds: 'histogram',
  nodejs_eventloop_delay_seconds: 'histogram',
}

t.test('every name that was promised is there, and promtool finds nothing wrong with any', async (t) => {
  await (await fetch(`${service.url}/acme/api/public/load-theme`)).text()
  await (
    await fetch(`${service.url}/auth/login`, {
      method: 'POST',
      body: '{',
      headers: { 'content-type': 'application/json' },
    })
  ).text()
  await waitUntil(async () => /route="\/auth\/login"/.test(await scrape()))
  const text = await scrape()
  for (const [name, type] of Object.entries(PROMISED)) {
    t.match(text, `# TYPE ${name} ${type}\n`)
    t.match(text, new RegExp(`^${name}(_count)?(\\{|\\s)`, 'm'), `${name} has a series`)
  }
  t.match(text, /^app_info\{version="7.1.0",environment="development"\} 1$/m)
  t.match(text, /^db_pool_usage_percent\{.*process_type="web"/m)
  t.match(text, /^tenant_requests_total\{tenant="acme"\} 1$/m)
  t.match(
    text,
    /^http_requests_total\{method="GET",route="\/:tenant\/api\/public\/load-theme",status="200"\} 1$/m,
  )
  t.match(text, /^http_requests_total\{method="POST",route="\/auth\/login",status="400"\} 1$/m)
  t.match(text, /^errors_total\{type="validation",component="http"\} 1$/m)
  const { status, stdout, stderr } = spawnSync(requireExecutable('promtool'), ['check', 'metrics'], {
    input: text,
    encoding: 'utf8',
  })
  t.equal(status, 0, `${stdout}${stderr}`)
})

t.test('a collector that knows OpenMetrics gets it', async (t) => {
  const text = await scrape({ accept: 'application/openmetrics-text;version=1.0.0,text/plain;q=0.5' })
  t.match(text, /# TYPE http_requests counter\n/)
  t.match(text, /# EOF\n$/)
  t.notMatch(text, ' # {', 'nobody was traced yet')
})

t.test('of a request that is traced its bucket has the trace, and the id that its line has', async (t) => {
  const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
  const ask = (flags: string, id: string) =>
    fetch(`${service.url}/acme/api/public/load-theme`, {
      headers: {
        traceparent: `00-${traceId}-00f067aa0ba902b7-${flags}`,
        'x-correlation-id': id,
      },
    })
  const longest = `shop-${'7'.repeat(59)}`
  await (await ask('00', 'shop-unsampled')).text()
  await (await ask('01', longest)).text()
  const accept = 'application/openmetrics-text'
  await waitUntil(async () => (await scrape({ accept })).includes(longest))
  const text = await scrape({ accept })
  const bucket = new RegExp(
    `^http_request_duration_seconds_bucket\\{.*\\} \\d+ # \\{trace_id="${traceId}",correlation_id="${longest}"\\} [\\d.e-]+ [\\d.]+$`,
    'm',
  )
  t.match(text, bucket)
  t.notMatch(text, 'shop-unsampled')
  t.notMatch(await scrape(), ' # {', 'text has none')
})

t.test('what hooks refuse is counted with its route, and probes with theirs', async (t) => {
  await (await fetch(`${service.url}/healthz`)).text()
  await (await fetch(`${service.url}/api/bot/status`)).text()
  await waitUntil(async () => {
    const text = await scrape()
    return (
      /^http_requests_total\{method="GET",route="\/healthz",status="200"\} [1-9]/m.test(text) &&
      /^http_requests_total\{method="GET",route="\/api\/bot\/status",status="401"\} 1$/m.test(text)
    )
  })
  t.match(await scrape(), /^errors_total\{type="unauthenticated",component="api"\} [1-9]/m)
})

t.test('the times of operations are on /health/metrics', async (t) => {
  channel('holdfast:logging:event').publish({
    type: 'PERFORMANCE_EVENT',
    event: 'settle',
    line: { duration_ms: 7 },
  })
  channel('holdfast:logging:event').publish({ type: 'USER_ACTION', event: 'bet', line: { duration_ms: 7 } })
  await scrape()
  const headers = { authorization: `Bearer ${TOKEN}` }
  const { reports } = (await (await fetch(`${service.url}/health/metrics`, { headers })).json()) as {
    readonly reports: { readonly operations: Readonly<Record<string, { readonly count: number }>> }
  }
  t.match(reports.operations, { settle: { count: 1, min_ms: 7, max_ms: 7, average_ms: 7 } })
  t.ok((reports.operations['load active-bots']?.count ?? 0) > 0, Object.keys(reports.operations).join())
  t.notOk(reports.operations['bet'])
})

t.test('gauges of workers that do not add up are gauges that there are', async (t) => {
  const text = await scrape()
  // Without Redis, and of the way up, there are none.
  const absent = /^(holdfast_redis_guard|lifecycle)_/
  for (const name of Object.keys(WORKER_GAUGES)) {
    if (!absent.test(name)) t.match(text, `# TYPE ${name} gauge\n`)
  }
})

t.test('an error says by its code where it comes from', (t) => {
  for (const [error, component] of [
    [{ code: 'HOLDFAST_ERR_POOL_GUARD_SATURATED' }, 'database'],
    [{ code: '40001', severity: 'ERROR' }, 'database'],
    [{ code: 'EPIPE' }, 'application'],
    [{ code: 'HOLDFAST_ERR_API_ADDRESS_LIMITED' }, 'limits'],
    [{ code: 'HOLDFAST_ERR_API_BOT_STATE' }, 'api'],
    [{ code: 'FST_ERR_CTP_EMPTY_JSON_BODY' }, 'http'],
    [new Error('nothing'), 'application'],
    [null, 'application'],
  ] as const) {
    t.equal(componentOf(error), component)
  }
  t.end()
})
