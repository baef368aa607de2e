// Who reaches whom in the cluster: the gateway that people come through, whether it fits the settings of the service, and
// whether both ends of each connection between pods are let.

import { readFileSync } from 'node:fs'
import { AddressList, readAddress } from '@holdfast/footing'
import { BackendTrafficPolicy } from '@kubernetes-models/envoy-gateway/gateway.envoyproxy.io/v1alpha1/BackendTrafficPolicy'
import { HTTPRoute } from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute'
import type { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1'
import t from 'tap'
import { clients, gateway, notFromOutside, pods, route, toHttps } from '../deploy/kubernetes/gateway.ts'
import { manifests } from '../deploy/kubernetes/manifests.ts'
import { GATEWAY, NAMESPACE } from '../deploy/kubernetes/naming.ts'
import { web as webKind } from '../deploy/kubernetes/processes.ts'
import { settings } from '../deploy/kubernetes/settings.ts'
import { workload } from '../deploy/kubernetes/workload.ts'
import { loadConfig } from '../src/config.ts'
import { shutdownFindings } from '../src/deployment/shutdown-checks.ts'
import { isPublicAddress } from '../src/notifications/public-addresses.ts'
import { shutdownTimes } from '../src/shutdown-times.ts'

const STRONG = 'a-secret-of-more-than-thirty-two-characters'
const { config } = loadConfig({
  ...settings,
  DATABASE_URL: `postgres://holdfast_web:${STRONG}@pgbouncer:6432/holdfast`,
  SECRET_KEY: STRONG,
})
const web = workload(webKind)
const rules = route.spec?.rules ?? []
const [inside, everything] = rules

/** A duration of the Gateway API, as far as it is used here. */
const msOf = (text: string | undefined) => {
  const [, seconds] = /^(\d+)s$/.exec(text ?? '') ?? []
  return Number(seconds) * 1000
}

t.test(
  'the gateway waits longer than the service takes, and for no client longer than it would',
  async (t) => {
    const { request, backendRequest } = everything?.timeouts ?? {}
    t.ok(msOf(backendRequest) > config.handlerTimeoutMs)
    t.ok(msOf(request) > config.requestTimeoutMs + config.handlerTimeoutMs)
    t.equal(msOf(clients.spec?.timeout?.http?.requestReceivedTimeout), config.requestTimeoutMs)
    t.equal(pods.spec?.requestBuffer?.limit, '1Mi')
    t.equal(config.maxRequestBytes, 1024 * 1024)
  },
)

t.test('it closes what lies idle before a pod does, also before one that goes', async (t) => {
  const idleMs = msOf(pods.spec?.timeout?.http?.connectionIdleTimeout)
  t.equal(idleMs, config.proxyKeepAliveMs)
  t.ok(idleMs <= shutdownTimes(config).minDrainMs)
  t.strictSame(
    shutdownFindings(config).map(({ verdict }) => verdict),
    ['pass'],
  )
})

t.test('it tries nothing again that a pod may have done', async (t) => {
  t.strictSame(pods.spec?.retry?.retryOn?.triggers, ['connect-failure'])
  t.equal(pods.spec?.retry?.retryOn?.httpStatusCodes, undefined)
  for (const rule of rules) t.notOk('retry' in rule)
})

t.test('what people ask reaches the pods, and nothing that OPERATIONS.md keeps inside', async (t) => {
  t.strictSame(everything?.matches, [{ path: { type: 'PathPrefix', value: '/' } }])
  t.strictSame(everything?.backendRefs, [
    { name: web.service?.metadata?.name, port: web.service?.spec?.ports?.[0]?.port },
  ])
  const guide = readFileSync(new URL('../../../OPERATIONS.md', import.meta.url), 'utf8')
  const [, listed = ''] =
    /^Everything else goes through:[\s\S]*Do not let ([^.]+) in from outside/m.exec(guide) ?? []
  const kept = [...listed.matchAll(/`(\/\w+)\/?`/g)].map(([, path]) => path)
  t.strictSame(
    inside?.matches?.map(({ path }) => path),
    kept.map((value) => ({ type: 'PathPrefix', value })),
  )
  t.equal(inside?.backendRefs, undefined)
  t.strictSame(
    inside?.filters?.map(({ extensionRef }) => extensionRef?.name),
    [notFromOutside.metadata?.name],
  )
  t.equal(notFromOutside.spec?.directResponse?.statusCode, 404)
})

t.test('each part names parts that are there', async (t) => {
  const { hostname } = new URL(settings.PUBLIC_URL)
  const sections = gateway.spec?.listeners.map(({ name }) => name) ?? []
  for (const { spec } of [toHttps, route]) {
    t.strictSame(spec?.hostnames, [hostname])
    for (const { name, sectionName } of spec?.parentRefs ?? []) {
      t.equal(name, gateway.metadata?.name)
      t.ok(sections.includes(sectionName ?? ''))
    }
  }
  for (const listener of gateway.spec?.listeners ?? []) t.equal(listener.hostname, hostname)
  t.equal(clients.spec?.targetRefs?.[0]?.name, gateway.metadata?.name)
  t.equal(pods.spec?.targetRefs?.[0]?.name, route.metadata?.name)
})

t.test('a word or a value that Envoy Gateway does not know is refused', async (t) => {
  const wrongRoute = structuredClone(route.toJSON()) as { spec: { rules: { timeouts?: object }[] } }
  const [, rule] = wrongRoute.spec.rules
  if (rule !== undefined) rule.timeouts = { request: '45 seconds' }
  t.throws(() => new HTTPRoute(wrongRoute as never).validate(), /timeouts/)
  const wrongPolicy = structuredClone(pods.toJSON()) as { spec: { retry: { retryOn: object } } }
  wrongPolicy.spec.retry.retryOn = { triggers: ['whatever'] }
  t.throws(() => new BackendTrafficPolicy(wrongPolicy as never).validate(), /triggers/)
})

interface Peer {
  readonly namespaceSelector?: { readonly matchLabels?: Readonly<Record<string, string>> }
  readonly podSelector?: { readonly matchLabels?: Readonly<Record<string, string>> }
}

const policies = Object.values(manifests)
  .flat()
  .map((resource) => resource.toJSON() as NetworkPolicy)
  .filter(({ kind }) => kind === 'NetworkPolicy')
const labelsOf = ({ podSelector }: Peer) => podSelector?.matchLabels ?? {}
const named = (labels: Readonly<Record<string, string>>) => JSON.stringify(labels)

t.test('what one pod may ask, the other may answer', async (t) => {
  // All pods are named in the first, which lets nobody: a connection needs both of its ends.
  t.strictSame(policies[0]?.spec?.podSelector, {})
  const ends = { out: new Set<string>(), in: new Set<string>() }
  for (const { spec } of policies) {
    const own = named(labelsOf({ ...spec }))
    for (const { to = [], ports = [] } of spec?.egress ?? [])
      for (const peer of to.filter(
        ({ namespaceSelector, ipBlock }) => namespaceSelector === undefined && ipBlock === undefined,
      ))
        for (const { port } of ports) ends.out.add(`${own} asks ${named(labelsOf(peer))} at ${port}`)
    for (const { from = [], ports = [] } of spec?.ingress ?? [])
      for (const peer of from.filter(({ namespaceSelector }) => namespaceSelector === undefined))
        for (const { port } of ports) ends.in.add(`${named(labelsOf(peer))} asks ${own} at ${port}`)
  }
  t.ok(ends.out.size > 5)
  t.strictSame([...ends.in].toSorted(), [...ends.out].toSorted())
})

const unreadable = (entry: string): never => {
  throw new Error(`${entry} is no network`)
}

t.test('workers alone may ask others, encrypted and at public addresses', async (t) => {
  const blocksOf = ({ spec }: NetworkPolicy) =>
    (spec?.egress ?? []).flatMap(({ to = [], ports = [] }) =>
      to.flatMap(({ ipBlock }) => (ipBlock === undefined ? [] : [{ ...ipBlock, ports }])),
    )
  const outward = policies.filter((policy) => blocksOf(policy).length > 0)
  t.strictSame(
    outward.map((policy) => labelsOf({ ...policy.spec })['app.kubernetes.io/component']),
    ['worker-bots', 'worker-odds', 'worker-settlement'],
  )
  for (const policy of outward) {
    for (const { ports } of blocksOf(policy)) t.strictSame(ports, [{ protocol: 'TCP', port: 443 }])
    const lists = blocksOf(policy).map(({ cidr, except = [] }) => ({
      all: new AddressList([cidr], unreadable),
      but: new AddressList(except, unreadable),
    }))
    for (const [text, expected] of [
      ['8.8.8.8', true],
      ['149.154.167.220', true],
      ['2606:4700::1111', true],
      ['10.0.0.1', false],
      ['169.254.169.254', false],
      ['127.0.0.1', false],
      ['::1', false],
      ['::ffff:10.0.0.1', false],
      ['fd00:ec2::254', false],
      ['2002:a00:1::', false],
    ] as const) {
      const address = readAddress(text) ?? t.fail(text)
      const isLet = lists.some(
        ({ all, but }) => typeof address === 'object' && all.includes(address) && !but.includes(address),
      )
      t.equal(isLet, expected, text)
      t.equal(isPublicAddress(text), expected, `${text}, as the client has it`)
    }
  }
})

t.test('from outside the namespace only the gateway reaches what people ask', async (t) => {
  const [first, second, ...more] = web.policy.spec?.ingress ?? []
  t.strictSame(more, [])
  t.strictSame(first?.from, [
    {
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': GATEWAY.namespace } },
      podSelector: {
        matchLabels: {
          'gateway.envoyproxy.io/owning-gateway-name': gateway.metadata?.name,
          'gateway.envoyproxy.io/owning-gateway-namespace': NAMESPACE,
        },
      },
    },
  ])
  t.strictSame(
    first?.ports?.map(({ port }) => port),
    [config.apiPort],
  )
  t.strictSame(
    second?.ports?.map(({ port }) => port),
    [config.managementPort],
  )
})
