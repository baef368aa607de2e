// Mistakes that need nobody to ask: settings, secrets, and the machine.

import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Verdict } from '@holdfast/lifecycle'
import type { MachineFacts } from '../src/deployment/machine-facts.ts'
import type { RuleName } from '../src/deployment/rules.ts'
import {
  type Environment,
  findingsAtStart,
  type Mistake,
  soundProduction,
  strong,
} from './seeded-mistakes.ts'

interface Change {
  readonly environment?: Environment
  readonly machine?: Partial<MachineFacts>
}

const MB = 1024 ** 2

/** All of them; the directory is one to write to. */
export function settingsMistakes(directory: string): readonly Mistake[] {
  const sound = { ...soundProduction, DATA_DIRECTORY: directory }
  const key = join(directory, 'key')
  const file = (mode: number) => {
    writeFileSync(key, strong())
    chmodSync(key, mode)
    return findingsAtStart({ ...sound, SECRET_KEY: '', SECRET_KEY_FILE: key })
  }
  const inDirectory = (name: string) => join(directory, name)
  const mistake = (
    rule: RuleName,
    verdict: Exclude<Verdict, 'pass'>,
    title: string,
    broken: Change,
    just: Change,
    found: RegExp,
  ): Mistake => ({
    rule,
    verdict,
    title,
    found,
    broken: () => findingsAtStart({ ...sound, ...broken.environment }, broken.machine),
    sound: () => findingsAtStart({ ...sound, ...just.environment }, just.machine),
  })
  /** Of settings alone. */
  const set = (
    rule: RuleName,
    verdict: Exclude<Verdict, 'pass'>,
    title: string,
    broken: Environment,
    just: Environment,
    found: RegExp,
  ) => mistake(rule, verdict, title, { environment: broken }, { environment: just }, found)
  const elsewhere = (query: string) => ({
    DATABASE_URL: `postgres://holdfast:${strong()}@db.example.com/holdfast${query}`,
  })
  const twice = strong()
  writeFileSync(inDirectory('maintenance'), 'on')
  return [
    set('setting-unusable', 'fail', 'a port that is none', { API_PORT: 'abc' }, {}, /API_PORT is "abc".*->/),
    set(
      'setting-doubtful',
      'warn',
      'a setting that there is not',
      { SHUTDOWN_DRAYN: '1s' },
      { SHUTDOWN_MIN_DRAIN: '1s' },
      /SHUTDOWN_DRAYN is set, but there is no such setting; did you mean SHUTDOWN_DRAIN/,
    ),
    set(
      'processes-uncounted',
      'fail',
      'fewer processes than workers',
      { API_PROCESSES: '2', API_WORKERS: '3', REDIS_URL: 'redis://127.0.0.1' },
      { API_PROCESSES: '3', API_WORKERS: '3', REDIS_URL: 'redis://127.0.0.1' },
      /API_PROCESSES is 2, and this machine alone has 3 .*-> Set API_PROCESSES/,
    ),
    set(
      'maintenance-forced',
      'warn',
      'an emergency that nobody has ended',
      { MAINTENANCE_FORCE: 'on' },
      { MAINTENANCE_FORCE: 'off' },
      /MAINTENANCE_FORCE is on.*-> Unset it/,
    ),
    set(
      'maintenance-forced',
      'warn',
      'a file that nobody has taken away',
      { MAINTENANCE_FILE: inDirectory('maintenance') },
      { MAINTENANCE_FILE: inDirectory('no-such-file') },
      /maintenance is there.*-> rm /,
    ),
    set(
      'secret-weak',
      'fail',
      'a key of a manual',
      { SECRET_KEY: 'change-me-change-me-change-me-change-me' },
      { SECRET_KEY: `${strong()}-change-me` },
      /SECRET_KEY looks like the sample.*-> .*openssl rand/,
    ),
    set(
      'secret-weak',
      'fail',
      'a key of one letter',
      { SECRET_KEY: 'x'.repeat(40) },
      {},
      /SECRET_KEY repeats a few characters/,
    ),
    set(
      'secret-weak',
      'fail',
      'a token that can be guessed',
      { METRICS_TOKEN: 'zazazazzazaazzzaza' },
      {},
      /METRICS_TOKEN can be guessed/,
    ),
    set(
      'secret-weak',
      'warn',
      'a key of words',
      { SECRET_KEY: 'the-quick-brown-fox-jumps-over-the-lazy-dog' },
      { SECRET_KEY: 'the-Quick7brown-foX-jumps-oveR-the-1azy-dog' },
      /SECRET_KEY is made of words/,
    ),
    set(
      'password-weak',
      'warn',
      'a weak password',
      { DATABASE_URL: 'postgres://holdfast:password@127.0.0.1/holdfast' },
      {},
      /the password of DATABASE_URL looks like the sample.*-> .*openssl rand/,
    ),
    set(
      'password-weak',
      'warn',
      'a weak password of the Redis of limits',
      { RATE_LIMIT_REDIS_URL: 'redis://:redis@127.0.0.1' },
      { RATE_LIMIT_REDIS_URL: `redis://:${strong()}@127.0.0.1` },
      /the password of RATE_LIMIT_REDIS_URL can be guessed/,
    ),
    set(
      'secrets-equal',
      'fail',
      'one text for two things',
      { ADMIN_TOKEN: twice, METRICS_TOKEN: twice },
      { ADMIN_TOKEN: twice, METRICS_TOKEN: twice.toUpperCase() },
      /METRICS_TOKEN and ADMIN_TOKEN are the same -> .*make two/,
    ),
    set(
      'secrets-equal',
      'warn',
      'one password for two roles',
      {
        DATABASE_URL: `postgres://web:${twice}@127.0.0.1/a`,
        DATABASE_MIGRATION_URL: `postgres://owner:${twice}@127.0.0.1/a`,
      },
      {
        DATABASE_URL: `postgres://web:${twice}@127.0.0.1/a`,
        DATABASE_MIGRATION_URL: `postgres://web:${twice}@127.0.0.1:5433/a`,
      },
      /the password of DATABASE_URL and the password of DATABASE_MIGRATION_URL are the same/,
    ),
    set(
      'admin-token-unset',
      'warn',
      'no token for operators',
      { ADMIN_TOKEN: '' },
      {},
      /ADMIN_TOKEN is unset.*-> Set ADMIN_TOKEN/,
    ),
    set(
      'password-unset',
      'warn',
      'a database without a password',
      { DATABASE_URL: 'postgres://holdfast@127.0.0.1/holdfast' },
      {},
      /DATABASE_URL has no password/,
    ),
    set(
      'password-unset',
      'warn',
      'a Redis elsewhere without one',
      { REDIS_URL: 'rediss://cache.example.com:6379' },
      { REDIS_URL: 'redis://127.0.0.1:6379' },
      /REDIS_URL has no password: rediss:\/\/cache.*-> .*requirepass/,
    ),
    set(
      'tls-unset',
      'warn',
      'a database elsewhere without TLS',
      elsewhere(''),
      elsewhere('?sslmode=verify-full'),
      /DATABASE_URL leads to another machine \(db\.example\.com\) without TLS.*-> .*sslmode=verify-full/,
    ),
    set(
      'tls-unset',
      'warn',
      'one where it is switched off',
      elsewhere('?sslmode=disable'),
      elsewhere('?sslmode=require'),
      /without TLS/,
    ),
    set(
      'tls-unset',
      'warn',
      'a Redis elsewhere without TLS',
      { REDIS_URL: `redis://:${twice}@cache.example.com:6379` },
      { REDIS_URL: `rediss://:${twice}@cache.example.com:6379` },
      /REDIS_URL leads to another machine without TLS: redis:\/\/cache/,
    ),
    set(
      'tls-unverified',
      'warn',
      'a server that need not be the one',
      elsewhere('?sslmode=no-verify'),
      elsewhere('?sslmode=verify-full'),
      /DATABASE_URL takes anybody for the server \(sslmode=no-verify\)/,
    ),
    set(
      'tls-unverified',
      'fail',
      'no certificate looked at',
      { NODE_TLS_REJECT_UNAUTHORIZED: '0' },
      { NODE_TLS_REJECT_UNAUTHORIZED: '1' },
      /NODE_TLS_REJECT_UNAUTHORIZED is 0.*-> Unset it.*NODE_EXTRA_CA_CERTS/,
    ),
    set(
      'proxy-unset',
      'warn',
      'no proxy',
      { TRUST_PROXY: '' },
      {},
      /TRUST_PROXY is unset.*-> Name the networks/,
    ),
    set(
      'exempt-everybody',
      'fail',
      'limits for nobody',
      { RATE_LIMITS_EXEMPT: '10.0.0.0/8, 0.0.0.0/0' },
      { RATE_LIMITS_EXEMPT: '10.0.0.0/8' },
      /RATE_LIMITS_EXEMPT holds 0\.0\.0\.0\/0, which is everybody/,
    ),
    set(
      'csrf-lax',
      'warn',
      'changes from anywhere',
      { CSRF_SSL_STRICT: 'false' },
      { CSRF_SSL_STRICT: 'true' },
      /CSRF_SSL_STRICT is false/,
    ),
    set(
      'public-url-plain',
      'warn',
      'mails over http',
      { PUBLIC_URL: 'http://holdfast.example.com' },
      {},
      /PUBLIC_URL is not https/,
    ),
    set(
      'public-url-plain',
      'warn',
      'a foreign site over http',
      { TRUSTED_ORIGINS: 'http://shop.example.com' },
      { TRUSTED_ORIGINS: 'https://shop.example.com' },
      /TRUSTED_ORIGINS holds http:\/\/shop/,
    ),
    set(
      'log-verbose',
      'warn',
      'a line for everything',
      { LOG_LEVEL: 'trace' },
      { LOG_LEVEL: 'info' },
      /LOG_LEVEL is trace/,
    ),
    set(
      'csp-loose',
      'warn',
      'scripts from anywhere',
      { SECURITY_CSP: "default-src 'self'; script-src 'unsafe-inline'" },
      { SECURITY_CSP: "default-src 'self'" },
      /SECURITY_CSP lets/,
    ),
    mistake(
      'debugger-open',
      'fail',
      'a debugger in production',
      { machine: { debuggerUrl: 'ws://127.0.0.1:9229/4dd8' } },
      {},
      /debugger at 127\.0\.0\.1:9229: .*-> .*--inspect/,
    ),
    mistake(
      'user-root',
      'warn',
      'root',
      { machine: { userId: 0 } },
      { machine: { userId: 1 } },
      /runs as root.*-> /,
    ),
    set(
      'grace-short',
      'fail',
      'a grace that is too short',
      { SHUTDOWN_GRACE: '46s' },
      { SHUTDOWN_GRACE: '47s' },
      /the way down may take 47s \(SHUTDOWN_DRAIN 10s, SHUTDOWN_REQUESTS 30s, closing 7s\), and is killed after SHUTDOWN_GRACE \(46s\) -> Raise .* to 47s/,
    ),
    set(
      'drain-none',
      'warn',
      'no hold',
      { SHUTDOWN_DRAIN: '0s' },
      { SHUTDOWN_DRAIN: '2s' },
      /SHUTDOWN_DRAIN is 0/,
    ),
    set(
      'drain-short',
      'warn',
      'a shortest hold beyond the longest',
      { SHUTDOWN_DRAIN: '1s' },
      { SHUTDOWN_DRAIN: '2s' },
      /SHUTDOWN_MIN_DRAIN \(2s\) is longer than SHUTDOWN_DRAIN \(1s\)/,
    ),
    set(
      'requests-cut',
      'warn',
      'requests that are cut',
      { SHUTDOWN_REQUESTS: '29s' },
      { SHUTDOWN_REQUESTS: '30s' },
      /SHUTDOWN_REQUESTS \(29s\) is shorter than HANDLER_TIMEOUT \(30s\).*-> Raise SHUTDOWN_REQUESTS to 30s/,
    ),
    set(
      'proxy-outlasts-service',
      'fail',
      'a proxy that keeps connections for longer',
      { PROXY_KEEP_ALIVE: '72s', SHUTDOWN_DRAIN: '2m', SHUTDOWN_MIN_DRAIN: '80s' },
      { PROXY_KEEP_ALIVE: '71s', SHUTDOWN_DRAIN: '2m', SHUTDOWN_MIN_DRAIN: '80s' },
      /the proxy keeps idle connections for 72s \(PROXY_KEEP_ALIVE\), and the service closes them after 72s/,
    ),
    set(
      'proxy-outlasts-drain',
      'warn',
      'a proxy that keeps connections beyond the hold',
      { PROXY_KEEP_ALIVE: '3s' },
      { PROXY_KEEP_ALIVE: '2s' },
      /the proxy may keep an idle connection for 3s .* \(2s\).*-> Make SHUTDOWN_MIN_DRAIN longer/,
    ),
    mistake(
      'node-old',
      'fail',
      'an old Node',
      { machine: { nodeVersion: '24.6.9' } },
      { machine: { nodeVersion: '24.7.0' } },
      /this is Node 24\.6\.9, and the service wants >=24\.7/,
    ),
    set(
      'directory-unwritable',
      'warn',
      'no place for what is kept',
      { DATA_DIRECTORY: '/dev/null/nowhere' },
      { DATA_DIRECTORY: inDirectory('made/at/the/start') },
      /nothing can be kept in \/dev\/null\/nowhere \(DATA_DIRECTORY\).*-> Set DATA_DIRECTORY/,
    ),
    set(
      'directory-unwritable',
      'warn',
      'no place for logs',
      { LOG_DIRECTORY: '/dev/null/nowhere' },
      { LOG_DIRECTORY: inDirectory('logs') },
      /\(LOG_DIRECTORY\).*there are no log files/,
    ),
    mistake(
      'disk-short',
      'warn',
      'a disk that is nearly full',
      { machine: { freeBytes: () => 64 * MB - 1 } },
      { machine: { freeBytes: () => 64 * MB } },
      /63 MB are free in .* \(DATA_DIRECTORY\), and up to 64 MB are written there -> Make room/,
    ),
    mistake(
      'disk-short',
      'warn',
      'a disk with room for less than the logs',
      { environment: { LOG_DIRECTORY: directory }, machine: { freeBytes: () => 199 * MB } },
      { environment: { LOG_DIRECTORY: directory }, machine: { freeBytes: () => 200 * MB } },
      /199 MB are free in .* \(LOG_DIRECTORY\), and up to 200 MB/,
    ),
    {
      rule: 'secret-file-open',
      verdict: 'warn',
      title: 'a key that everybody on the machine can read',
      found: /SECRET_KEY_FILE names a file that everybody.* -> chmod o-r/,
      broken: () => file(0o644),
      sound: () => file(0o640),
    },
    mistake(
      'descriptors-few',
      'fail',
      'fewer files than the pool',
      { machine: { descriptors: 93 } },
      { environment: { MAX_CONNECTIONS: '100' }, machine: { descriptors: 194 } },
      /a process may have 93 files and connections open, and wants 10094 .*-> .*ulimit -n 10094/,
    ),
    mistake(
      'descriptors-few',
      'warn',
      'fewer files than clients',
      { environment: { MAX_CONNECTIONS: '100' }, machine: { descriptors: 193 } },
      { machine: { descriptors: 10_094 } },
      /193 files and connections open, and wants 194/,
    ),
    mistake(
      'memory-short',
      'warn',
      'more workers than memory',
      {
        environment: { API_WORKERS: '2', REDIS_URL: 'redis://127.0.0.1' },
        machine: { memoryBytes: 511 * MB },
      },
      {
        environment: { API_WORKERS: '2', REDIS_URL: 'redis://127.0.0.1' },
        machine: { memoryBytes: 512 * MB },
      },
      /the service may take 512 MB \(API_WORKERS 2, .* and there are 511 MB -> .*API_WORKERS or THEME_CACHE_MAX_BYTES/,
    ),
    mistake(
      'workers-beyond-cpus',
      'warn',
      'more workers than processors',
      { environment: { API_WORKERS: '3', REDIS_URL: 'redis://127.0.0.1' }, machine: { cpus: 2 } },
      { environment: { API_WORKERS: '3', REDIS_URL: 'redis://127.0.0.1' }, machine: { cpus: 3 } },
      /API_WORKERS is 3, and there are 2 processors -> Lower API_WORKERS to 2/,
    ),
    mistake(
      'backlog-small',
      'warn',
      'a kernel of another time',
      { machine: { backlog: 128 } },
      { machine: { backlog: 511 } },
      /the kernel keeps 128 connections .*-> sysctl -w net\.core\.somaxconn/,
    ),
  ]
}
