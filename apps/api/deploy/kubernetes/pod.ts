// What every pod of the service has in common: an image that can write nowhere but into its two scratch volumes.

import type { IContainer } from 'kubernetes-models/v1/Container'
import type { IPodSpec } from 'kubernetes-models/v1/PodSpec'
import { IMAGE, SECRETS, SETTINGS } from './naming.ts'
import { settings } from './settings.ts'

/** The container that runs a command of the image. */
export function container(
  name: string,
  own: Pick<IContainer, 'command' | 'ports' | 'resources'> & Partial<IContainer>,
  moreSecrets: readonly string[] = [],
): IContainer {
  return {
    name,
    image: IMAGE,
    imagePullPolicy: 'IfNotPresent',
    envFrom: [
      { configMapRef: { name: SETTINGS } },
      ...[SECRETS, ...moreSecrets].map((secret) => ({ secretRef: { name: secret } })),
    ],
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
    volumeMounts: [
      { name: 'data', mountPath: settings.DATA_DIRECTORY },
      { name: 'tmp', mountPath: '/tmp' },
    ],
    // The end of a process that could not start says why.
    terminationMessagePolicy: 'FallbackToLogsOnError',
    ...own,
  }
}

/** Whom the pod runs as, and what it may use. */
export const podBase = {
  automountServiceAccountToken: false,
  enableServiceLinks: false,
  securityContext: {
    runAsNonRoot: true,
    runAsUser: 1000,
    runAsGroup: 1000,
    fsGroup: 1000,
    seccompProfile: { type: 'RuntimeDefault' },
  },
  volumes: [
    // The last-known-good themes. They survive the container, not the pod: a new one takes them from Redis.
    { name: 'data', emptyDir: { sizeLimit: '256Mi' } },
    { name: 'tmp', emptyDir: { sizeLimit: '64Mi' } },
  ],
} satisfies Omit<IPodSpec, 'containers'>
