// What in a valid environment looks like a mistake without being one for certain.

import { nearest } from '../nearest.ts'
import { type Config, settings } from './every-setting.ts'
import { processesOf, workersOf } from './process-count.ts'
import { type Environment, given } from './setting-text.ts'

// Variables with these beginnings are almost certainly meant for this service.
const OWN_PREFIXES = [
  'API_',
  'LOG_',
  'DB_',
  'DATABASE_',
  'PGBOUNCER_',
  'REDIS_',
  'THEME_',
  'METRICS_',
  'MANAGEMENT_',
  'HOLDFAST_',
  'RATE_LIMIT',
  'ABUSE_',
  'TRUST_',
  'BOT_OPERATION_',
  'MAINTENANCE_',
  'BROADCAST_',
  'SECURITY_',
  'SECRET_',
  'SESSION_',
  'CSRF_',
  'SMTP_',
  'MAIL_',
  'TRUSTED_',
  'SHUTDOWN_',
  'NOTIFY_',
  'BOT_API_',
  'BOTS_',
  'JOBS_',
  'ODDS_',
]
// Kubernetes injects these for every Service, whatever its name.
const KUBERNETES_LINK = /_SERVICE_(HOST|PORT)(_|$)|_PORT_\d+_(TCP|UDP)/
const MIN_TOKEN_LENGTH = 16

/** Variables that nothing reads, as sentences without an end. */
export function unknownNames(environment: Environment): string[] {
  const known = settings.flatMap(({ name, secret, alias }) => [
    name,
    ...(secret ? [`${name}_FILE`] : []),
    ...(alias === undefined ? [] : [alias]),
  ])
  const warnings: string[] = []
  for (const name of Object.keys(environment)) {
    const value = given(environment, name)
    const injected = KUBERNETES_LINK.test(name) || value?.startsWith('tcp://')
    if (known.includes(name) || value === undefined || injected) continue
    const meant = nearest(name, known)
    const hint = meant === undefined ? '' : `; did you mean ${meant}?`
    if (OWN_PREFIXES.some((prefix) => name.startsWith(prefix)) || (meant !== undefined && name.length > 6)) {
      warnings.push(`${name} is set, but there is no such setting${hint}`)
    }
  }
  return warnings
}

/** What deserves a look, as sentences without an end. */
export function warningsOf(config: Config, environment: Environment): string[] {
  const warnings = unknownNames(environment)
  if (config.enableMetrics && config.metricsToken === undefined) {
    warnings.push('ENABLE_METRICS is true, but without METRICS_TOKEN nobody is allowed to read /metrics')
  }
  if (config.environment === 'production' && config.smtpUrl === undefined) {
    warnings.push('SMTP_URL is unset: nobody can register, nor reset a password')
  }
  if (config.botToken !== undefined && config.adminIds === undefined) {
    warnings.push('BOT_TOKEN is set, and ADMIN_IDS is not: the bot has nobody to write to')
  }
  if (config.adminIds !== undefined && config.botToken === undefined) {
    warnings.push('ADMIN_IDS is set, and BOT_TOKEN is not: nobody writes to them')
  }
  if (given(environment, 'API_WORKERS') !== undefined && config.apiWorkers > workersOf(config)) {
    warnings.push(
      `API_WORKERS is ${config.apiWorkers}, and one process serves: without REDIS_URL sessions, limits and maintenance would be those of each worker`,
    )
  }
  if (config.redisUrl === undefined && config.rateLimitRedisUrl === undefined) {
    const processes = processesOf(config)
    if (processes > 1) {
      warnings.push(
        `API_PROCESSES without Redis: ${processes} processes let pass ${processes} times each limit`,
      )
    }
    if (config.rateLimitsLeases !== 'off') {
      warnings.push('RATE_LIMITS_LEASES does nothing without Redis: there is nobody to lend')
    }
  }
  for (const [name, token] of [
    ['METRICS_TOKEN', config.metricsToken],
    ['ADMIN_TOKEN', config.adminToken],
  ] as const) {
    if (token !== undefined && token.reveal().length < MIN_TOKEN_LENGTH) {
      warnings.push(`${name} has fewer than ${MIN_TOKEN_LENGTH} characters and can be guessed`)
    }
  }
  return warnings
}
