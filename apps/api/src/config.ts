// The only reader of the environment: what it says, as one validated configuration. What can be said stands in
// settings/every-setting.ts.

import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { ConfigError, type ConfigProblem } from './settings/config-error.ts'
import { type Config, settings, settingsByName } from './settings/every-setting.ts'
import { checkTogether } from './settings/rules-together.ts'
import { type Environment, given, readSetting } from './settings/setting-text.ts'
import { unknownNames, warningsOf } from './settings/warnings.ts'

export { ConfigError, type ConfigProblem } from './settings/config-error.ts'
export type { Config } from './settings/every-setting.ts'
export { type PoolSettings, type PoolSize, poolSizeOf } from './settings/pool-size.ts'
export { processesOf, workersOf } from './settings/process-count.ts'

/** Set by a primary, for its workers. */
export const NUMBER_VARIABLE = 'HOLDFAST_WORKER'

/** The configuration, and what in the environment looks like a mistake without being one for certain. */
export interface LoadedConfig {
  readonly config: Config
  readonly warnings: readonly string[]
}

/**
 * Reads and validates the environment. An empty variable counts as unset; `<NAME>_FILE` may hold the path of a
 * file with a secret.
 * @throws {ConfigError} with every problem found, not only the first.
 */
export function loadConfig(environment: Environment = process.env): LoadedConfig {
  const problems: ConfigProblem[] = []
  const values = Object.fromEntries(
    Object.entries(settingsByName).map(([name, setting]) => [
      name,
      readSetting(setting, environment, problems),
    ]),
  ) as Config
  checkTogether(values, problems)
  if (problems.length > 0) throw new ConfigError(problems, unknownNames(environment))
  return { config: Object.freeze(values), warnings: warningsOf(values, environment) }
}

/** The directory from which a person called: pnpm and npm change to the package's own one and note this. */
export function callerDirectory(environment: Environment = process.env): string {
  return given(environment, 'INIT_CWD') ?? process.cwd()
}

/** Which of the workers that live this process is, as its primary has told it; undefined where none has. */
export function workerNumber(environment: Environment = process.env): number | undefined {
  const text = given(environment, NUMBER_VARIABLE)
  return text === undefined ? undefined : Number(text)
}

/** A file that a secret is read from. */
export interface SecretFile {
  /** The variable that names it. */
  readonly name: string
  readonly path: string
}

/** The files that secrets are read from, those that are there. */
export function secretFiles(environment: Environment = process.env): SecretFile[] {
  return settings
    .filter(({ secret }) => secret)
    .flatMap(({ name }) => {
      const path = given(environment, `${name}_FILE`)
      return path === undefined || !existsSync(path) ? [] : [{ name: `${name}_FILE`, path }]
    })
}

/** Whether Node looks at the certificates of servers, which one variable of its own turns off for all of them. */
export function verifiesCertificates(environment: Environment = process.env): boolean {
  return given(environment, 'NODE_TLS_REJECT_UNAUTHORIZED') !== '0'
}

/** The file of authorities that Node believes besides its own, which a variable of its own names. */
export function extraAuthorities(environment: Environment = process.env): string | undefined {
  return given(environment, 'NODE_EXTRA_CA_CERTS')
}

/** Whether this process is a package script: npm and pnpm tell it the script's name. */
export function isStartedByPackageManager(environment: Environment = process.env): boolean {
  return given(environment, 'npm_lifecycle_event') !== undefined
}

/** Absolute path of the data directory; a relative one counts from where the person called. */
export function dataDirectory(config: Config, environment: Environment = process.env): string {
  if (config.dataDirectory === undefined) return resolve(import.meta.dirname, '../.data')
  return resolve(callerDirectory(environment), config.dataDirectory)
}
