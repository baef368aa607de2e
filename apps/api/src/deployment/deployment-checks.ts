// The checks of a deployment, for who asks: the start, which asks nobody; the command; the service that runs.

import { resolve } from 'node:path'
import type { Clock } from '@holdfast/footing'
import type { DeploymentCheck } from '@holdfast/lifecycle'
import type { PoolGuard } from '@holdfast/pool-guard'
import {
  type Config,
  type ConfigError,
  callerDirectory,
  extraAuthorities,
  type LoadedConfig,
  type SecretFile,
  secretFiles,
  verifiesCertificates,
} from '../config.ts'
import { certificateChecks } from './certificate-checks.ts'
import { databaseChecks, noDatabaseCheck, unusableDatabaseCheck } from './database-checks.ts'
import { machineChecks } from './machine-checks.ts'
import { type MachineFacts, readMachine } from './machine-facts.ts'
import { maintenanceChecks } from './maintenance-checks.ts'
import { migrationChecks } from './migration-checks.ts'
import { type AskPath, probeChecks } from './probe-checks.ts'
import { redisChecks } from './redis-checks.ts'
import { resourceChecks } from './resource-checks.ts'
import { failed } from './rules.ts'
import { secretChecks } from './secret-checks.ts'
import { securityChecks } from './security-checks.ts'
import { settingsChecks } from './settings-checks.ts'
import { shutdownChecks } from './shutdown-checks.ts'

/** What a deployment is made of. */
export interface Deployment {
  readonly config: Config
  /** What the configuration says of itself. */
  readonly warnings: readonly string[]
  readonly secretFiles: readonly SecretFile[]
  /** That of `MAINTENANCE_FILE`, with its whole path, whether it is there or not. */
  readonly maintenanceFile: string | undefined
  /** That of authorities which Node believes besides its own. */
  readonly extraAuthorities: string | undefined
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
  const { maintenanceFile: file } = config
  return {
    config,
    warnings,
    secretFiles: secretFiles(environment),
    maintenanceFile: file === undefined ? undefined : resolve(callerDirectory(environment), file),
    extraAuthorities: extraAuthorities(environment),
    verifiesCertificates: verifiesCertificates(environment),
    machine,
  }
}

/** Those that ask nobody and take no time. */
export function checksOfStart(deployment: Deployment, clock: Clock): DeploymentCheck[] {
  const { config, machine } = deployment
  return [
    ...settingsChecks(deployment),
    ...secretChecks(config),
    ...securityChecks(deployment),
    ...maintenanceChecks(deployment),
    ...shutdownChecks(config),
    ...machineChecks(machine),
    ...resourceChecks(deployment, clock),
  ]
}

/** What else can be asked, where there is somebody to ask. */
export interface Reachable {
  /** An error: why there can be none. */
  readonly pool: PoolGuard | Error | undefined
  /** The pool of `DATABASE_MIGRATION_URL`. */
  readonly owner?: PoolGuard | undefined
  readonly ask: AskPath | undefined
  readonly clock: Clock
}

/** All of them. */
export function allChecks(deployment: Deployment, { pool, owner, ask, clock }: Reachable): DeploymentCheck[] {
  const { config } = deployment
  return [
    ...checksOfStart(deployment, clock),
    ...(pool === undefined || pool instanceof Error
      ? [pool === undefined ? noDatabaseCheck() : unusableDatabaseCheck(pool)]
      : [...databaseChecks(config, pool, clock), ...migrationChecks(config, pool, owner)]),
    ...redisChecks(config, clock),
    ...certificateChecks(config, clock),
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
