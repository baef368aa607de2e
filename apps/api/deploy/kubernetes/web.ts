// The web processes: how many, how they are replaced, and how the cluster asks whether they are well.

import { Deployment } from 'kubernetes-models/apps/v1'
import { HorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2'
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1'
import { Service } from 'kubernetes-models/v1'
import { metadata, PORTS, selects } from './naming.ts'
import { container, podBase } from './pod.ts'
import { FEWEST_PODS, MOST_PODS } from './settings.ts'

const COMPONENT = 'web'
const NAME = 'holdfast-web'

/** A probe of the management port, which no flood of clients fills. */
const probe = (path: string, periodSeconds: number, timeoutSeconds: number, failureThreshold: number) => ({
  httpGet: { path, port: 'management' },
  periodSeconds,
  timeoutSeconds,
  failureThreshold,
})

export const deployment = new Deployment({
  metadata: metadata(NAME, COMPONENT),
  spec: {
    // No replicas: the autoscaler decides, and applying this file again must not undo what it decided.
    revisionHistoryLimit: 5,
    minReadySeconds: 5,
    progressDeadlineSeconds: 180,
    selector: { matchLabels: selects(COMPONENT) },
    // A new one is ready before an old one goes.
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
    template: {
      metadata: { labels: selects(COMPONENT) },
      spec: {
        ...podBase,
        // Announcing the end, the slowest request (HANDLER_TIMEOUT) and closing, with room.
        terminationGracePeriodSeconds: 60,
        topologySpreadConstraints: ['topology.kubernetes.io/zone', 'kubernetes.io/hostname'].map(
          (topologyKey) => ({
            topologyKey,
            maxSkew: 1,
            whenUnsatisfiable: 'ScheduleAnyway',
            labelSelector: { matchLabels: selects(COMPONENT) },
          }),
        ),
        containers: [
          container(COMPONENT, {
            command: ['node', 'dist/main.js'],
            ports: [
              { name: 'http', containerPort: PORTS.http },
              { name: 'management', containerPort: PORTS.management },
            ],
            // No limit of CPU: being held still for 90 of 100 ms looks like a hanging process to everybody.
            resources: { requests: { cpu: '500m', memory: '384Mi' }, limits: { memory: '512Mi' } },
            startupProbe: probe('/startupz', 2, 2, 30),
            livenessProbe: probe('/livez', 10, 3, 3),
            readinessProbe: probe('/readyz', 5, 2, 2),
          }),
        ],
      },
    },
  },
})

export const service = new Service({
  metadata: metadata(NAME, COMPONENT),
  spec: {
    selector: selects(COMPONENT),
    ports: [{ name: 'http', port: 80, targetPort: 'http' }],
  },
})

export const autoscaler = new HorizontalPodAutoscaler({
  metadata: metadata(NAME, COMPONENT),
  spec: {
    scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: NAME },
    minReplicas: FEWEST_PODS,
    maxReplicas: MOST_PODS,
    metrics: [
      {
        type: 'Resource',
        resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 70 } },
      },
    ],
    behavior: {
      scaleUp: { stabilizationWindowSeconds: 0, policies: [{ type: 'Pods', value: 2, periodSeconds: 30 }] },
      scaleDown: {
        stabilizationWindowSeconds: 300,
        policies: [{ type: 'Pods', value: 1, periodSeconds: 60 }],
      },
    },
  },
})

/** Draining a node takes one at a time. */
export const disruptions = new PodDisruptionBudget({
  metadata: metadata(NAME, COMPONENT),
  spec: { maxUnavailable: 1, selector: { matchLabels: selects(COMPONENT) } },
})
