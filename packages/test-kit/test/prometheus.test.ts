import t from 'tap'
import { startPrometheus } from '../src/prometheus.ts'
import { waitUntil } from '../src/wait-until.ts'

t.setTimeout(60_000)

interface Targets {
  readonly data: { readonly activeTargets: readonly { readonly labels: object }[] }
}

t.test('a Prometheus is ready when it has started, and watches what it is told to', async (t) => {
  const prometheus = await startPrometheus({
    config: { scrape_configs: [{ job_name: 'nobody', static_configs: [{ targets: ['127.0.0.1:1'] }] }] },
  })
  t.teardown(() => prometheus.stop())
  let targets: Targets['data']['activeTargets'] = []
  // It looks for its targets after it is ready.
  await waitUntil(async () => {
    const answer = await fetch(`${prometheus.url}/api/v1/targets`)
    targets = ((await answer.json()) as Targets).data.activeTargets
    return targets.length > 0
  })
  t.match(targets, [{ labels: { job: 'nobody', instance: '127.0.0.1:1' } }])
})
