// Everything that a check can find wrong, by the name that programs know it by. The README lists it, and a test has a
// case for each of them.

import type { Finding, Verdict } from '@holdfast/lifecycle'
import type { Config } from '../config.ts'

/** What is wrong, by rule. */
export const RULES = {
  'setting-unusable': 'a setting has a value that cannot be used',
  'setting-doubtful': 'a setting that there is not, or one that does nothing',
  'processes-uncounted': '`API_PROCESSES` is less than `API_WORKERS`',
  'maintenance-forced': '`MAINTENANCE_FORCE`, or the file of `MAINTENANCE_FILE`, overrides operators',
  'maintenance-file-open': 'others may write the file of `MAINTENANCE_FILE`, or put it there',
  'maintenance-file-unusable': 'there is no folder where `MAINTENANCE_FILE` says, or one in its place',
  'secret-weak': 'a key or a token is a sample, repeats, is made of words, or is short',
  'password-weak': 'the same of a password in a URL',
  'secrets-equal': 'one text for two things',
  'admin-token-unset': 'whoever may scrape may change limits',
  'password-unset': 'PostgreSQL, or a Redis on another machine, asks for no password',
  'tls-unset': 'PostgreSQL or Redis on another machine without TLS',
  'tls-unverified': 'TLS that takes anybody for the server',
  'proxy-unset': 'no `TRUST_PROXY`: all clients have one address',
  'exempt-everybody': '`RATE_LIMITS_EXEMPT` or `ABUSE_ALLOW` holds all addresses',
  'csrf-lax': '`CSRF_SSL_STRICT` is false',
  'public-url-plain': '`PUBLIC_URL` or one of `TRUSTED_ORIGINS` is not https',
  'log-verbose': '`LOG_LEVEL` is debug or trace',
  'csp-loose': '`SECURITY_CSP` lets foreign or inline scripts in',
  'debugger-open': 'Node listens for a debugger',
  'user-root': 'the service runs as root',
  'grace-short': 'the way down may take longer than `SHUTDOWN_GRACE`',
  'drain-none': '`SHUTDOWN_DRAIN` is 0',
  'drain-short': '`SHUTDOWN_MIN_DRAIN` is longer than `SHUTDOWN_DRAIN`',
  'requests-cut': '`SHUTDOWN_REQUESTS` is shorter than `HANDLER_TIMEOUT`',
  'proxy-outlasts-service': '`PROXY_KEEP_ALIVE` is not shorter than the 72 s of the service',
  'proxy-outlasts-drain': '`PROXY_KEEP_ALIVE` is longer than the shortest hold',
  'proxy-gives-up': '`PROXY_READ_TIMEOUT` is not longer than `HANDLER_TIMEOUT`',
  'node-old': 'Node is older than the service wants',
  'package-missing': 'a package is missing, or of another version',
  'directory-unwritable': 'nothing can be kept in `DATA_DIRECTORY`, or written to `LOG_DIRECTORY`',
  'disk-short': 'the disk below one of them is nearly full',
  'secret-file-open': 'everybody on the machine can read or write a secret',
  'certificate-unreadable': 'a file of certificates or keys cannot be read, or holds none',
  'certificate-ending':
    'a certificate of a server, or of such a file, ends within 21 days or is not valid now',
  'descriptors-few': 'fewer file descriptors than connections',
  'memory-short': 'the processes together may take more memory than there is',
  'workers-beyond-cpus': 'more workers than processors',
  'backlog-small': 'the kernel keeps fewer connections that wait than the service asks for',
  'database-unset': 'there is no `DATABASE_URL`, and no database of its own runs',
  'database-away': 'PostgreSQL does not answer, or lets nobody in',
  'database-slow': 'it takes more than 100 ms',
  'database-old': 'it is older than 14',
  'database-read-only': 'it takes no writes',
  'database-careless': '`fsync` or `full_page_writes` is off',
  'database-encoding': 'its encoding is not UTF-8',
  'database-crowded': 'others have connections that the service may want',
  'restart-crowded': 'the connections are enough, but not while processes are replaced',
  'connections-exceed-server': 'all processes together may open more connections than it has',
  'connections-exceed-pooler': 'the same of PgBouncer (`max_client_conn`)',
  'pooler-pool-small': 'PgBouncer has fewer connections to PostgreSQL than the pools together',
  'pooler-mode': 'PgBouncer has a `pool_mode` that the service cannot work with',
  'pooler-unseen': 'a pooler stands between, and `PGBOUNCER_ADMIN_URL` is unset or refused',
  'pooler-timeout-short': 'PgBouncer ends statements before the service does',
  'parameter-refused': 'PgBouncer refuses a startup parameter of `DATABASE_URL`',
  'parameter-ignored': 'one that is not in force',
  'parameter-pooled': 'one that is a matter of luck behind a pooler',
  'named-statements': 'statements with names behind a pooler that does not know them',
  'idle-timeout-short': '`DB_IDLE_IN_TRANSACTION_TIMEOUT` is shorter than `DB_LOCK_TIMEOUT`',
  'role-unbounded': 'the role has no time-outs of its own',
  'role-superuser': 'the role is a superuser',
  'statements-abandoned': 'statements go on when their client is gone',
  'migrations-pending': 'the database lacks migrations',
  'migrations-unknown': 'it has some that this version does not know',
  'migration-changed': 'one has not the text any more that it was applied with',
  'migrations-unreadable': 'the role may not read which there are',
  'tables-forbidden': 'the role may not use a table or a sequence of the service',
  'migration-url-away': '`DATABASE_MIGRATION_URL` leads nowhere',
  'migration-url-elsewhere': '`DATABASE_MIGRATION_URL` leads to another database',
  'clock-off': 'the clock is not that of PostgreSQL or Redis',
  'redis-unset': 'no `REDIS_URL` for several processes',
  'redis-away': 'Redis does not answer, or lets nobody in',
  'redis-slow': 'it takes more than 50 ms, after which the service gives up',
  'redis-unseen': 'it does not tell what it is (`INFO` is forbidden)',
  'redis-old': 'it is older than 6',
  'redis-evicts': 'it throws away what it holds when it is full',
  'redis-full': 'more than 90 % of its memory is used',
  'redis-unbounded': 'it has no `maxmemory`, and grows until it is killed',
  'redis-forgets': 'it keeps nothing over a restart',
  'redis-read-only': 'it is a replica, or takes no writes since it could not save',
  'redis-scripts': 'it runs no scripts',
  'redis-crowded': 'fewer clients than all processes together (`maxclients`)',
  'probe-fails': 'a probe does not answer 200',
} as const

/** The name of a rule. */
export type RuleName = keyof typeof RULES

/** What a rule has found. */
export interface Broken extends Finding {
  readonly rule: RuleName
}

/** A finding that somebody should know of. */
export function warned(rule: RuleName, message: string, hint: string, data?: Finding['data']): Broken {
  return { verdict: 'warn', rule, message, hint, ...(data && { data }) }
}

/** A finding with which the service must not run. */
export function failed(rule: RuleName, message: string, hint: string, data?: Finding['data']): Broken {
  return { ...warned(rule, message, hint, data), verdict: 'fail' }
}

/** That all is well, when nothing was found. */
export function passed(findings: readonly Finding[], message: string, data?: Finding['data']): Finding[] {
  return findings.length > 0 ? [...findings] : [{ verdict: 'pass', message, ...(data && { data }) }]
}

/** What is wrong in production, and worth a word elsewhere. */
export function strict({ environment }: Config): Verdict {
  return environment === 'production' ? 'fail' : 'warn'
}

/** The rules in Markdown, as they stand in the README. */
export function renderRuleTable(): string {
  const rows = Object.entries(RULES).map(([name, wrong]) => `| \`${name}\` | ${wrong} |`)
  return ['| rule | what is wrong |', '| --- | --- |', ...rows].join('\n')
}
