// Rules over the settings alone: nothing is asked, so a start can look at all of them.

import type { DeploymentCheck, Finding, Verdict } from '@holdfast/lifecycle'
import type { Config } from '../config.ts'
import { describeRedis, type RedisTarget } from '../redis-target.ts'
import type { Secret } from '../secret.ts'
import { STRICT_POLICY } from '../security-headers.ts'
import { durationText } from '../setting.ts'
import { shutdownTimes } from '../shutdown-times.ts'
import { type Weakness, weaknessOf } from './secret-strength.ts'

/** After the requests: `abortSignal`, plugins that close, and a second for the process itself. */
const CLOSING_MS = 7000
/** For which Fastify keeps a connection that nobody uses. */
export const KEEP_ALIVE_MS = 72_000
const MAKE_ONE = 'Make one with: openssl rand -base64 48'

/** What is asked of settings. */
export function settingsChecks(config: Config, warnings: readonly string[]): DeploymentCheck[] {
  return [
    { name: 'settings', run: () => settingsFindings(config, warnings) },
    { name: 'secrets', run: () => secretFindings(config) },
    { name: 'security', run: () => securityFindings(config) },
    { name: 'shutdown', run: () => shutdownFindings(config) },
  ]
}

/** What is wrong in production, and worth a word elsewhere. */
function strict({ environment }: Config): Verdict {
  return environment === 'production' ? 'fail' : 'warn'
}

function settingsFindings({ environment }: Config, warnings: readonly string[]): Finding[] {
  return [
    { verdict: 'pass', message: 'all settings can be used', data: { environment } },
    ...warnings.map((message): Finding => ({ verdict: 'warn', message })),
  ]
}

const WEAK: Readonly<Record<Weakness, string>> = {
  'a sample': 'looks like the sample of a manual',
  'a repetition': 'repeats a few characters',
  short: 'can be guessed: it has too few different characters',
  words: 'is made of words',
}

function secretFindings(config: Config): Finding[] {
  const given = (
    [
      ['SECRET_KEY', config.secretKey],
      ['SECRET_KEY_PREVIOUS', config.secretKeyPrevious],
      ['METRICS_TOKEN', config.metricsToken],
      ['ADMIN_TOKEN', config.adminToken],
      ['the password of DATABASE_URL', passwordOf(config.databaseUrl)],
      ['the password of REDIS_URL', config.redisUrl?.password?.reveal()],
    ] as const
  ).flatMap(([name, secret]) => {
    const text = typeof secret === 'string' ? secret : secret?.reveal()
    return text === undefined ? [] : [{ name, text }]
  })
  const findings = given.flatMap(({ name, text }): Finding[] => {
    const weakness = weaknessOf(text)
    if (weakness === undefined) return []
    // A password is asked for over a network that few reach; keys and tokens are tried by everybody.
    const isPassword = name.startsWith('the password')
    const verdict = isPassword || weakness === 'words' ? 'warn' : strict(config)
    return [{ verdict, message: `${name} ${WEAK[weakness]}`, hint: MAKE_ONE }]
  })
  for (const [index, { name, text }] of given.entries()) {
    const same = given.slice(index + 1).find((other) => other.text === text)
    if (same === undefined) continue
    const message = `${name} and ${same.name} are the same`
    findings.push({
      verdict: strict(config),
      message,
      hint: 'Whoever knows one must not know the other: make two.',
    })
  }
  if (config.metricsToken !== undefined && config.adminToken === undefined) {
    findings.push({
      verdict: 'warn',
      message:
        'ADMIN_TOKEN is unset, so whoever may scrape METRICS_TOKEN can change limits, blocks and maintenance',
      hint: `Set ADMIN_TOKEN. ${MAKE_ONE}`,
    })
  }
  return findings
}

function passwordOf(url: Secret | undefined): string | undefined {
  const password = URL.parse(url?.reveal() ?? '')?.password
  return password === undefined || password === '' ? undefined : decodeURIComponent(password)
}

function securityFindings(config: Config): Finding[] {
  const findings: Finding[] = []
  const warn = (message: string, hint: string) => findings.push({ verdict: 'warn', message, hint })
  const isProduction = config.environment === 'production'
  const database = URL.parse(config.databaseUrl?.reveal() ?? '')
  if (database !== null && isProduction && database.password === '') {
    warn('DATABASE_URL has no password', 'Give the role one, unless the server knows it by a certificate.')
  }
  if (
    database !== null &&
    isProduction &&
    isElsewhere(database.hostname) &&
    !database.searchParams.has('sslmode')
  ) {
    warn(
      'DATABASE_URL leads to another machine without TLS, so passwords and data can be read on the way',
      'Add ?sslmode=verify-full, or let the way be a network of your own.',
    )
  }
  for (const [name, target] of [
    ['REDIS_URL', config.redisUrl],
    ['RATE_LIMIT_REDIS_URL', config.rateLimitRedisUrl],
  ] as const) {
    if (target === undefined || !isProduction || !hasElsewhere(target)) continue
    if (!target.tls)
      warn(`${name} leads to another machine without TLS: ${describeRedis(target)}`, 'Use rediss://.')
    if (target.password === undefined) {
      warn(
        `${name} has no password: ${describeRedis(target)}`,
        'Sessions are there; give Redis one (requirepass, or an ACL).',
      )
    }
  }
  if (!isProduction) return findings
  if (config.trustProxy === undefined) {
    warn(
      'TRUST_PROXY is unset: behind a proxy all clients have its address, and one limit between them',
      'Name the networks of the proxies, unless clients connect to the service itself.',
    )
  }
  if (!config.csrfSslStrict) {
    warn('CSRF_SSL_STRICT is false: changes need not say where they come from', 'Leave it true.')
  }
  if (config.publicUrl?.startsWith('http:')) {
    warn('PUBLIC_URL is not https: links in mails would go over it', 'Write https://.')
  }
  if (['debug', 'trace'].includes(config.logLevel)) {
    warn(`LOG_LEVEL is ${config.logLevel}: every request is a line, and more`, 'Set it to info.')
  }
  if (
    config.securityCsp !== STRICT_POLICY &&
    /'unsafe-(inline|eval)'|(^|[\s;])\*([\s;]|$)/.test(config.securityCsp)
  ) {
    warn(
      'SECURITY_CSP lets foreign or inline scripts in',
      'Leave it unset: nothing of this service needs more than the default.',
    )
  }
  return findings
}

function hasElsewhere({ nodes }: RedisTarget): boolean {
  return nodes.some(({ host }) => isElsewhere(host))
}

/** Whether a host is another machine, as far as its name tells. */
function isElsewhere(host: string): boolean {
  return !/^(localhost|127\.\d+\.\d+\.\d+|\[?::1\]?|)$/.test(host)
}

function shutdownFindings(config: Config): Finding[] {
  const { drainMs, minDrainMs, requestTimeoutMs } = shutdownTimes(config)
  const { shutdownGraceMs, proxyKeepAliveMs, shutdownMinDrainMs } = config
  const findings: Finding[] = []
  const longestMs = drainMs + requestTimeoutMs + CLOSING_MS
  const data = { longest_ms: longestMs, drain_ms: drainMs, requests_ms: requestTimeoutMs }
  findings.push({ verdict: 'pass', message: `the way down takes ${durationText(longestMs)} at most`, data })
  if (shutdownGraceMs !== undefined && longestMs > shutdownGraceMs) {
    findings.push({
      verdict: 'fail',
      message: `the way down may take ${durationText(longestMs)} (SHUTDOWN_DRAIN ${durationText(drainMs)}, SHUTDOWN_REQUESTS ${durationText(requestTimeoutMs)}, closing ${durationText(CLOSING_MS)}), and is killed after SHUTDOWN_GRACE (${durationText(shutdownGraceMs)})`,
      hint: `Raise what kills it (terminationGracePeriodSeconds) and SHUTDOWN_GRACE to ${durationText(longestMs)}, or lower SHUTDOWN_DRAIN or SHUTDOWN_REQUESTS.`,
      data,
    })
  }
  if (config.environment === 'production' && drainMs === 0) {
    findings.push({
      verdict: 'warn',
      message: 'SHUTDOWN_DRAIN is 0: balancers still send requests to an instance that has gone',
      hint: 'Leave it unset, or make it longer than they need to notice.',
    })
  }
  if (drainMs > 0 && shutdownMinDrainMs > drainMs) {
    findings.push({
      verdict: 'warn',
      message: `SHUTDOWN_MIN_DRAIN (${durationText(shutdownMinDrainMs)}) is longer than SHUTDOWN_DRAIN (${durationText(drainMs)}), which ends it`,
      hint: 'Raise SHUTDOWN_DRAIN.',
    })
  }
  if (proxyKeepAliveMs === undefined) return findings
  if (proxyKeepAliveMs >= KEEP_ALIVE_MS) {
    findings.push({
      verdict: 'fail',
      message: `the proxy keeps idle connections for ${durationText(proxyKeepAliveMs)} (PROXY_KEEP_ALIVE), and the service closes them after ${durationText(KEEP_ALIVE_MS)}: a request can meet a connection that ends`,
      hint: `Let the proxy close them first, before ${durationText(KEEP_ALIVE_MS)}.`,
    })
  }
  if (drainMs > 0 && proxyKeepAliveMs > minDrainMs) {
    findings.push({
      verdict: 'warn',
      message: `the proxy may keep an idle connection for ${durationText(proxyKeepAliveMs)} (PROXY_KEEP_ALIVE), longer than the shortest hold (${durationText(minDrainMs)}): it is closed from here while a request may be on its way`,
      hint: 'Make SHUTDOWN_MIN_DRAIN longer than that, or let the proxy keep idle connections for less.',
    })
  }
  return findings
}
