// How Prometheus finds the service: in Compose by name, in Kubernetes by what the pods say about themselves.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { startPrometheus, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { parse } from 'yaml'
import { manifests } from '../deploy/kubernetes/manifests.ts'
import { migration } from '../deploy/kubernetes/migration.ts'
import { MONITORING, NAMESPACE } from '../deploy/kubernetes/naming.ts'
import { web } from '../deploy/kubernetes/processes.ts'
import { workload } from '../deploy/kubernetes/workload.ts'

t.setTimeout(120_000)

const file = (path: string) => parse(readFileSync(new URL(`../deploy/${path}`, import.meta.url), 'utf8'))

interface Template {
  readonly metadata?: {
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
  readonly spec?: {
    readonly containers: readonly { readonly ports?: readonly { readonly containerPort: number }[] }[]
  }
}

/** The targets that Prometheus makes of a pod of this template: one for each port, with these labels. */
function targetsOf(address: string, name: string, template: Template | undefined, phase = 'Running') {
  const meta = (kind: string, of: Readonly<Record<string, string>> = {}) =>
    Object.entries(of).map(([key, value]) => [
      `__meta_kubernetes_pod_${kind}_${key.replaceAll(/\W/g, '_')}`,
      value,
    ])
  const ports = template?.spec?.containers.flatMap(({ ports = [] }) => ports) ?? []
  // Where a container has no port, there is one target without.
  const numbers = ports.length === 0 ? [''] : ports.map(({ containerPort }) => String(containerPort))
  return numbers.map((number) => ({
    targets: [address],
    labels: Object.fromEntries([
      ...meta('label', template?.metadata?.labels),
      ...meta('annotation', template?.metadata?.annotations),
      ['__meta_kubernetes_pod_container_port_number', number],
      ['__meta_kubernetes_pod_name', name],
      ['__meta_kubernetes_pod_phase', phase],
    ]),
  }))
}

t.test(
  'of all pods of the namespace, the port with the metrics is asked, by the name of the pod',
  async (t) => {
    const asked: (string | undefined)[] = []
    const server = createServer(({ url }, response) => {
      asked.push(url)
      response.setHeader('content-type', 'text/plain; version=0.0.4').end('app_info 1\n')
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    t.teardown(() => server.close())
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`

    const template = workload(web).deployment.spec?.template as Template
    const stranger: Template = {
      metadata: { ...template.metadata, labels: { 'app.kubernetes.io/name': 'stranger' } },
    }
    const { kubernetes_sd_configs: discovery, ...job } = file('prometheus/kubernetes.yaml').scrape_configs[0]
    t.strictSame(discovery, [{ role: 'pod', namespaces: { names: [NAMESPACE] } }])
    const prometheus = await startPrometheus({
      config: {
        global: { scrape_interval: '1s' },
        // The discovery itself needs a cluster; what it would find is said here.
        scrape_configs: [
          {
            ...job,
            static_configs: [
              ...targetsOf(address, 'holdfast-web-1', template),
              ...targetsOf(address, 'holdfast-web-0', template, 'Failed'),
              ...targetsOf(address, 'holdfast-migration-1', migration.spec?.template as Template),
              ...targetsOf(address, 'stranger-1', stranger),
            ],
          },
        ],
      },
    })
    t.teardown(() => prometheus.stop())
    interface Target {
      readonly health: string
      readonly labels: Readonly<Record<string, string>>
    }
    let active: readonly Target[] = []
    await waitUntil(
      async () => {
        const answer = await fetch(`${prometheus.directUrl}/api/v1/targets`)
        active = ((await answer.json()) as { readonly data: { readonly activeTargets: readonly Target[] } })
          .data.activeTargets
        return active.length > 0 && active.every(({ health }) => health !== 'unknown')
      },
      { timeoutMs: 60_000 },
    )
    t.strictSame(
      active.map(({ health, labels }) => [health, labels]),
      [['up', { job: 'holdfast-api', instance: 'holdfast-web-1', component: 'web' }]],
    )
    t.strictSame([...new Set(asked)], ['/metrics'])
  },
)

t.test('the Prometheus of the cluster may find the pods of this namespace, and nothing else', async (t) => {
  const resources = (manifests['50-monitoring.yaml'] ?? []).map((one) => one.toJSON())
  t.match(resources, [
    { kind: 'Role', metadata: { namespace: NAMESPACE }, rules: [{ resources: ['pods'] }] },
    {
      kind: 'RoleBinding',
      metadata: { namespace: NAMESPACE },
      subjects: [
        { kind: 'ServiceAccount', name: MONITORING.serviceAccount, namespace: MONITORING.namespace },
      ],
    },
  ])
})

t.test('in Compose it asks the instances that there are, and Grafana asks it', async (t) => {
  const { services } = file('compose/compose.yaml')
  const { scrape_configs: jobs, rule_files: rules } = file('prometheus/prometheus.yaml')
  const targets: string[] = jobs[0].static_configs[0].targets
  const instances = Object.keys(services).filter((name) => /^(api|worker)-/.test(name))
  t.strictSame(
    targets,
    instances.map((name) => `${name}:9000`),
  )
  const mounted = (name: string): string[] => services[name].volumes.map((one: string) => one.split(':')[1])
  for (const path of ['prometheus.yaml', ...rules])
    t.ok(mounted('prometheus').includes(`/etc/prometheus/${path}`), path)

  const { datasources } = file('grafana/provisioning/datasources/prometheus.yaml')
  const [source] = datasources
  t.match(source, { type: 'prometheus', url: 'http://prometheus:9090', isDefault: true })
  t.ok(Object.hasOwn(services, new URL(source.url).hostname))
  const { providers } = file('grafana/provisioning/dashboards/holdfast.yaml')
  t.ok(mounted('grafana').includes(`${providers[0].options.path}/holdfast.json`))
  t.ok(mounted('grafana').includes('/etc/grafana/provisioning'))
  t.strictSame(services.grafana.ports, ['127.0.0.1:3000:3000'], 'nobody outside reaches it')
  t.equal(services.prometheus.ports, undefined)
})
