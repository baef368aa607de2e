// The checks of a deployment, for who asks: the start, which asks nobody; the command; the service that runs.

import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Clock } from '@holdfast/footing'
import type { DeploymentCheck } from '@holdfast/lifecycle'
import type { PoolGuard } from '@holdfast/pool-guard'
import {
  type Config,
  type ConfigError,
  callerDirectory,
  type LoadedConfig,
  type SecretFile,
  secretFiles,
  verifiesCertificates,
} from '../config.ts'
import { databaseChecks, noDatabaseCheck } from './database-checks.ts'
import { machineChecks } from './machine-checks.ts'
import { type MachineFacts, readMachine } from './machine-facts.ts'
import { migrationChecks } from './migration-checks.ts'
import { type AskPath, probeChecks } from './probe-checks.ts'
import { redisChecks } from './redis-checks.ts'
import { resourceChecks } from './resource-checks.ts'
import { failed } from './rules.ts'
import { settingsChecks } from './settings-checks.ts'

/** What a deployment is made of. */
export interface Deployment {
  readonly config: Config
  /** What the configuration says of itself. */
  readonly warnings: readonly string[]
  readonly secretFiles: readonly SecretFile[]
  /** That of `MAINTENANCE_FILE`, when it is there. */
  readonly maintenanceFile: string | undefined
  /** Whether TLS looks at certificates at all. */
  readonly verifiesCertificates: boolean
  readonly machine: MachineFacts
}

type Environment = Readonly<Record<string, string | undefined>>

/** The deployment of this process. */
export function deploymentOf(
  { config, warnings }: LoadedConfig,
  environment?: Environment,
  machine: MachineFacts = readMachine(),
): Deployment {
  const { maintenanceFile = '' } = config
  const file = resolve(callerDirectory(environment), maintenanceFile)
  return {
    config,
    warnings,
    secretFiles: secretFiles(environment),
    maintenanceFile: maintenanceFile !== '' && existsSync(file) ? file : undefined,
    verifiesCertificates: verifiesCertificates(environment),
    machine,
  }
}

/** Those that ask nobody and take no time. */
export function checksOfStart(deployment: Deployment): DeploymentCheck[] {
  const { config, secretFiles, machine } = deployment
  return [
    ...settingsChecks(deployment),
    ...machineChecks(machine),
    ...resourceChecks(config, secretFiles, machine),
  ]
}

/** What else can be asked, where there is somebody to ask. */
export interface Reachable {
  readonly pool: PoolGuard | undefined
  /** The pool of `DATABASE_MIGRATION_URL`. */
  readonly owner?: PoolGuard | undefined
  readonly ask: AskPath | undefined
  readonly clock: Clock
}

/** All of them. */
export function allChecks(deployment: Deployment, { pool, owner, ask, clock }: Reachable): DeploymentCheck[] {
  const { config } = deployment
  return [
    ...checksOfStart(deployment),
    ...(pool === undefined
      ? [noDatabaseCheck()]
      : [...databaseChecks(config, pool, clock), ...migrationChecks(config, pool, owner)]),
    ...redisChecks(config, clock),
    ...(ask === undefined ? [] : probeChecks(ask)),
  ]
}

/** In place of all of them, where the settings cannot be used. */
export function configurationChecks(error: ConfigError): DeploymentCheck[] {
  return [
    {
      name: 'settings',
      run: () =>
        error.problems.map(({ name, wrong, fix }) => failed('setting-unusable', `${name} ${wrong}`, fix)),
    },
  ]
}
