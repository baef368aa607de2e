// What the pool finds of its way to the database, in the names of our rules and settings.

import type { Finding } from '@holdfast/lifecycle'
import type { FindingCode, Finding as Found } from '@holdfast/pool-guard'
import { type Config, poolSizeOf } from '../config.ts'
import type { RuleName } from './rules.ts'

/** The names that the pool has for what it finds. */
const RULE_OF: Readonly<Record<FindingCode, RuleName>> = {
  STARTUP_PARAMETER_REFUSED: 'parameter-refused',
  STARTUP_PARAMETER_IGNORED: 'parameter-ignored',
  STARTUP_PARAMETER_POOLED: 'parameter-pooled',
  NAMED_STATEMENTS: 'named-statements',
  POOL_MODE: 'pooler-mode',
  // The configuration refuses it before.
  LOCK_TIMEOUT_INEFFECTIVE: 'setting-unusable',
  IDLE_TIMEOUT_SHORT: 'idle-timeout-short',
  CONNECTIONS_EXCEED_SERVER: 'connections-exceed-server',
  CONNECTIONS_EXCEED_POOLER: 'connections-exceed-pooler',
  POOLER_POOL_SMALL: 'pooler-pool-small',
  POOLER_TIMEOUT_SHORT: 'pooler-timeout-short',
  ROLE_FLOOR_MISSING: 'role-unbounded',
  SUPERUSER: 'role-superuser',
  ABANDONED_STATEMENTS: 'statements-abandoned',
  UNREACHABLE: 'database-away',
}

/** What is no matter of an option. */
const HINT_OF: Partial<Record<FindingCode, string>> = {
  STARTUP_PARAMETER_REFUSED:
    'Take it out of DATABASE_URL; do not add it to ignore_startup_parameters, which would only silence it.',
  NAMED_STATEMENTS: 'Leave DB_PREPARE_THRESHOLD at 0, or use PgBouncer 1.21 with max_prepared_statements.',
}

/** The check of the database says why, once for all of them. */
export function unasked(): Finding {
  return { verdict: 'warn', rule: 'database-away', message: 'not looked at: the database cannot be asked' }
}

/** One of them as a finding of a check. */
export function ruled(found: Found, config: Config): Finding {
  if (found.code === 'UNREACHABLE') return unasked()
  const { message, hint } = parts(inSettings(found.hint, config))
  return { verdict: found.level, rule: RULE_OF[found.code], message, hint: HINT_OF[found.code] ?? hint }
}

/** Our settings, with what they are, for the options of the pool that they become. */
function inSettings(text: string, config: Config): string {
  const { max, maxOverflow, setting } = poolSizeOf(config)
  return text
    .replaceAll('`max`', `${setting} (${max})`)
    .replaceAll('`maxOverflow`', `DB_MAX_OVERFLOW (${maxOverflow})`)
    .replace('use a pooler', 'put PgBouncer between (deploy/pgbouncer)')
    .replace(/\bidleInTransactionTimeoutMs \((\d+)\)/, 'DB_IDLE_IN_TRANSACTION_TIMEOUT ($1 ms)')
    .replace(/\blockTimeoutMs \((\d+)\)/, 'DB_LOCK_TIMEOUT ($1 ms)')
}

/** It says what is, and after a semicolon what to do. */
function parts(text: string): { readonly message: string; readonly hint: string } {
  const end = text.indexOf('; ')
  if (end === -1) return { message: text, hint: '' }
  const advice = text.slice(end + 2)
  return { message: text.slice(0, end), hint: `${advice.charAt(0).toUpperCase()}${advice.slice(1)}.` }
}
