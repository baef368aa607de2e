// What the resources call themselves and each other.

/** The namespace of all of them. */
export const NAMESPACE = 'holdfast'
/** The image; a release replaces the tag. */
export const IMAGE = 'registry.example.com/holdfast-api:0.0.0'
/** Settings that are no secrets. */
export const SETTINGS = 'holdfast-settings'
/** Secrets that every process reads. */
export const SECRETS = 'holdfast-secrets'
/** What differs for a process that only works: its own role in the database, and its own pool of PgBouncer. */
export const WORKER_SECRETS = 'holdfast-worker-secrets'
/** Secrets that only the migration reads: its role owns the tables. */
export const OWNER_SECRETS = 'holdfast-owner-secrets'
/** What the backup signs in with. */
export const BACKUP_SECRETS = 'holdfast-backup-secrets'

/** The Prometheus of the cluster. */
export const MONITORING = { namespace: 'monitoring', serviceAccount: 'prometheus' } as const

/** The gateway that people come through; its class and its certificate are yours. */
export const GATEWAY = {
  name: 'holdfast',
  className: 'envoy',
  /** The secret with the certificate. */
  certificate: 'holdfast-certificate',
  /** Where the pods of the gateway are: Envoy Gateway starts them in its own, unless it was told otherwise. */
  namespace: 'envoy-gateway-system',
} as const

/** The port that people reach, and the one for probes and metrics. */
export const PORTS = { http: 8000, management: 9000 } as const

/** What kind of process a pod is: the value of the label `app.kubernetes.io/component`. */
export type Component = 'web' | WorkerComponent | 'migration' | 'backup'

/** Those that answer nobody. */
export type WorkerComponent = 'worker-bots' | 'worker-odds' | 'worker-settlement'

/** The labels that select the pods of a component. */
export function selects(component: Component): Record<string, string> {
  return { 'app.kubernetes.io/name': 'holdfast-api', 'app.kubernetes.io/component': component }
}

/** Name, namespace and labels of a resource of a component. */
export function metadata(name: string, component: Component) {
  return {
    name,
    namespace: NAMESPACE,
    labels: { ...selects(component), 'app.kubernetes.io/part-of': 'holdfast' },
  }
}
