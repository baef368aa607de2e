// The environment of the service: what everybody may read, and what nobody may.

import { ConfigMap, Namespace, Secret } from 'kubernetes-models/v1'
import {
  BACKUP_SECRETS,
  NAMESPACE,
  OWNER_SECRETS,
  PORTS,
  SECRETS,
  SETTINGS,
  WORKER_SECRETS,
} from './naming.ts'

/** Most pods of the service, which the pools of `deploy/pgbouncer/pgbouncer.ini` are made for. */
export const MOST_PODS = 6
/** Fewest, so that one may be lost while another is replaced. */
export const FEWEST_PODS = 3

/** Pods of each kind that only works. */
export const WORKER_PODS = 2

/** How long a pod has to end: announcing it, the slowest request (HANDLER_TIMEOUT) and closing, with room. */
export const GRACE_SECONDS = 60

/** Settings of every process. */
export const settings = {
  ENVIRONMENT: 'production',
  API_PORT: String(PORTS.http),
  // Pods are what is counted, placed and replaced.
  API_WORKERS: '1',
  MANAGEMENT_PORT: String(PORTS.management),
  ENABLE_METRICS: 'true',
  SESSION_SECURE: 'true',
  DATA_DIRECTORY: '/var/lib/holdfast',
  // Of those in front: the gateway is made of pods.
  TRUST_PROXY: '10.0.0.0/8',
  // Of the gateway. For how long it keeps a connection that nobody uses: no longer than a pod that goes holds.
  PROXY_KEEP_ALIVE: '2s',
  // How long it waits for an answer: longer than HANDLER_TIMEOUT.
  PROXY_READ_TIMEOUT: '35s',
  // Six pods share the sixty connections that PgBouncer keeps for the web.
  DB_WEB_POOL_MAX: '10',
  DB_MAX_OVERFLOW: '5',
  // Six pods that only work share the eighteen that it keeps for them.
  DB_WORKER_POOL_MAX: '3',
  // Yours: who tells the odds. Without it take `worker-odds` away.
  ODDS_PROVIDER_URL: 'https://odds.example.com',
  // Nothing but `check` reads it: whether the way down fits.
  SHUTDOWN_GRACE: `${GRACE_SECONDS}s`,
  PUBLIC_URL: 'https://holdfast.example.com',
} as const

/** Secrets of every process; the values are examples, and the service refuses to start with some of them. */
export const secrets = {
  DATABASE_URL: 'postgres://holdfast_web:change-me@pgbouncer:6432/holdfast',
  PGBOUNCER_ADMIN_URL: 'postgres://holdfast_stats:change-me@pgbouncer:6432/pgbouncer',
  REDIS_URL: 'redis://:change-me@redis:6379/0',
  SECRET_KEY: 'change-me',
  METRICS_TOKEN: 'change-me',
  ADMIN_TOKEN: 'change-me',
  SMTP_URL: 'smtp://holdfast:change-me@smtp:587',
} as const

/** What is in its place for a process that only works. */
export const workerSecrets = {
  DATABASE_URL: 'postgres://holdfast_worker:change-me@pgbouncer:6432/holdfast_worker',
} as const

/** Secrets of the migration, beside those of every process. */
export const ownerSecrets = {
  DATABASE_MIGRATION_URL: 'postgres://holdfast_owner:change-me@postgres:5432/holdfast',
} as const

/** What the backup signs in with, as the role of `DATABASE_MIGRATION_URL`. */
export const backupSecrets = { PGPASSWORD: 'change-me' } as const

/** The namespace, in which no pod may be privileged. */
export const namespace = new Namespace({
  metadata: {
    name: NAMESPACE,
    labels: {
      'pod-security.kubernetes.io/enforce': 'restricted',
      'pod-security.kubernetes.io/enforce-version': 'latest',
    },
  },
})

export const configMap = new ConfigMap({
  metadata: { name: SETTINGS, namespace: NAMESPACE },
  data: settings,
})

export const secretExamples = [
  new Secret({ metadata: { name: SECRETS, namespace: NAMESPACE }, type: 'Opaque', stringData: secrets }),
  new Secret({
    metadata: { name: WORKER_SECRETS, namespace: NAMESPACE },
    type: 'Opaque',
    stringData: workerSecrets,
  }),
  new Secret({
    metadata: { name: OWNER_SECRETS, namespace: NAMESPACE },
    type: 'Opaque',
    stringData: ownerSecrets,
  }),
  new Secret({
    metadata: { name: BACKUP_SECRETS, namespace: NAMESPACE },
    type: 'Opaque',
    stringData: backupSecrets,
  }),
]
