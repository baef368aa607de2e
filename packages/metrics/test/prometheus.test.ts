// A real Prometheus reads what is told, as OpenMetrics and as text, and finds nothing wrong with it.

import type { AddressInfo } from 'node:net'
import { metrics } from '@holdfast/metrics'
import { startPrometheus, waitUntil } from '@holdfast/test-kit'
import Fastify from 'fastify'
import { Counter, Histogram, Registry } from 'prom-client'
import t from 'tap'

t.setTimeout(120_000)

const TOKEN = 'a-token-for-the-collector'
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const accepts: (string | undefined)[] = []
const registry = new Registry()
const registers = [registry]
new Counter({ name: 'theirs_total', help: 'Theirs', labelNames: ['a'], registers }).inc({ a: 'q"\\\n' }, 3)
new Histogram({ name: 'theirs_seconds', help: 'Theirs', registers }).observe(0.2)

const app = Fastify()
t.teardown(() => app.close())
await app.register(metrics, { registry, token: TOKEN, exemplar: () => ({ trace_id: TRACE }) })
app.addHook('onRequest', async ({ url, headers }) => {
  if (url === '/metrics') accepts.push(headers.accept)
})
app.get('/items/:id', async ({ params }) => params)
await app.listen({ host: '127.0.0.1', port: 0 })
const { port } = app.server.address() as AddressInfo
for (const id of [1, 2, 3]) await (await fetch(`http://127.0.0.1:${port}/items/${id}`)).text()

const prometheus = await startPrometheus({
  config: {
    global: { scrape_interval: '1s' },
    scrape_configs: [
      {
        job_name: 'service',
        authorization: { credentials: TOKEN },
        static_configs: [{ targets: [`127.0.0.1:${port}`] }],
      },
    ],
  },
})
t.teardown(() => prometheus.stop())

async function ask<T>(path: string, parameters: Readonly<Record<string, string>> = {}): Promise<T> {
  const url = `${prometheus.directUrl}/api/v1/${path}?${new URLSearchParams(parameters)}`
  return ((await (await fetch(url)).json()) as { readonly data: T }).data
}

interface Targets {
  readonly activeTargets: readonly { readonly health: string; readonly lastError: string }[]
}

t.test('it reads OpenMetrics, and says that nothing is wrong', async (t) => {
  let last: Targets['activeTargets'][number] | undefined
  await waitUntil(
    async () => {
      last = (await ask<Targets>('targets')).activeTargets[0]
      return last !== undefined && last.health !== 'unknown'
    },
    { timeoutMs: 60_000 },
  )
  t.strictSame([last?.health, last?.lastError], ['up', ''])
  t.match(accepts[0], /application\/openmetrics-text/)
})

t.test('what it reads is what was counted', async (t) => {
  const numberOf = async (query: string) => {
    interface Answer {
      readonly result: readonly { readonly value: readonly [number, string] }[]
    }
    return (await ask<Answer>('query', { query })).result.map(({ value }) => value[1])
  }
  t.strictSame(await numberOf('http_requests_total{route="/items/:id",status="200"}'), ['3'])
  t.strictSame(await numberOf('http_request_duration_seconds_count{route="/items/:id"}'), ['3'])
  t.strictSame(await numberOf('theirs_total{a="q\\"\\\\\\n"}'), ['3'])
  t.strictSame(await numberOf('theirs_seconds_count'), ['1'])
  t.strictSame(await numberOf('count(http_request_duration_seconds_bucket{le="1.0"}) >= bool 1'), ['1'])
})

t.test('it keeps the trace of a bucket', async (t) => {
  const now = Date.now() / 1000
  const found = await ask<readonly { readonly exemplars: readonly { readonly labels: object }[] }[]>(
    'query_exemplars',
    {
      query: 'http_request_duration_seconds_bucket{route="/items/:id"}',
      start: String(now - 600),
      end: String(now + 60),
    },
  )
  t.match(found.flatMap(({ exemplars }) => exemplars)[0]?.labels, { trace_id: TRACE })
})
