import t from 'tap'
import { startPrometheus } from '../src/prometheus.ts'

t.setTimeout(60_000)

t.test('a Prometheus is ready when it has started, and watches what it is told to', async (t) => {
  const prometheus = await startPrometheus({
    config: { scrape_configs: [{ job_name: 'nobody', static_configs: [{ targets: ['127.0.0.1:1'] }] }] },
  })
  t.teardown(() => prometheus.stop())
  const answer = await fetch(`${prometheus.url}/api/v1/targets`)
  const { data } = (await answer.json()) as {
    readonly data: { readonly activeTargets: readonly { readonly labels: object }[] }
  }
  t.match(data.activeTargets, [{ labels: { job: 'nobody', instance: '127.0.0.1:1' } }])
})
