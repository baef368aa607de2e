// Migrations run once before a new version is rolled out, as the role that owns the tables.

import { Job } from 'kubernetes-models/batch/v1'
import { metadata, OWNER_SECRETS, selects } from './naming.ts'
import { container, podBase } from './pod.ts'

const COMPONENT = 'migration'

/** A job cannot be changed: the one before is deleted first. */
export const migration = new Job({
  metadata: metadata('holdfast-migration', COMPONENT),
  spec: {
    // It is one transaction: tried again it begins anew.
    backoffLimit: 3,
    activeDeadlineSeconds: 900,
    ttlSecondsAfterFinished: 86_400,
    template: {
      metadata: { labels: selects(COMPONENT) },
      spec: {
        ...podBase,
        restartPolicy: 'Never',
        containers: [
          container(
            COMPONENT,
            {
              command: ['node', 'dist/cli/migrate.js', 'up'],
              ports: [],
              resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '256Mi' } },
            },
            [OWNER_SECRETS],
          ),
        ],
      },
    },
  },
})
