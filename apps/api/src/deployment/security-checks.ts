// What is open that should not be: to whoever reaches this machine, to whoever is on the way, and to the web.

import type { DeploymentCheck, Finding } from '@holdfast/lifecycle'
import type { Config } from '../config.ts'
import { describeRedis, type RedisTarget } from '../redis-target.ts'
import { STRICT_POLICY } from '../security-headers.ts'
import { type DatabaseWay, databaseWays, isElsewhere } from './database-way.ts'
import type { Deployment } from './deployment-checks.ts'
import { failed, passed, strict, warned } from './rules.ts'

/** What is asked of it. */
export function securityChecks(deployment: Deployment): DeploymentCheck[] {
  return [{ name: 'security', run: () => securityFindings(deployment) }]
}

function securityFindings({ config, verifiesCertificates, machine }: Deployment): Finding[] {
  const findings: Finding[] = []
  if (machine.debuggerUrl !== undefined) {
    const hint = 'Start Node without --inspect, and see who set NODE_OPTIONS.'
    const message = `Node listens for a debugger at ${new URL(machine.debuggerUrl).host}: whoever reaches it reads every secret`
    findings.push({ ...warned('debugger-open', message, hint), verdict: strict(config) })
  }
  if (!verifiesCertificates) {
    const hint =
      'Unset NODE_TLS_REJECT_UNAUTHORIZED; for a certificate of your own give its authority in NODE_EXTRA_CA_CERTS.'
    const message = 'NODE_TLS_REJECT_UNAUTHORIZED is 0: TLS takes anybody for the server'
    findings.push({ ...warned('tls-unverified', message, hint), verdict: strict(config) })
  }
  for (const [name, networks] of [
    ['RATE_LIMITS_EXEMPT', config.rateLimitsExempt ?? []],
    ['ABUSE_ALLOW', config.abuseAllow],
  ] as const) {
    const widest = networks.find((network) => network.endsWith('/0'))
    if (widest === undefined) continue
    findings.push(
      failed(
        'exempt-everybody',
        `${name} holds ${widest}, which is everybody: nobody is limited`,
        `Let ${name} name the networks of those who are meant, such as 10.0.0.0/8.`,
      ),
    )
  }
  if (config.environment !== 'production') return passed(findings, 'most of it matters in production alone')
  if (machine.userId === 0) {
    findings.push(
      warned(
        'user-root',
        'the service runs as root: whoever breaks into it has the machine',
        'Run it as a user of its own (USER of a Dockerfile, runAsNonRoot, User= of systemd).',
      ),
    )
  }
  findings.push(
    ...databaseWays(config).flatMap(databaseWayFindings),
    ...redisWayFindings('REDIS_URL', config.redisUrl),
    ...redisWayFindings('RATE_LIMIT_REDIS_URL', config.rateLimitRedisUrl),
    ...webFindings(config),
  )
  return passed(findings, 'nothing is open that should not be')
}

/** What others could read or say between here and PostgreSQL. */
function databaseWayFindings({ name, host, hasPassword, tls, mode }: DatabaseWay): Finding[] {
  // Where DATABASE_URL leads, it leads, too.
  if (name === 'PGBOUNCER_ADMIN_URL') return []
  const findings: Finding[] = []
  if (!hasPassword) {
    const hint = `Give its role one (alter role ... password) and write it into ${name}, unless the server knows the role by a certificate.`
    findings.push(warned('password-unset', `${name} has no password`, hint))
  }
  if (!isElsewhere(host)) return findings
  if (tls === 'none') {
    findings.push(
      warned(
        'tls-unset',
        `${name} leads to another machine (${host}) without TLS, so passwords and data can be read on the way`,
        `Add sslmode=verify-full to the query of ${name}, or let the way be a network of your own.`,
      ),
    )
  } else if (tls === 'unverified') {
    findings.push(
      warned(
        'tls-unverified',
        `${name} takes anybody for the server (${mode === undefined ? 'ssl=no-verify' : `sslmode=${mode}`})`,
        `Set sslmode=verify-full in the query of ${name}, with sslrootcert for an authority of your own.`,
      ),
    )
  }
  return findings
}

/** The same between here and Redis. */
function redisWayFindings(name: string, target: RedisTarget | undefined): Finding[] {
  if (target === undefined || !target.nodes.some(({ host }) => isElsewhere(host))) return []
  const where = describeRedis(target)
  const findings: Finding[] = []
  if (!target.tls) {
    const hint = `Let ${name} begin with rediss, or let the way be a network of your own.`
    findings.push(warned('tls-unset', `${name} leads to another machine without TLS: ${where}`, hint))
  }
  if (target.password === undefined) {
    const hint = `Sessions are there: give Redis one (requirepass, or an ACL), and write it into ${name}.`
    findings.push(warned('password-unset', `${name} has no password: ${where}`, hint))
  }
  return findings
}

/** What the web could do. */
function webFindings(config: Config): Finding[] {
  const { trustProxy, csrfSslStrict, publicUrl, trustedOrigins = [], logLevel, securityCsp } = config
  const findings: Finding[] = []
  if (trustProxy === undefined) {
    findings.push(
      warned(
        'proxy-unset',
        'TRUST_PROXY is unset: behind a proxy all clients have its address, and one limit between them',
        'Let TRUST_PROXY name the networks of the proxies, such as 10.0.0.0/8, unless clients connect to the service itself.',
      ),
    )
  }
  if (!csrfSslStrict) {
    const message = 'CSRF_SSL_STRICT is false: changes need not say where they come from'
    findings.push(warned('csrf-lax', message, 'Unset CSRF_SSL_STRICT, or set it to true.'))
  }
  if (publicUrl?.startsWith('http:')) {
    const message = `PUBLIC_URL is ${publicUrl}, not https: links in mails would go over it`
    findings.push(warned('public-url-plain', message, `Set PUBLIC_URL to ${secured(publicUrl)}.`))
  }
  const plain = trustedOrigins.find((origin) => origin.startsWith('http:'))
  if (plain !== undefined) {
    const message = `TRUSTED_ORIGINS holds ${plain}: whoever is on the way there uses this service with its visitors' cookies`
    findings.push(warned('public-url-plain', message, `Write ${secured(plain)} in TRUSTED_ORIGINS.`))
  }
  if (['debug', 'trace'].includes(logLevel)) {
    const message = `LOG_LEVEL is ${logLevel}: every request is a line, and more`
    const hint = 'Set LOG_LEVEL to info; PUT /admin/log-level says more for a while.'
    findings.push(warned('log-verbose', message, hint))
  }
  const found =
    securityCsp === STRICT_POLICY
      ? undefined
      : /'unsafe-(inline|eval)'|(?<=^|[\s;])\*(?=[\s;]|$)/.exec(securityCsp)?.[0]
  if (found !== undefined) {
    const message = `SECURITY_CSP holds ${found}, and lets foreign or inline scripts in`
    const hint = 'Leave SECURITY_CSP unset: nothing of this service needs more than the default.'
    findings.push(warned('csp-loose', message, hint))
  }
  return findings
}

function secured(origin: string): string {
  return origin.replace(/^http:/, 'https:')
}
