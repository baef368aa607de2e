// What a deployment can be like: every case is a mistake, and the same deployment just without it. The cases of the rules
// in src/deployment/<name>-checks.ts stand in seeded-<name>.ts, or in the plural of it.

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { systemClock } from '@holdfast/footing'
import { checkDeployment, type DeploymentCheck, type Finding, type Verdict } from '@holdfast/lifecycle'
import { loadConfig } from '../src/config.ts'
import { checksOfStart, configurationChecks, deploymentOf } from '../src/deployment/deployment-checks.ts'
import type { MachineFacts } from '../src/deployment/machine-facts.ts'
import type { RuleName } from '../src/deployment/rules.ts'

/** A mistake, what is found of it, and the deployment just without it. */
export interface Mistake {
  readonly title: string
  readonly rule: RuleName
  readonly verdict: Exclude<Verdict, 'pass'>
  /** What is found, and after an arrow what to do. */
  readonly found: RegExp
  readonly broken: () => Promise<readonly Finding[]>
  readonly sound: () => Promise<readonly Finding[]>
}

export type Environment = Readonly<Record<string, string>>

/** A secret as a generator makes it, without what a URL would have to escape. */
export const strong = () => randomBytes(24).toString('hex')

/** A machine with room. */
export const roomy: MachineFacts = {
  nodeVersion: process.versions.node,
  userId: 1000,
  descriptors: 65_536,
  backlog: 4096,
  memoryBytes: 2 * 1024 ** 3,
  cpus: 4,
  debuggerUrl: undefined,
  freeBytes: () => 10 * 1024 ** 3,
}

/** A production without a mistake. */
export const soundProduction: Environment = {
  ENVIRONMENT: 'production',
  SESSION_SECURE: 'true',
  SECRET_KEY: strong(),
  METRICS_TOKEN: strong(),
  ADMIN_TOKEN: strong(),
  TRUST_PROXY: '10.0.0.0/8',
  DATABASE_URL: `postgres://holdfast:${strong()}@127.0.0.1:5432/holdfast`,
  PUBLIC_URL: 'https://holdfast.example.com',
  SMTP_URL: 'smtp://mail:587',
}

/** All that checks find. */
export async function findingsOf(
  checks: readonly DeploymentCheck[],
  timeoutMs = 5000,
): Promise<readonly Finding[]> {
  const report = await checkDeployment(checks, { clock: systemClock, timeoutMs })
  return report.checks.flatMap(({ findings }) => findings)
}

/** What the start finds. `aheadMs`: by how much our own clock is ahead. */
export async function findingsAtStart(
  environment: Environment,
  machine: Partial<MachineFacts> = {},
  aheadMs = 0,
): Promise<readonly Finding[]> {
  const clock = { ...systemClock, wallMs: () => systemClock.wallMs() + aheadMs }
  try {
    const deployment = deploymentOf(loadConfig(environment), environment, { ...roomy, ...machine })
    return await findingsOf(checksOfStart(deployment, clock))
  } catch (error) {
    return findingsOf(configurationChecks(error as Parameters<typeof configurationChecks>[0]))
  }
}

/** A finding as a person reads it. */
export function told({ verdict, rule, message, hint }: Finding): string {
  return `${verdict} ${rule}: ${message} -> ${hint}`
}

/** What is not as in a sound production. */
export interface Change {
  readonly environment?: Environment
  readonly machine?: Partial<MachineFacts>
  /** By how much our own clock is ahead. */
  readonly aheadMs?: number
  /** What is done before. */
  readonly before?: () => unknown
}

type MakeMistake<T> = (
  rule: RuleName,
  verdict: Exclude<Verdict, 'pass'>,
  title: string,
  broken: T,
  just: T,
  found: RegExp,
) => Mistake

/** How cases are made of what a start looks at, in which nobody is asked. */
export interface StartCases {
  /** One to write to. */
  readonly directory: string
  readonly inDirectory: (name: string) => string
  readonly mistake: MakeMistake<Change>
  /** Of settings alone. */
  readonly set: MakeMistake<Environment>
}

/** Those in a directory to write to. */
export function startCases(directory: string): StartCases {
  const sound = { ...soundProduction, DATA_DIRECTORY: directory }
  const found = async ({ environment, machine, aheadMs, before }: Change) => {
    before?.()
    return findingsAtStart({ ...sound, ...environment }, machine, aheadMs)
  }
  const mistake: MakeMistake<Change> = (rule, verdict, title, broken, just, pattern) => ({
    rule,
    verdict,
    title,
    found: pattern,
    broken: () => found(broken),
    sound: () => found(just),
  })
  return {
    directory,
    inDirectory: (name) => join(directory, name),
    mistake,
    set: (rule, verdict, title, broken, just, pattern) =>
      mistake(rule, verdict, title, { environment: broken }, { environment: just }, pattern),
  }
}
