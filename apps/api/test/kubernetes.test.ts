// The manifests of deploy/kubernetes: whether Kubernetes would take them, and whether they fit this service.

import { readdirSync, readFileSync } from 'node:fs'
import { freePort, startPostgres } from '@holdfast/test-kit'
import { Deployment } from 'kubernetes-models/apps/v1'
import t, { type Test } from 'tap'
import { parse, parseAllDocuments } from 'yaml'
import { claim, nightly, scripts } from '../deploy/kubernetes/backup.ts'
import { manifests, rendered } from '../deploy/kubernetes/manifests.ts'
import { PORTS, SECRETS, WORKER_SECRETS } from '../deploy/kubernetes/naming.ts'
import { PROCESSES, type ProcessKind, WORKERS, web as webKind } from '../deploy/kubernetes/processes.ts'
import {
  GRACE_SECONDS,
  MOST_PODS,
  ownerSecrets,
  secrets,
  settings,
  WORKER_PODS,
  workerSecrets,
} from '../deploy/kubernetes/settings.ts'
import { workload } from '../deploy/kubernetes/workload.ts'
import { loadConfig } from '../src/config.ts'
import { shutdownFindings } from '../src/deployment/shutdown-checks.ts'
import { dutiesOf } from '../src/process-type.ts'
import { deployedFile } from './deployed-pgbouncer.ts'
import { freshDatabase } from './fresh-database.ts'
import { runCommand } from './run-command.ts'
import { PRODUCTION, ServiceProcess, scratchDirectory } from './service-process.ts'

const DIRECTORY = new URL('../deploy/kubernetes/manifests/', import.meta.url)
const STRONG = 'a-secret-of-more-than-thirty-two-characters'

/** The environment of a pod, with secrets that somebody has thought of. */
const environment: Readonly<Record<string, string>> = {
  ...settings,
  ...Object.fromEntries(
    Object.entries({ ...secrets, ...ownerSecrets }).map(([name, value]) => [
      name,
      value.includes('://') ? value.replace('change-me', STRONG) : `${STRONG}-${name}`,
    ]),
  ),
}

const web = workload(webKind)
const [container] = web.deployment.spec?.template.spec?.containers ?? []
const probes = [container?.startupProbe, container?.livenessProbe, container?.readinessProbe].flatMap(
  (probe) => (probe === undefined ? [] : [probe]),
)

t.test('the files are what the sources say', async (t) => {
  t.strictSame(readdirSync(DIRECTORY).toSorted(), Object.keys(manifests).toSorted())
  for (const name of Object.keys(manifests)) {
    t.equal(readFileSync(new URL(name, DIRECTORY), 'utf8'), rendered(name), name)
  }
})

t.test('each resource keeps to the schema of Kubernetes, and what does not is refused', async (t) => {
  for (const resource of Object.values(manifests).flat()) t.doesNotThrow(() => resource.validate())
  const wrong = structuredClone(web.deployment.toJSON()) as { spec: { minReadySeconds: unknown } }
  wrong.spec.minReadySeconds = 'soon'
  t.throws(() => new Deployment(wrong as never).validate(), /minReadySeconds/)
})

t.test('a reader of YAML 1.1 finds what was written: text stays text', async (t) => {
  for (const [name, resources] of Object.entries(manifests)) {
    const documents = parseAllDocuments(rendered(name), { version: '1.1' }).map((one) => one.toJS())
    t.strictSame(documents, JSON.parse(JSON.stringify(resources)), name)
  }
})

t.test('the service takes these settings without a word, and no secret that is an example', async (t) => {
  const { config, warnings } = loadConfig(environment)
  t.strictSame(warnings, [])
  t.equal(config.environment, 'production')
  t.throws(() => loadConfig({ ...settings, ...secrets }), /SECRET_KEY is shorter than 32 characters/)
})

t.test('no secret stands among the settings', async (t) => {
  const table = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  const isSecret = (name: string) => table.includes(`| \`${name}\`, \`${name}_FILE\``)
  t.strictSame(Object.keys(settings).filter(isSecret), [])
  const withPassword = Object.entries({ ...secrets, ...ownerSecrets }).filter(
    ([, value]) => !value.includes('://'),
  )
  t.strictSame(
    withPassword.map(([name]) => name).filter((name) => !isSecret(name)),
    [],
  )
  t.not(withPassword.length, 0)
})

t.test('all pods together fit into the pools that PgBouncer keeps for them', async (t) => {
  const ini = deployedFile('pgbouncer.ini')
  const [, poolSize = ''] = /^holdfast = .*pool_size=(\d+)$/m.exec(ini) ?? []
  const [, clients = ''] = /^max_client_conn = (\d+)$/m.exec(ini) ?? []
  const [, workerPoolSize = ''] = /^holdfast_worker = .*pool_size=(\d+)$/m.exec(ini) ?? []
  const { dbWebPoolMax, dbMaxOverflow, dbWorkerPoolMax } = loadConfig(environment).config
  t.ok(MOST_PODS * dbWebPoolMax <= Number(poolSize))
  t.equal(WORKERS.length * WORKER_PODS * dbWorkerPoolMax, Number(workerPoolSize))
  // One more of each kind is there while they are replaced.
  const workers = WORKERS.length * (WORKER_PODS + 1) * dbWorkerPoolMax
  t.ok((MOST_PODS + 1) * (dbWebPoolMax + dbMaxOverflow) + workers <= Number(clients))
})

t.test(
  'each kind of process is told what it is, and those that only work have a role of theirs',
  async (t) => {
    for (const kind of PROCESSES) {
      const [pod] = workload(kind).deployment.spec?.template.spec?.containers ?? []
      const own = Object.fromEntries((pod?.env ?? []).map(({ name, value }) => [name, value]))
      const more = kind.serves ? {} : workerSecrets
      const { config, warnings } = loadConfig({ ...environment, ...own, ...more })
      t.strictSame(warnings, [])
      t.equal(dutiesOf(config.processType).serves, kind.serves)
      t.equal(workload(kind).service !== undefined, kind.serves)
      // The last one of a name holds.
      const secretsOf = (pod?.envFrom ?? []).flatMap(({ secretRef }) => secretRef?.name ?? [])
      t.strictSame(secretsOf, kind.serves ? [SECRETS] : [SECRETS, WORKER_SECRETS])
    }
    t.match(workerSecrets.DATABASE_URL, /\/\/holdfast_worker:.*\/holdfast_worker$/)
  },
)

t.test('a pod has the time that the whole way down may take, as the service itself adds it up', async (t) => {
  const wayDown = (more: Readonly<Record<string, string>> = {}) =>
    shutdownFindings(loadConfig({ ...environment, ...more }).config).map(({ verdict }) => verdict)
  for (const kind of PROCESSES) {
    const spec = workload(kind).deployment.spec?.template.spec
    t.equal(spec?.terminationGracePeriodSeconds, GRACE_SECONDS)
    t.equal(spec?.containers[0]?.lifecycle, undefined, 'no hook takes a part of it')
  }
  t.equal(settings.SHUTDOWN_GRACE, `${GRACE_SECONDS}s`)
  t.strictSame(wayDown(), ['pass'])
  t.strictSame(wayDown({ SHUTDOWN_REQUESTS: '50s' }), ['pass', 'fail'])
})

t.test('each kind of process is replaced without one missing, and none may more than it must', async (t) => {
  for (const kind of PROCESSES) {
    const { deployment, policy, disruptions } = workload(kind)
    t.match(deployment.spec?.strategy?.rollingUpdate, { maxUnavailable: 0, maxSurge: 1 })
    const pod = deployment.spec?.template.spec
    t.match(pod?.securityContext, { runAsNonRoot: true })
    t.match(pod?.containers[0]?.securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
    t.equal(pod?.automountServiceAccountToken, false)
    t.ok(pod?.containers[0]?.resources?.limits?.['memory'])
    t.strictSame(policy.spec?.podSelector?.matchLabels, deployment.spec?.selector.matchLabels)
    t.strictSame(policy.spec?.policyTypes, ['Ingress', 'Egress'])
    t.strictSame(disruptions.spec?.selector?.matchLabels, deployment.spec?.selector.matchLabels)
  }
})

t.test(
  'one backup at a time, in a while that ends, with the programs of the version that is run',
  async (t) => {
    t.match(nightly.spec, {
      concurrencyPolicy: 'Forbid',
      startingDeadlineSeconds: 3600,
      successfulJobsHistoryLimit: 3,
      failedJobsHistoryLimit: 3,
    })
    const { spec } = nightly.spec?.jobTemplate ?? {}
    t.ok((spec?.activeDeadlineSeconds ?? 0) > 0)
    const pod = spec?.template.spec
    const [container] = pod?.containers ?? []
    t.match(pod?.securityContext, { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } })
    t.match(container?.securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
    t.equal(pod?.automountServiceAccountToken, false)
    const compose = parse(readFileSync(new URL('../deploy/compose/compose.yaml', import.meta.url), 'utf8'))
    t.equal(container?.image, compose.services.postgres.image)
    t.strictSame(
      container?.volumeMounts?.map(({ name }) => name).toSorted(),
      pod?.volumes?.map(({ name }) => name).toSorted(),
    )
    const [mountedScripts, mountedClaim] = pod?.volumes ?? []
    t.equal(mountedScripts?.configMap?.name, scripts.metadata?.name)
    t.equal(mountedClaim?.persistentVolumeClaim?.claimName, claim.metadata?.name)
    const password = container?.env?.find(({ name }) => name === 'PGPASSWORD')?.valueFrom?.secretKeyRef
    t.ok(
      manifests['10-secrets.example.yaml']?.some((resource) => {
        const secret = resource.toJSON() as { metadata: { name: string }; stringData: object }
        return secret.metadata.name === password?.name && password.key in secret.stringData
      }),
    )
  },
)

t.test('another kind of process is one entry: it gets what fits it, and nobody in', async (t) => {
  const worker: ProcessKind = {
    ...webKind,
    component: 'migration',
    pods: { fewest: 2, most: 2 },
    serves: false,
    environment: { PROCESS_TYPE: 'worker_odds', LOG_LEVEL: 'debug' },
  }
  const made = workload(worker)
  t.strictSame(Object.keys(made), ['policy', 'deployment', 'disruptions'])
  for (const resource of Object.values(made)) t.doesNotThrow(() => resource.validate())
  t.equal(made.deployment.spec?.replicas, 2)
  const [container] = made.deployment.spec?.template.spec?.containers ?? []
  t.strictSame(container?.env, [
    { name: 'PROCESS_TYPE', value: 'worker_odds' },
    { name: 'LOG_LEVEL', value: 'debug' },
  ])
  t.strictSame(
    container?.ports?.map(({ name }) => name),
    ['management'],
  )
  t.equal(made.policy.spec?.ingress?.length, 1, 'but for whoever scrapes')
})

t.test('whatever selects pods selects those of the deployment, and each port has a name there', async (t) => {
  const template = web.deployment.spec?.template
  const labels = template?.metadata?.labels
  t.strictSame(web.service?.spec?.selector, labels)
  t.strictSame(web.deployment.spec?.selector.matchLabels, labels)
  t.strictSame(web.disruptions.spec?.selector?.matchLabels, labels)
  t.equal(web.autoscaler?.spec?.scaleTargetRef.name, web.deployment.metadata?.name)
  const ports = (container?.ports ?? []).map(({ name }) => name)
  t.ok(ports.includes(String(web.service?.spec?.ports?.[0]?.targetPort)))
  t.equal(probes.length, 3)
  for (const { httpGet } of probes) t.ok(ports.includes(String(httpGet?.port)))
})

t.test('the probes are answered on the port they ask, and the metrics there alone', async (t) => {
  const managementPort = await freePort()
  const service = await production(t, managementPort)
  for (const { httpGet } of probes) {
    const url = `http://127.0.0.1:${managementPort}${httpGet?.path}`
    t.equal((await fetch(url)).status, 200, url)
  }
  t.equal((await fetch(`http://127.0.0.1:${managementPort}/metrics`)).status, 200)
  t.equal((await fetch(`${service.url}/metrics`)).status, 401)
})

/** The service with these settings, where addresses and folders are of this machine. */
async function production(t: Test, managementPort: number): Promise<ServiceProcess> {
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  t.equal(PORTS.http, loadConfig(environment).config.apiPort)
  const own = { DATABASE_URL: await freshDatabase(postgres.directUrl), DATA_DIRECTORY: scratchDirectory(t) }
  t.match(await runCommand(['migrate', 'up'], own), { code: 0 })
  return ServiceProcess.start(t, {
    ...settings,
    ...PRODUCTION,
    ...own,
    API_PORT: '0',
    MANAGEMENT_PORT: String(managementPort),
  })
}
