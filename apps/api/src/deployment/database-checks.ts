// The database: whether it answers, whether all processes together fit into it, what stands between, and whether it has
// the tables of this version.

import type { DeploymentCheck, Finding } from '@holdfast/lifecycle'
import type { PoolGuard } from '@holdfast/pool-guard'
import { type Config, processesOf } from '../config.ts'
import { migrationStates } from '../db/migrator.ts'
import { ApiMigrationChangedError } from '../errors.ts'
import { migrations } from '../migrations/index.ts'
import { reasonOf } from '../reason.ts'

/** The oldest that the tests know. */
const OLDEST_VERSION = 140_000
const SLOW_MS = 100

/** What is asked of the database. `nowMs` measures how long it takes. */
export function databaseChecks(config: Config, pool: PoolGuard, nowMs: () => number): DeploymentCheck[] {
  return [
    { name: 'database', run: () => databaseFindings(config, pool, nowMs) },
    { name: 'migrations', run: () => migrationFindings(config, pool) },
  ]
}

async function databaseFindings(config: Config, pool: PoolGuard, nowMs: () => number): Promise<Finding[]> {
  const fromMs = nowMs()
  try {
    await pool.query('select 1')
  } catch (error) {
    return [
      {
        verdict: 'fail',
        message: `the database cannot be used: ${reasonOf(error)}`,
        hint: 'Check DATABASE_URL, that the server runs, and that this machine may reach it.',
      },
    ]
  }
  const answerMs = Math.round(nowMs() - fromMs)
  const connections = connectionsOf(config)
  const { serverVersion = 0, pooler, findings } = await pool.selfCheck({ connections })
  const data = { answer_ms: answerMs, server_version: serverVersion, pooler: pooler ?? null, connections }
  const found: Finding[] = [
    {
      verdict: answerMs > SLOW_MS ? 'warn' : 'pass',
      message: `the database answers in ${answerMs} ms`,
      ...(answerMs > SLOW_MS && {
        hint: `More than ${SLOW_MS} ms count as degraded: look at the way to it.`,
      }),
      data,
    },
  ]
  if (serverVersion < OLDEST_VERSION) {
    found.push({
      verdict: 'fail',
      message: `PostgreSQL is older than 14 (${serverVersion})`,
      hint: 'Upgrade the server.',
    })
  }
  return [
    ...found,
    ...findings.map(({ code, level, hint }): Finding => ({ verdict: level, message: code, hint })),
  ]
}

/** What all processes of the service may open together. */
export function connectionsOf(config: Config): number {
  return processesOf(config) * (config.dbWebPoolMax + config.dbMaxOverflow)
}

async function migrationFindings({ environment }: Config, pool: PoolGuard): Promise<Finding[]> {
  const up = 'pnpm --filter @holdfast/api migrate up'
  try {
    const states = await migrationStates(pool, migrations)
    const named = (wanted: string) => states.filter(({ state }) => state === wanted).map(({ name }) => name)
    const [applied, pending, unknown] = [named('applied'), named('pending'), named('unknown')]
    const data = { applied: applied.length, pending: pending.length, unknown: unknown.length }
    const findings: Finding[] = []
    if (pending.length > 0) {
      const isProduction = environment === 'production'
      findings.push({
        verdict: isProduction ? 'fail' : 'warn',
        message: `the database lacks ${pending.join(', ')}`,
        hint: isProduction ? up : `The next start applies them; or: ${up}`,
        data,
      })
    }
    if (unknown.length > 0) {
      findings.push({
        verdict: 'warn',
        message: `the database has ${unknown.join(', ')}, which this version does not know`,
        hint: 'That is so after going back to an older version. Go forward again, or take them back with the newer one.',
        data,
      })
    }
    if (findings.length > 0) return findings
    return [
      { verdict: 'pass', message: `all ${applied.length} migrations are applied, as they are here`, data },
    ]
  } catch (error) {
    const hint =
      error instanceof ApiMigrationChangedError
        ? 'Its text must stay what it was when it was applied: put it back, and write a new migration.'
        : 'Check DATABASE_URL, and what its role may read.'
    return [{ verdict: 'fail', message: reasonOf(error), hint }]
  }
}
