// A backup each night, with the scripts of deploy/backup and the programs of PostgreSQL's own image.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CronJob } from 'kubernetes-models/batch/v1'
import { ConfigMap, PersistentVolumeClaim } from 'kubernetes-models/v1'
import { BACKUP_SECRETS, metadata, selects } from './naming.ts'
import { container, podBase } from './pod.ts'

const COMPONENT = 'backup'
const NAME = 'holdfast-backup'
const SOURCES = join(import.meta.dirname, '../backup')
/** Where the scripts are, and where backups go, in the container. */
export const PATHS = { scripts: '/scripts', backups: '/backups' } as const
/** How many days a backup is kept; the newest stays, however old it is. */
const KEEP_DAYS = 14

export const scripts = new ConfigMap({
  metadata: metadata(NAME, COMPONENT),
  data: Object.fromEntries(
    readdirSync(SOURCES)
      .toSorted()
      .map((name) => [name, readFileSync(join(SOURCES, name), 'utf8')]),
  ),
})

/** It lies in the cluster that it is to outlive: copy what is in it to elsewhere. */
export const claim = new PersistentVolumeClaim({
  metadata: metadata(NAME, COMPONENT),
  spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '20Gi' } } },
})

export const nightly = new CronJob({
  metadata: metadata(NAME, COMPONENT),
  spec: {
    schedule: '17 2 * * *',
    timeZone: 'Etc/UTC',
    // Two dumps at a time are slower than one after the other, and hold locks for longer.
    concurrencyPolicy: 'Forbid',
    // The cluster was away at that minute: an hour later it is still worth it.
    startingDeadlineSeconds: 3600,
    successfulJobsHistoryLimit: 3,
    failedJobsHistoryLimit: 3,
    jobTemplate: {
      spec: {
        backoffLimit: 2,
        activeDeadlineSeconds: 7200,
        template: {
          metadata: { labels: selects(COMPONENT) },
          spec: {
            ...podBase,
            restartPolicy: 'Never',
            // Nothing is left of a half-made backup where the script hears that it has to end.
            terminationGracePeriodSeconds: 60,
            containers: [
              container(COMPONENT, {
                // pg_dump of the server's version, or newer.
                image: 'postgres:18',
                command: ['sh', `${PATHS.scripts}/nightly.sh`, PATHS.backups, String(KEEP_DAYS)],
                envFrom: [],
                env: [
                  { name: 'PGHOST', value: 'postgres' },
                  { name: 'PGUSER', value: 'holdfast_owner' },
                  { name: 'PGDATABASE', value: 'holdfast' },
                  { name: 'PGCONNECT_TIMEOUT', value: '10' },
                  // No file of passwords: libpq takes none that a group can read, and volumes of secrets are such.
                  {
                    name: 'PGPASSWORD',
                    valueFrom: { secretKeyRef: { name: BACKUP_SECRETS, key: 'PGPASSWORD' } },
                  },
                ],
                ports: [],
                resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '512Mi' } },
                volumeMounts: [
                  { name: 'scripts', mountPath: PATHS.scripts, readOnly: true },
                  { name: 'backups', mountPath: PATHS.backups },
                  { name: 'tmp', mountPath: '/tmp' },
                ],
              }),
            ],
            volumes: [
              { name: 'scripts', configMap: { name: NAME } },
              { name: 'backups', persistentVolumeClaim: { claimName: NAME } },
              { name: 'tmp', emptyDir: { sizeLimit: '64Mi' } },
            ],
          },
        },
      },
    },
  },
})
