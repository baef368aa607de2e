// Who may talk to the pods, and to whom they may talk: nobody, but for what is named here.

import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1'
import { MONITORING, metadata, NAMESPACE, PORTS, selects } from './naming.ts'
import type { ProcessKind } from './processes.ts'

const ofNamespace = (name: string) => ({
  namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': name } },
})
const tcp = (...ports: number[]) => ports.map((port) => ({ protocol: 'TCP' as const, port }))
const names = {
  to: [ofNamespace('kube-system')],
  ports: [{ protocol: 'UDP' as const, port: 53 }, ...tcp(53)],
}

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
        ...(serves ? [{ from: [ofNamespace('ingress-nginx')], ports: tcp(PORTS.http) }] : []),
        // Metrics and every detail of the health routes, without a token. Probes come from the node, which is let in.
        { from: [ofNamespace(MONITORING.namespace)], ports: tcp(PORTS.management) },
      ],
      egress: [
        names,
        {
          to: [{ podSelector: { matchLabels: { 'app.kubernetes.io/name': 'pgbouncer' } } }],
          ports: tcp(6432),
        },
        { to: [{ podSelector: { matchLabels: { 'app.kubernetes.io/name': 'redis' } } }], ports: tcp(6379) },
        { to: [{ podSelector: { matchLabels: { 'app.kubernetes.io/name': 'smtp' } } }], ports: tcp(587) },
      ],
    },
  })
}

export const migration = new NetworkPolicy({
  metadata: metadata('holdfast-migration', 'migration'),
  spec: {
    podSelector: { matchLabels: selects('migration') },
    policyTypes: ['Ingress', 'Egress'],
    ingress: [],
    egress: [
      names,
      { to: [{ podSelector: { matchLabels: { 'app.kubernetes.io/name': 'postgres' } } }], ports: tcp(5432) },
    ],
  },
})
