// The pods of one kind of process: how many, how they are replaced, how the cluster asks whether they are well, and who
// may reach them.

import { Deployment } from 'kubernetes-models/apps/v1'
import { HorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2'
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1'
import { Service } from 'kubernetes-models/v1'
import { scraped } from './monitoring.ts'
import { metadata, PORTS, selects } from './naming.ts'
import { policyOf } from './network.ts'
import { container, podBase } from './pod.ts'
import type { ProcessKind } from './processes.ts'
import { GRACE_SECONDS } from './settings.ts'

/** A probe of the management port, which no flood of clients fills. */
const probe = (path: string, periodSeconds: number, timeoutSeconds: number, failureThreshold: number) => ({
  httpGet: { path, port: 'management' },
  periodSeconds,
  timeoutSeconds,
  failureThreshold,
})

/** The deployment, which says nothing about how many there are where the autoscaler decides. */
function deploymentOf(kind: ProcessKind, name: string) {
  const { component, command, pods, serves, resources, environment } = kind
  return new Deployment({
    metadata: metadata(name, component),
    spec: {
      // Applying this file again must not undo what the autoscaler has decided.
      ...(isFixed(kind) && { replicas: pods.most }),
      revisionHistoryLimit: 5,
      minReadySeconds: 5,
      progressDeadlineSeconds: 180,
      selector: { matchLabels: selects(component) },
      // A new one is ready before an old one goes.
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
      template: {
        metadata: { labels: selects(component), annotations: scraped },
        spec: {
          ...podBase,
          // No preStop: the service itself goes on serving after SIGTERM, and says so to clients and to readiness. While
          // a hook sleeps it would know of nothing, and this time runs meanwhile.
          terminationGracePeriodSeconds: GRACE_SECONDS,
          topologySpreadConstraints: ['topology.kubernetes.io/zone', 'kubernetes.io/hostname'].map(
            (topologyKey) => ({
              topologyKey,
              maxSkew: 1,
              whenUnsatisfiable: 'ScheduleAnyway',
              labelSelector: { matchLabels: selects(component) },
            }),
          ),
          containers: [
            container(
              component,
              {
                command: [...command],
                env: Object.entries(environment).map(([name, value]) => ({ name, value })),
                ports: [
                  ...(serves ? [{ name: 'http', containerPort: PORTS.http }] : []),
                  { name: 'management', containerPort: PORTS.management },
                ],
                resources,
                startupProbe: probe('/startupz', 2, 2, 30),
                livenessProbe: probe('/livez', 10, 3, 3),
                readinessProbe: probe('/readyz', 5, 2, 2),
              },
              kind.secrets,
            ),
          ],
        },
      },
    },
  })
}

function serviceOf({ component }: ProcessKind, name: string) {
  return new Service({
    metadata: metadata(name, component),
    spec: { selector: selects(component), ports: [{ name: 'http', port: 80, targetPort: 'http' }] },
  })
}

function autoscalerOf({ component, pods }: ProcessKind, name: string) {
  return new HorizontalPodAutoscaler({
    metadata: metadata(name, component),
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name },
      minReplicas: pods.fewest,
      maxReplicas: pods.most,
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
}

/** All that the cluster needs to know of one kind of process. */
export function workload(kind: ProcessKind) {
  const { component } = kind
  const name = `holdfast-${component}`
  return {
    // First: there is no pod without it.
    policy: policyOf(kind, name),
    deployment: deploymentOf(kind, name),
    ...(kind.serves && { service: serviceOf(kind, name) }),
    ...(!isFixed(kind) && { autoscaler: autoscalerOf(kind, name) }),
    /** Draining a node takes one at a time. */
    disruptions: new PodDisruptionBudget({
      metadata: metadata(name, component),
      spec: { maxUnavailable: 1, selector: { matchLabels: selects(component) } },
    }),
  }
}

function isFixed({ pods }: ProcessKind): boolean {
  return pods.fewest === pods.most
}
