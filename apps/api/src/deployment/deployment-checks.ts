// The checks of a deployment, for who asks: the start, which asks nobody; the command; the service that runs.

import type { DeploymentCheck } from '@holdfast/lifecycle'
import type { PoolGuard } from '@holdfast/pool-guard'
import type { Config, ConfigError, SecretFile } from '../config.ts'
import { databaseChecks } from './database-checks.ts'
import { machineChecks } from './machine-checks.ts'
import { type AskPath, probeChecks } from './probe-checks.ts'
import { redisChecks } from './redis-checks.ts'
import { settingsChecks } from './settings-checks.ts'

/** What a deployment is made of. */
export interface Deployment {
  readonly config: Config
  readonly warnings: readonly string[]
  readonly secretFiles: readonly SecretFile[]
}

/** Those that ask nobody and take no time. */
export function checksOfStart({ config, warnings, secretFiles }: Deployment): DeploymentCheck[] {
  return [...settingsChecks(config, warnings), ...machineChecks(config, secretFiles)]
}

/** What else can be asked, where there is somebody to ask. */
export interface Reachable {
  readonly pool: PoolGuard | undefined
  readonly ask: AskPath | undefined
  readonly nowMs: () => number
}

/** All of them. */
export function allChecks(deployment: Deployment, { pool, ask, nowMs }: Reachable): DeploymentCheck[] {
  const { config } = deployment
  return [
    ...checksOfStart(deployment),
    ...(pool === undefined ? [] : databaseChecks(config, pool, nowMs)),
    ...redisChecks(config),
    ...(ask === undefined ? [] : probeChecks(ask)),
  ]
}

/** In place of all of them, where the settings cannot be used. */
export function configurationChecks(error: ConfigError): DeploymentCheck[] {
  return [
    {
      name: 'settings',
      run: () =>
        error.problems.map(({ name, wrong, fix }) => ({
          verdict: 'fail' as const,
          message: `${name} ${wrong}`,
          hint: fix,
        })),
    },
  ]
}
