// The database: whether it answers and takes writes, whether all processes together fit into it, and what stands
// between.

import type { Clock } from '@holdfast/footing'
import type { DeploymentCheck, Finding } from '@holdfast/lifecycle'
import type { PoolGuard, SelfCheckReport } from '@holdfast/pool-guard'
import { type Config, type PoolSize, poolSizeOf, processesOf, workersOf } from '../config.ts'
import { reasonOf } from '../reason.ts'
import { connectionsOf } from '../worker-share.ts'
import { type Away, adviceOf } from './away.ts'
import { clockFindings } from './clock-finding.ts'
import { ruled } from './pool-findings.ts'
import { failed, passed, strict, warned } from './rules.ts'

/** The oldest that the tests know. */
const OLDEST_VERSION = 140_000
const SLOW_MS = 100
/** One that is slow may be slow by chance: this process has just begun. */
const ATTEMPTS = 3
export const DATABASE: Away = { server: 'PostgreSQL', setting: 'DATABASE_URL' }

/** What is asked of the database. */
export function databaseChecks(config: Config, pool: PoolGuard, clock: Clock): DeploymentCheck[] {
  const hint = adviceOf('no answer', DATABASE)
  return [
    { name: 'database', run: () => databaseFindings(config, pool, clock), hint },
    { name: 'connections', run: () => connectionFindings(config, pool), hint },
  ]
}

/** In place of them, where there is none. */
export function noDatabaseCheck(): DeploymentCheck {
  const hint =
    'Set it; or start the service once (npx -y pnpm@12 start), which starts a PostgreSQL of its own, and check again while it runs.'
  const found = warned('database-unset', 'DATABASE_URL is unset: there is no database to look at', hint)
  return { name: 'database', run: () => found }
}

/** In place of them, where no connection can even be tried. */
export function unusableDatabaseCheck(error: Error): DeploymentCheck {
  return { name: 'database', run: () => awayFinding(error) }
}

function awayFinding(error: unknown): Finding {
  return failed('database-away', `the database cannot be used: ${reasonOf(error)}`, adviceOf(error, DATABASE))
}

interface Facts {
  readonly version: number
  readonly encoding: string
  readonly replica: boolean
  readonly read_only: boolean
  readonly careful: boolean
  readonly at_ms: number
}

const FACTS = `
  select current_setting('server_version_num')::int as version,
         current_setting('server_encoding') as encoding,
         pg_is_in_recovery() as replica,
         current_setting('transaction_read_only') = 'on' as read_only,
         current_setting('fsync') = 'on' and current_setting('full_page_writes') = 'on' as careful,
         (extract(epoch from clock_timestamp()) * 1000)::float8 as at_ms`

async function databaseFindings(config: Config, pool: PoolGuard, clock: Clock): Promise<Finding[]> {
  let facts: Facts | undefined
  let [beforeMs, afterMs, answerMs] = [0, 0, Number.POSITIVE_INFINITY]
  try {
    // The first one pays for the connection.
    await pool.query('select 1')
    for (let again = 0; again < ATTEMPTS && answerMs > SLOW_MS; again += 1) {
      const fromMs = clock.nowMs()
      beforeMs = clock.wallMs()
      facts = (await pool.query<Facts & Record<string, unknown>>(FACTS)).rows[0]
      afterMs = clock.wallMs()
      answerMs = Math.round(clock.nowMs() - fromMs)
    }
  } catch (error) {
    return [awayFinding(error)]
  }
  if (facts === undefined) return []
  const { version, encoding, replica, read_only: readOnly, careful, at_ms: theirMs } = facts
  const data = { answer_ms: answerMs, server_version: version }
  const findings = clockFindings({ who: 'PostgreSQL', theirMs, beforeMs, afterMs })
  if (answerMs > SLOW_MS) {
    const hint = `More than ${SLOW_MS} ms count as degraded: look at its load (pg_stat_activity), and at the way to it.`
    findings.push(warned('database-slow', `the database takes ${answerMs} ms to answer`, hint, data))
  }
  if (version < OLDEST_VERSION) {
    findings.push(
      failed(
        'database-old',
        `PostgreSQL is older than 14 (${version})`,
        'Upgrade the server to 14 or later.',
        data,
      ),
    )
  }
  if (replica || readOnly) {
    findings.push(
      failed(
        'database-read-only',
        replica
          ? 'the database is a replica, and takes no writes'
          : 'the database takes no writes (default_transaction_read_only)',
        replica
          ? 'Let DATABASE_URL lead to the primary, or promote this one (select pg_promote()).'
          : 'See who set it (\\drds in psql), and: alter database ... reset default_transaction_read_only, the same for the role.',
      ),
    )
  }
  if (encoding !== 'UTF8') {
    const hint = 'Create the database anew with encoding UTF8, and restore into it.'
    findings.push(failed('database-encoding', `its encoding is ${encoding}, not UTF8`, hint))
  }
  if (!careful) {
    const message = 'fsync or full_page_writes is off: a power failure destroys the database'
    const hint = 'Set both on in postgresql.conf, and restart the server.'
    findings.push({ ...warned('database-careless', message, hint), verdict: strict(config) })
  }
  return passed(findings, `PostgreSQL ${Math.floor(version / 10_000)} answers in ${answerMs} ms`, data)
}

async function connectionFindings(config: Config, pool: PoolGuard): Promise<Finding[]> {
  const processes = processesOf(config)
  const { connections, steadyConnections } = connectionsOf(config, processes)
  const report = await pool.selfCheck({ connections, steadyConnections })
  const findings = report.findings.map((found) => ruled(found, config))
  // The database says why by itself.
  if (report.pooler === undefined) return findings
  findings.push(...poolerFindings(config, report))
  if (!findings.some(({ rule }) => rule?.startsWith('connections-exceed'))) {
    findings.push(...(await restartFindings(config, pool, processes)))
    if (!report.pooler) findings.push(...(await crowdFindings(pool, connections, poolSizeOf(config))))
  }
  const { pooler, poolerVersion, serverVersion = 0 } = report
  const between = pooler ? `through PgBouncer ${poolerVersion ?? ''}`.trim() : 'directly'
  const data = { connections, processes, pooler, server_version: serverVersion }
  return passed(findings, `the service opens at most ${connections} connections, ${between}`, data)
}

function poolerFindings({ pgbouncerAdminUrl }: Config, report: SelfCheckReport): Finding[] {
  if (report.pooler !== true || report.poolerVersion !== undefined) return []
  const hint =
    'Set PGBOUNCER_ADMIN_URL to its console (database pgbouncer) for a user of stats_users, and see that the password is right.'
  const why = pgbouncerAdminUrl === undefined ? 'PGBOUNCER_ADMIN_URL is unset' : 'its console does not answer'
  return [warned('pooler-unseen', `a pooler stands between, and ${why}: its sizes cannot be compared`, hint)]
}

/**
 * What is replaced is there twice for a while: with several machines all processes of one of them (a pod, a container),
 * else one worker. Each counts in full. The one that leaves serves on for all of `SHUTDOWN_DRAIN`, and what it does not
 * need any more it closes half a minute later.
 */
async function restartFindings(config: Config, pool: PoolGuard, processes: number): Promise<Finding[]> {
  const workers = workersOf(config)
  const twice = processes > workers ? workers : 1
  const { connections } = connectionsOf(config, processes + twice)
  const { findings } = await pool.selfCheck({ connections, steadyConnections: 0 })
  const exceeded = findings.find(({ code }) => code.startsWith('CONNECTIONS_EXCEED'))
  if (exceeded === undefined) return []
  const one = processes === 1 ? 'it is' : 'one of them is'
  const replaced = twice === 1 ? one : `${twice} of them, those of one machine, are`
  const message = `the connections are enough for ${processes === 1 ? 'one process' : `${processes} processes`}, but not while ${replaced} replaced: ${ruled(exceeded, config).message}`
  const { connections: more } = connectionsOf(config, twice)
  const hint = `Lower ${sizesText(config)}, or have what takes them take ${connections}: ${more} more than without a restart.`
  return [warned('restart-crowded', message, hint, { connections, replaced: twice })]
}

/** The settings that say how many there are. */
function sizesText(config: Config): string {
  const { max, maxOverflow, setting } = poolSizeOf(config)
  const size = `${setting} (${max})`
  return maxOverflow === 0 ? size : `${size} or DB_MAX_OVERFLOW (${maxOverflow})`
}

interface Crowd extends Record<string, unknown> {
  readonly others: number
  readonly usable: number
}

/** Those of our own role tell their names, those of others are seen as there. */
const CROWD = `
  select (select count(*) from pg_stat_activity
           where datid is not null and pid <> pg_backend_pid()
             and (usename <> current_user or application_name not like 'holdfast%'))::int as others,
         current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as usable`

async function crowdFindings(
  pool: PoolGuard,
  connections: number,
  { setting }: PoolSize,
): Promise<Finding[]> {
  const { others = 0, usable = 0 } = (await pool.query<Crowd>(CROWD)).rows[0] ?? {}
  if (connections + others <= usable) return []
  return [
    warned(
      'database-crowded',
      `the service may open ${connections} connections, others have ${others} now, and the server has ${usable}`,
      `See who they are (pg_stat_activity); raise max_connections by ${connections + others - usable}, lower ${setting}, or put PgBouncer between (deploy/pgbouncer).`,
      { connections, others, usable },
    ),
  ]
}
