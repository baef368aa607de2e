// Who may talk to the pods, and to whom they may talk: nobody, but for what is named here.

import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1'
import { GIVEN_OUT, RESERVED } from '../../src/notifications/reserved-networks.ts'
import { type Component, GATEWAY, MONITORING, metadata, NAMESPACE, PORTS, selects } from './naming.ts'
import type { ProcessKind } from './processes.ts'

const ofNamespace = (name: string) => ({
  namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': name } },
})
const tcp = (...ports: number[]) => ports.map((port) => ({ protocol: 'TCP' as const, port }))
const names = {
  to: [ofNamespace('kube-system')],
  ports: [{ protocol: 'UDP' as const, port: 53 }, ...tcp(53)],
}
/** What the pods of a dependency are called; they are yours. */
const labelled = (name: string) => ({ matchLabels: { 'app.kubernetes.io/name': name } })
const ours = (...components: Component[]) =>
  components.map((component) => ({ podSelector: { matchLabels: selects(component) } }))

const WORKERS = ['worker-bots', 'worker-odds', 'worker-settlement'] as const satisfies Component[]

/** What the service needs beside itself: where it listens, and which of our pods ask it. */
const DEPENDENCIES = {
  postgres: { port: 5432, asked: ['migration', 'backup'] },
  pgbouncer: { port: 6432, asked: ['web', ...WORKERS] },
  redis: { port: 6379, asked: ['web', ...WORKERS] },
  smtp: { port: 587, asked: ['web'] },
} as const satisfies Record<string, { port: number; asked: readonly Component[] }>

/**
 * Servers of others: the provider of odds, and those that operators are told by. Public addresses alone, as the client of
 * notifications has it, so that nothing of the cluster or its cloud can be reached instead.
 */
const others = {
  to: [
    { ipBlock: { cidr: '0.0.0.0/0', except: RESERVED.filter((network) => !network.includes(':')) } },
    { ipBlock: { cidr: GIVEN_OUT, except: RESERVED.filter((network) => network.includes(':')) } },
  ],
  ports: tcp(443),
}

type Dependency = keyof typeof DEPENDENCIES

const towards = (name: Dependency) => ({
  to: [{ podSelector: labelled(name) }],
  ports: tcp(DEPENDENCIES[name].port),
})

export const nobody = new NetworkPolicy({
  metadata: { name: 'nobody', namespace: NAMESPACE },
  spec: { podSelector: {}, policyTypes: ['Ingress', 'Egress'] },
})

/** Who may talk to the pods of a kind of process. */
export function policyOf({ component, serves }: ProcessKind, name: string) {
  return new NetworkPolicy({
    metadata: metadata(name, component),
    spec: {
      podSelector: { matchLabels: selects(component) },
      policyTypes: ['Ingress', 'Egress'],
      ingress: [
        ...(serves
          ? [
              {
                from: [
                  {
                    ...ofNamespace(GATEWAY.namespace),
                    podSelector: {
                      matchLabels: {
                        'gateway.envoyproxy.io/owning-gateway-name': GATEWAY.name,
                        'gateway.envoyproxy.io/owning-gateway-namespace': NAMESPACE,
                      },
                    },
                  },
                ],
                ports: tcp(PORTS.http),
              },
            ]
          : []),
        // Metrics and every detail of the health routes, without a token. Probes come from the node, which is let in.
        { from: [ofNamespace(MONITORING.namespace)], ports: tcp(PORTS.management) },
      ],
      egress: [
        names,
        towards('pgbouncer'),
        towards('redis'),
        // Mails are about signing in.
        ...(serves ? [towards('smtp')] : [others]),
      ],
    },
  })
}

/** Of pods that nobody asks, and that ask PostgreSQL itself. */
function ofDatabase(component: Component) {
  return new NetworkPolicy({
    metadata: metadata(`holdfast-${component}`, component),
    spec: {
      podSelector: { matchLabels: selects(component) },
      policyTypes: ['Ingress', 'Egress'],
      ingress: [],
      egress: [names, towards('postgres')],
    },
  })
}

export const migration = ofDatabase('migration')
export const backup = ofDatabase('backup')

/** What lets the dependencies be asked that are in the namespace; `nobody` is about their pods, too. */
export const dependencies = Object.entries(DEPENDENCIES).map(
  ([name, { port, asked }]) =>
    new NetworkPolicy({
      metadata: { name, namespace: NAMESPACE },
      spec: {
        podSelector: labelled(name),
        policyTypes: ['Ingress', 'Egress'],
        ingress: [
          {
            from: [
              ...ours(...asked),
              ...(name === 'postgres' ? [{ podSelector: labelled('pgbouncer') }] : []),
            ],
            ports: tcp(port),
          },
        ],
        ...(name === 'pgbouncer' && { egress: [names, towards('postgres')] }),
      },
    }),
)
