// The kinds of processes: for each entry the cluster gets a deployment, and what belongs to one. Another kind is another
// entry here, its label in naming.ts, and nothing else.

import type { IContainer } from 'kubernetes-models/v1/Container'
import type { ProcessType } from '../../src/process-type.ts'
import { type Component, WORKER_SECRETS, type WorkerComponent } from './naming.ts'
import { FEWEST_PODS, MOST_PODS, WORKER_PODS } from './settings.ts'

/** What sets one kind of process apart. */
export interface ProcessKind {
  readonly component: Component
  readonly command: readonly string[]
  /** How many there are, of which the autoscaler chooses; the same twice is a fixed number. */
  readonly pods: { readonly fewest: number; readonly most: number }
  /** Whether people's requests come to it, through a Service. */
  readonly serves: boolean
  readonly resources: NonNullable<IContainer['resources']>
  /** What its environment has besides the settings of all. */
  readonly environment: Readonly<Record<string, string>> & { readonly PROCESS_TYPE: ProcessType }
  /** Secrets that count in place of those of all. */
  readonly secrets?: readonly string[]
}

/**
 * The old generation of its heap, in MiB, so that what is no longer used is collected every few seconds and not when the
 * limit is near: what connections hold lies outside of it. 5,000 of them take 490 MiB altogether (the demonstration).
 */
export const WEB_NODE_OPTIONS = '--max-old-space-size=256'

/** Those that serve people. */
export const web: ProcessKind = {
  component: 'web',
  command: ['node', 'dist/main.js'],
  pods: { fewest: FEWEST_PODS, most: MOST_PODS },
  serves: true,
  environment: { PROCESS_TYPE: 'web', NODE_OPTIONS: WEB_NODE_OPTIONS },
  // No limit of CPU: being held still for 90 of 100 ms looks like a hanging process to everybody.
  resources: { requests: { cpu: '500m', memory: '512Mi' }, limits: { memory: '768Mi' } },
}

/** Two of each: what one does the other takes over, within the time of a lease or of a heartbeat. */
function worker(component: WorkerComponent, type: ProcessType): ProcessKind {
  return {
    component,
    command: ['node', 'dist/main.js'],
    pods: { fewest: WORKER_PODS, most: WORKER_PODS },
    serves: false,
    environment: { PROCESS_TYPE: type },
    secrets: [WORKER_SECRETS],
    resources: { requests: { cpu: '200m', memory: '256Mi' }, limits: { memory: '384Mi' } },
  }
}

/** Those that only work. */
export const WORKERS: readonly ProcessKind[] = [
  worker('worker-bots', 'worker_bots'),
  worker('worker-odds', 'worker_odds'),
  worker('worker-settlement', 'worker_settlement'),
]

/** All of them, in the order of their files. */
export const PROCESSES: readonly ProcessKind[] = [web, ...WORKERS]
