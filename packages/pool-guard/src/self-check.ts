/*
 * What a service should know about its way to the database before it serves anybody. Few settings of PostgreSQL
 * fail loudly when they are wrong: most are silently ignored behind a pooler, or never matter.
 *
 * `evaluateSelfCheck` is pure; `runSelfCheck` asks two questions of the server and, when it may, three of PgBouncer.
 */
import type { QueryResultRow } from 'pg'
import type { GuardedClient } from './guarded-client.ts'
import type { ResolvedGuardrails } from './guardrails.ts'

/** `fail`: the service would not do what it says. `warn`: it would, until a bad day. */
export type FindingLevel = 'fail' | 'warn'

/** One thing that is wrong, and what to do about it. */
export interface Finding {
  readonly code: FindingCode
  readonly level: FindingLevel
  /** One sentence about what is, one about what to do. */
  readonly hint: string
}

/** What a self-check can find. */
export type FindingCode =
  | 'STARTUP_PARAMETER_REFUSED'
  | 'STARTUP_PARAMETER_IGNORED'
  | 'STARTUP_PARAMETER_POOLED'
  | 'NAMED_STATEMENTS'
  | 'POOL_MODE'
  | 'LOCK_TIMEOUT_INEFFECTIVE'
  | 'IDLE_TIMEOUT_SHORT'
  | 'CONNECTIONS_EXCEED_SERVER'
  | 'CONNECTIONS_EXCEED_POOLER'
  | 'POOLER_POOL_SMALL'
  | 'POOLER_TIMEOUT_SHORT'
  | 'ROLE_FLOOR_MISSING'
  | 'SUPERUSER'
  | 'ABANDONED_STATEMENTS'
  | 'UNREACHABLE'

/** What the service wants. */
export interface SelfCheckWishes {
  readonly guardrails: ResolvedGuardrails
  /** One statement outside of a transaction, in ms. */
  readonly statementTimeoutMs: number
  readonly namedStatements: boolean
  /** Time limits among the startup parameters, in ms by their names. */
  readonly startupTimeouts: Readonly<Record<string, number>>
  /** Connections that all processes of the service may open together. */
  readonly connections: number
  /** Those of them that are no overflow. Default: all. */
  readonly steadyConnections?: number | undefined
}

/** What was seen of the server. */
export interface ServerFacts {
  /** As the connection was told at its start. */
  readonly clientPid: number
  /** As the server says. */
  readonly backendPid: number
  readonly serverVersion: number
  readonly role: string
  readonly superuser: boolean
  /** Of the role; -1 for none. */
  readonly roleConnectionLimit: number
  /** `pg_settings` by name; the time limits in ms. */
  readonly settings: Readonly<Record<string, { readonly value: string; readonly source: string }>>
}

/** What was seen of PgBouncer's own console. */
export interface PoolerFacts {
  /** Such as `1.18.0`. */
  readonly version?: string | undefined
  /** `SHOW CONFIG` by name. */
  readonly config: Readonly<Record<string, string>>
  /** What `SHOW DATABASES` says of the database that is used, where it has settings of its own. */
  readonly database?: { readonly mode: string | undefined; readonly poolSize: number } | undefined
}

/** What a self-check found. */
export interface SelfCheckReport {
  /** A pooler stands between. `undefined` when the database could not be asked. */
  readonly pooler: boolean | undefined
  /** Such as `1.18.0`. `undefined` when there is no PgBouncer, or its console did not answer. */
  readonly poolerVersion: string | undefined
  readonly serverVersion: number | undefined
  readonly findings: readonly Finding[]
}

/** Asks PgBouncer's console one question. */
export type ConsoleQuery = (sql: string) => Promise<readonly QueryResultRow[]>

/** The first PgBouncer that keeps track of named statements. */
const namedSince = [1, 21] as const
const clientCheckSince = 140_000
const MS_PER_SECOND = 1000

const settingNames = [
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
  'transaction_timeout',
  'client_connection_check_interval',
  'max_connections',
  'superuser_reserved_connections',
  'reserved_connections',
]

/** Asks and evaluates. Rejects never: what cannot be asked is a finding. `database` is as the client calls it. */
export async function runSelfCheck(
  checkout: () => Promise<GuardedClient>,
  wishes: SelfCheckWishes,
  console?: ConsoleQuery,
  database?: string,
): Promise<SelfCheckReport> {
  let server: ServerFacts
  try {
    server = await askServer(checkout)
  } catch (error) {
    const findings = [unreachable(error)]
    return { pooler: undefined, poolerVersion: undefined, serverVersion: undefined, findings }
  }
  const pooler = await askConsole(console, database)
  return {
    pooler: behindPooler(server),
    poolerVersion: pooler?.version,
    serverVersion: server.serverVersion,
    findings: evaluateSelfCheck(wishes, server, pooler),
  }
}

/** The findings, those that fail first. */
export function evaluateSelfCheck(
  wishes: SelfCheckWishes,
  server: ServerFacts,
  pooler?: PoolerFacts,
): readonly Finding[] {
  const findings = [
    ...startupFindings(wishes, server),
    ...poolModeFindings(wishes, server, pooler),
    ...namedStatementFindings(wishes, server, pooler),
    ...poolerTimeoutFindings(wishes, server, pooler),
    ...limitFindings(wishes),
    ...connectionFindings(wishes, server, pooler),
    ...roleFindings(wishes, server),
  ]
  return [
    ...findings.filter(({ level }) => level === 'fail'),
    ...findings.filter(({ level }) => level === 'warn'),
  ]
}

/** Whether the process id the connection was given is not that of the server behind it: a pooler makes them up. */
export function behindPooler({ clientPid, backendPid }: ServerFacts): boolean {
  return clientPid !== backendPid
}

function startupFindings({ startupTimeouts }: SelfCheckWishes, server: ServerFacts): Finding[] {
  return Object.entries(startupTimeouts).flatMap(([name, wantedMs]): Finding[] => {
    const effective = Number(server.settings[name]?.value ?? 0)
    const instead = `take it out of the connection settings; transactions get it from \`guardrails\`, and as a floor: alter role ${quoteRole(server.role)} set ${name} = '${wantedMs}ms'`
    if (effective !== wantedMs) {
      const hint = `the startup parameter ${name} = ${wantedMs} ms is not in force, the server says ${effective} ms: a pooler ignores it (ignore_startup_parameters); ${instead}`
      return [{ code: 'STARTUP_PARAMETER_IGNORED', level: 'fail', hint }]
    }
    if (!behindPooler(server)) return []
    const hint = `the startup parameter ${name} is a matter of luck behind a pooler; ${instead}`
    return [{ code: 'STARTUP_PARAMETER_POOLED', level: 'warn', hint }]
  })
}

function poolModeFindings(
  { connections }: SelfCheckWishes,
  server: ServerFacts,
  pooler: PoolerFacts | undefined,
): Finding[] {
  const mode = modeOf(pooler)
  if (pooler === undefined || !behindPooler(server)) return []
  if (mode === 'statement') {
    const hint =
      'PgBouncer has pool_mode = statement, which refuses transactions; set pool_mode = transaction'
    return [{ code: 'POOL_MODE', level: 'fail', hint }]
  }
  const size = poolSizeOf(pooler)
  if (mode !== 'session' || size === undefined || connections <= size) return []
  const hint = `PgBouncer has pool_mode = session, where a client keeps a connection for good, and ${size} of them for the ${connections} that all processes together may open; set pool_mode = transaction`
  return [{ code: 'POOL_MODE', level: 'fail', hint }]
}

/** What the service gives up by itself must end there first: PgBouncer closes the connection instead. */
function poolerTimeoutFindings(
  { guardrails, statementTimeoutMs }: SelfCheckWishes,
  server: ServerFacts,
  pooler: PoolerFacts | undefined,
): Finding[] {
  if (pooler === undefined || !behindPooler(server)) return []
  const wanted = {
    query_timeout: Math.max(statementTimeoutMs, guardrails.statementTimeoutMs),
    idle_transaction_timeout: guardrails.idleInTransactionTimeoutMs,
  }
  return Object.entries(wanted).flatMap(([name, wantedMs]): Finding[] => {
    const limitMs = Number(pooler.config[name] ?? 0) * MS_PER_SECOND
    if (limitMs === 0 || !Number.isFinite(wantedMs) || limitMs > wantedMs) return []
    const hint = `PgBouncer has ${name} = ${pooler.config[name]}, which comes before the ${wantedMs} ms of the service and closes the connection; make it longer than that, or 0`
    return [{ code: 'POOLER_TIMEOUT_SHORT', level: 'warn', hint }]
  })
}

function modeOf(pooler: PoolerFacts | undefined): string | undefined {
  return pooler?.database?.mode ?? pooler?.config['pool_mode']
}

/** `undefined` when nobody has said. */
function poolSizeOf({ config, database }: PoolerFacts): number | undefined {
  const { default_pool_size: usual } = config
  return database?.poolSize ?? (usual === undefined ? undefined : Number(usual))
}

function namedStatementFindings(
  { namedStatements }: SelfCheckWishes,
  server: ServerFacts,
  pooler: PoolerFacts | undefined,
): Finding[] {
  const findings: Finding[] = []
  if (!behindPooler(server) || !namedStatements || modeOf(pooler) === 'session') return findings
  const off = 'set `namedStatements: false`'
  if (pooler?.version === undefined) {
    const hint = `named statements need PgBouncer 1.21 or later with max_prepared_statements above 0, and its version could not be seen; ${off}, or let the role see its console (stats_users)`
    findings.push({ code: 'NAMED_STATEMENTS', level: 'warn', hint })
  } else if (isOlder(pooler.version, namedSince)) {
    const hint = `PgBouncer ${pooler.version} does not know named statements (42P05, 26000); ${off}, or use 1.21 or later with max_prepared_statements`
    findings.push({ code: 'NAMED_STATEMENTS', level: 'fail', hint })
  } else if (pooler.config['max_prepared_statements'] === '0') {
    const hint = `PgBouncer has max_prepared_statements = 0; ${off}, or set it to 200`
    findings.push({ code: 'NAMED_STATEMENTS', level: 'fail', hint })
  }
  return findings
}

function limitFindings({ guardrails }: SelfCheckWishes): Finding[] {
  const { statementTimeoutMs, lockTimeoutMs, idleInTransactionTimeoutMs } = guardrails
  const findings: Finding[] = []
  if (statementTimeoutMs > 0 && lockTimeoutMs >= statementTimeoutMs) {
    const hint = `lockTimeoutMs (${lockTimeoutMs}) is not below statementTimeoutMs (${statementTimeoutMs}), so it never matters; choose a third of it`
    findings.push({ code: 'LOCK_TIMEOUT_INEFFECTIVE', level: 'fail', hint })
  }
  if (idleInTransactionTimeoutMs > 0 && idleInTransactionTimeoutMs < lockTimeoutMs) {
    const hint = `idleInTransactionTimeoutMs (${idleInTransactionTimeoutMs}) is shorter than lockTimeoutMs (${lockTimeoutMs}): an idle transaction should not end before those that wait for it; raise it to ${lockTimeoutMs} ms at least`
    findings.push({ code: 'IDLE_TIMEOUT_SHORT', level: 'warn', hint })
  }
  return findings
}

function connectionFindings(
  { connections, steadyConnections = connections }: SelfCheckWishes,
  server: ServerFacts,
  pooler: PoolerFacts | undefined,
): Finding[] {
  const number = (name: string) => Number(server.settings[name]?.value ?? 0)
  const reserved = number('superuser_reserved_connections') + number('reserved_connections')
  const limit = server.roleConnectionLimit
  const free = number('max_connections') - reserved
  const usable = limit >= 0 ? Math.min(limit, free) : free
  const findings: Finding[] = []
  const exceed = (what: string, count: number, fix: string) => {
    const hint = `${what} may open ${count} connections, and the server has ${usable} for this role (max_connections ${number('max_connections')}, ${reserved} reserved, limit of the role ${limit < 0 ? 'none' : limit}); ${fix}`
    findings.push({ code: 'CONNECTIONS_EXCEED_SERVER', level: 'fail', hint })
  }
  if (!behindPooler(server)) {
    const enough =
      limit >= 0 && limit < free
        ? `the limit of the role to ${connections}`
        : `max_connections to ${connections + reserved}`
    if (connections > usable)
      exceed(
        'all processes together',
        connections,
        `raise ${enough}, lower \`max\` or \`maxOverflow\`, or use a pooler`,
      )
    return findings
  }
  if (pooler === undefined) return findings
  const { config } = pooler
  const size = poolSizeOf(pooler)
  const pool = (size ?? 0) + Number(config['reserve_pool_size'] ?? 0)
  if (pool > usable)
    exceed(
      'one pool of PgBouncer',
      pool,
      `lower its pool_size (or default_pool_size) and reserve_pool_size to ${usable} together`,
    )
  if (size !== undefined && steadyConnections > size) {
    const hint = `the pools of all processes hold ${steadyConnections} connections, and PgBouncer has ${size} to PostgreSQL for them: what comes through the others waits there, unseen; raise pool_size (or default_pool_size) to ${steadyConnections}, or lower \`max\``
    findings.push({ code: 'POOLER_POOL_SMALL', level: 'warn', hint })
  }
  const maxClients = Number(config['max_client_conn'] ?? Number.POSITIVE_INFINITY)
  if (connections > maxClients) {
    const hint = `all processes together may open ${connections} connections, and PgBouncer takes ${maxClients} (max_client_conn); raise that to ${connections}, and to twice as many for restarts`
    findings.push({ code: 'CONNECTIONS_EXCEED_POOLER', level: 'fail', hint })
  }
  return findings
}

function roleFindings(wishes: SelfCheckWishes, server: ServerFacts): Finding[] {
  const findings: Finding[] = []
  const role = quoteRole(server.role)
  const floors: Readonly<Record<string, number>> = {
    statement_timeout: Math.max(wishes.statementTimeoutMs, wishes.guardrails.statementTimeoutMs),
    idle_in_transaction_session_timeout: wishes.guardrails.idleInTransactionTimeoutMs,
  }
  for (const [name, limitMs] of Object.entries(floors)) {
    const found = server.settings[name]
    if (found === undefined || Number(found.value) !== 0 || name in wishes.startupTimeouts) continue
    const value = Number.isFinite(limitMs) && limitMs > 0 ? `${Math.ceil(limitMs)}ms` : '60s'
    const hint = `${role} has no ${name}, so nothing ends a single statement when this process is gone; alter role ${role} set ${name} = '${value}'`
    findings.push({ code: 'ROLE_FLOOR_MISSING', level: 'warn', hint })
  }
  if (server.serverVersion >= clientCheckSince) {
    const { value = '0' } = server.settings['client_connection_check_interval'] ?? {}
    if (Number(value) === 0) {
      const hint = `statements go on when their client is gone; alter role ${role} set client_connection_check_interval = '1s'`
      findings.push({ code: 'ABANDONED_STATEMENTS', level: 'warn', hint })
    }
  }
  if (server.superuser) {
    const hint = `${role} is a superuser: it takes the connections that are kept for repairs, and no rule binds it; use a role that owns only its data`
    findings.push({ code: 'SUPERUSER', level: 'warn', hint })
  }
  return findings
}

async function askServer(checkout: () => Promise<GuardedClient>): Promise<ServerFacts> {
  const client = await checkout()
  try {
    const { rows: settings } = await client.query(
      'select name, setting, source from pg_settings where name = any($1)',
      [settingNames],
    )
    const { rows } = await client.query(
      `select pg_backend_pid() as pid, current_setting('server_version_num')::int as version,
              rolname as role, rolsuper as superuser, rolconnlimit as connection_limit
         from pg_roles where rolname = current_user`,
    )
    const facts = rows[0] ?? {}
    return {
      clientPid: client.processId,
      backendPid: Number(facts['pid']),
      serverVersion: Number(facts['version']),
      role: String(facts['role']),
      superuser: facts['superuser'] === true,
      roleConnectionLimit: Number(facts['connection_limit'] ?? -1),
      settings: Object.fromEntries(
        settings.map((row) => [
          String(row['name']),
          { value: String(row['setting']), source: String(row['source']) },
        ]),
      ),
    }
  } finally {
    client.release()
  }
}

async function askConsole(
  console: ConsoleQuery | undefined,
  database: string | undefined,
): Promise<PoolerFacts | undefined> {
  if (console === undefined) return undefined
  try {
    const config = await console('show config')
    const version = await console('show version')
    const own = (await console('show databases')).find((row) => row['name'] === database)
    return {
      version: /\d{1,5}\.\d{1,5}(\.\d{1,5})?/.exec(JSON.stringify(version))?.[0],
      config: Object.fromEntries(config.map((row) => [String(row['key']), String(row['value'])])),
      ...(own && {
        database: { mode: textOf(own['pool_mode']), poolSize: Number(own['pool_size'] ?? 0) },
      }),
    }
  } catch {
    // Its console is for few; that is in order.
    return undefined
  }
}

/** A database without a mode of its own has null there, or an empty text. */
function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

function unreachable(error: unknown): Finding {
  const { message = String(error), cause } = Object(error) as { message?: string; cause?: unknown }
  const text = `${message} ${cause instanceof Error ? cause.message : ''}`
  const refused = /unsupported startup parameter(?: in options)?: (\S+)/.exec(text)
  if (refused === null) {
    return { code: 'UNREACHABLE', level: 'fail', hint: `the database could not be asked: ${message}` }
  }
  const hint = `PgBouncer refuses the startup parameter ${refused[1]}; take it out of the connection settings, and do not add it to ignore_startup_parameters, which would only silence it`
  return { code: 'STARTUP_PARAMETER_REFUSED', level: 'fail', hint }
}

function isOlder(version: string, than: readonly [major: number, minor: number]): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major < than[0] || (major === than[0] && minor < than[1])
}

function quoteRole(role: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(role) ? role : `"${role.replaceAll('"', '""')}"`
}
