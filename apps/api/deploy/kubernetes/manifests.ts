// The files of `manifests/`, in the order in which they are applied.

import { stringify } from 'yaml'
import * as backup from './backup.ts'
import * as gateway from './gateway.ts'
import { migration } from './migration.ts'
import * as monitoring from './monitoring.ts'
import * as network from './network.ts'
import { PROCESSES } from './processes.ts'
import { configMap, namespace, secretExamples } from './settings.ts'
import { workload } from './workload.ts'

/** A resource that knows Kubernetes' schema. */
interface Resource {
  /** Throws where the schema is not met. */
  validate(): void
  toJSON(): unknown
}

/** The name of each file, and its resources. */
export const manifests: Readonly<Record<string, readonly Resource[]>> = {
  '00-namespace.yaml': [namespace],
  '10-settings.yaml': [configMap],
  '10-secrets.example.yaml': secretExamples,
  '20-network.yaml': [network.nobody, network.migration, network.backup, ...network.dependencies],
  '30-migration.yaml': [migration],
  ...Object.fromEntries(
    PROCESSES.map((kind) => [`40-${kind.component}.yaml`, Object.values<Resource>(workload(kind))]),
  ),
  '50-monitoring.yaml': [monitoring.role, monitoring.binding],
  '60-gateway.yaml': [
    gateway.gateway,
    gateway.clients,
    gateway.toHttps,
    gateway.notFromOutside,
    gateway.route,
    gateway.pods,
  ],
  '70-backup.yaml': [backup.scripts, backup.claim, backup.nightly],
}

/** A file as it stands in `manifests/`. */
export function rendered(name: string): string {
  const documents = (manifests[name] ?? []).map((resource) =>
    stringify(resource.toJSON(), { lineWidth: 0, aliasDuplicateObjects: false, version: '1.1' }),
  )
  return `# Written by \`pnpm --filter @holdfast/api manifests\` from deploy/kubernetes/*.ts: change those.\n${documents.join('---\n')}`
}
