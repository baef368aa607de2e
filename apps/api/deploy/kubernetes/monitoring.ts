// What a Prometheus of the cluster needs: where the metrics are, and the right to find the pods.

import { Role, RoleBinding } from 'kubernetes-models/rbac.authorization.k8s.io/v1'
import { MONITORING, NAMESPACE, PORTS } from './naming.ts'

const NAME = 'holdfast-pods-for-prometheus'

/** By these a configuration such as `prometheus/kubernetes.yaml` finds the metrics of a pod. */
export const scraped = {
  'prometheus.io/scrape': 'true',
  'prometheus.io/port': String(PORTS.management),
  'prometheus.io/path': '/metrics',
} as const

export const role = new Role({
  metadata: { name: NAME, namespace: NAMESPACE },
  rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['get', 'list', 'watch'] }],
})

export const binding = new RoleBinding({
  metadata: { name: NAME, namespace: NAMESPACE },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: NAME },
  subjects: [{ kind: 'ServiceAccount', name: MONITORING.serviceAccount, namespace: MONITORING.namespace }],
})
