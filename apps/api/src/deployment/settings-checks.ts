// Rules over the settings alone: nothing is asked, so a start can look at all of them.

import type { DeploymentCheck, Finding } from '@holdfast/lifecycle'
import type { Config } from '../config.ts'
import { describeRedis, type RedisTarget } from '../redis-target.ts'
import { STRICT_POLICY } from '../security-headers.ts'
import type { Deployment } from './deployment-checks.ts'
import { failed, passed, strict, warned } from './rules.ts'
import { secretFindings } from './secret-checks.ts'
import { shutdownFindings } from './shutdown-checks.ts'

/** What is asked of settings. */
export function settingsChecks(deployment: Deployment): DeploymentCheck[] {
  const { config } = deployment
  return [
    { name: 'settings', run: () => settingsFindings(deployment) },
    { name: 'secrets', run: () => secretFindings(config) },
    { name: 'security', run: () => securityFindings(deployment) },
    { name: 'shutdown', run: () => shutdownFindings(config) },
  ]
}

function settingsFindings({ config, warnings, maintenanceFile }: Deployment): Finding[] {
  const { environment, apiProcesses, apiWorkers, maintenanceForce } = config
  const findings: Finding[] = [
    { verdict: 'pass', message: 'all settings can be used', data: { environment } },
    ...warnings.map((message): Finding => ({ verdict: 'warn', rule: 'setting-doubtful', message })),
  ]
  if (apiProcesses !== undefined && apiProcesses < apiWorkers) {
    findings.push(
      failed(
        'processes-uncounted',
        `API_PROCESSES is ${apiProcesses}, and this machine alone has ${apiWorkers} (API_WORKERS): connections and limits are counted for too few`,
        'Set API_PROCESSES to the processes of all machines together, or leave it unset where there is one machine.',
      ),
    )
  }
  if (maintenanceForce === 'on') {
    findings.push(
      warned(
        'maintenance-forced',
        'MAINTENANCE_FORCE is on: this instance is in maintenance, whatever operators say',
        'Unset it when the emergency is over.',
      ),
    )
  }
  if (maintenanceFile !== undefined) {
    findings.push(
      warned(
        'maintenance-forced',
        `${maintenanceFile} is there (MAINTENANCE_FILE): this instance does what it says, whatever operators say`,
        `rm ${maintenanceFile} when the emergency is over; the service need not be restarted.`,
      ),
    )
  }
  return findings
}

function securityFindings({ config, verifiesCertificates, machine }: Deployment): Finding[] {
  const findings: Finding[] = []
  if (machine.debuggerUrl !== undefined) {
    const hint = 'Start Node without --inspect, and see who set NODE_OPTIONS.'
    const message = `Node listens for a debugger at ${new URL(machine.debuggerUrl).host}: whoever reaches it reads every secret`
    findings.push({ ...warned('debugger-open', message, hint), verdict: strict(config) })
  }
  if (!verifiesCertificates) {
    const hint = 'Unset it; for a certificate of your own give its authority in NODE_EXTRA_CA_CERTS.'
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
        'Name the networks of those who are meant.',
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
  findings.push(...wayFindings(config), ...webFindings(config))
  return passed(findings, 'nothing is open that should not be')
}

/** What others could read or say between here and PostgreSQL or Redis. */
function wayFindings(config: Config): Finding[] {
  const findings: Finding[] = []
  for (const [name, secret] of [
    ['DATABASE_URL', config.databaseUrl],
    ['DATABASE_MIGRATION_URL', config.databaseMigrationUrl],
  ] as const) {
    const url = URL.parse(secret?.reveal() ?? '')
    if (url === null) continue
    if (url.password === '') {
      findings.push(
        warned(
          'password-unset',
          `${name} has no password`,
          'Give the role one, unless the server knows it by a certificate.',
        ),
      )
    }
    if (!isElsewhere(url.hostname)) continue
    const mode = url.searchParams.get('sslmode') ?? 'disable'
    if (mode === 'disable') {
      findings.push(
        warned(
          'tls-unset',
          `${name} leads to another machine (${url.hostname}) without TLS, so passwords and data can be read on the way`,
          'Add ?sslmode=verify-full, or let the way be a network of your own.',
        ),
      )
    } else if (mode === 'no-verify' || url.searchParams.has('uselibpqcompat')) {
      findings.push(
        warned(
          'tls-unverified',
          `${name} takes anybody for the server (sslmode=${mode})`,
          'Use sslmode=verify-full, with sslrootcert for an authority of your own.',
        ),
      )
    }
  }
  for (const [name, target] of [
    ['REDIS_URL', config.redisUrl],
    ['RATE_LIMIT_REDIS_URL', config.rateLimitRedisUrl],
  ] as const) {
    if (target === undefined || !hasElsewhere(target)) continue
    const where = describeRedis(target)
    if (!target.tls) {
      const hint = 'Use rediss://, or let the way be a network of your own.'
      findings.push(warned('tls-unset', `${name} leads to another machine without TLS: ${where}`, hint))
    }
    if (target.password === undefined) {
      const hint = 'Sessions are there; give Redis one (requirepass, or an ACL).'
      findings.push(warned('password-unset', `${name} has no password: ${where}`, hint))
    }
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
        'Name the networks of the proxies, unless clients connect to the service itself.',
      ),
    )
  }
  if (!csrfSslStrict) {
    const message = 'CSRF_SSL_STRICT is false: changes need not say where they come from'
    findings.push(warned('csrf-lax', message, 'Leave it true.'))
  }
  if (publicUrl?.startsWith('http:')) {
    const message = 'PUBLIC_URL is not https: links in mails would go over it'
    findings.push(warned('public-url-plain', message, 'Write https://.'))
  }
  const plain = trustedOrigins.find((origin) => origin.startsWith('http:'))
  if (plain !== undefined) {
    const message = `TRUSTED_ORIGINS holds ${plain}: whoever is on the way there uses this service with its visitors' cookies`
    findings.push(warned('public-url-plain', message, 'Write https://.'))
  }
  if (['debug', 'trace'].includes(logLevel)) {
    const message = `LOG_LEVEL is ${logLevel}: every request is a line, and more`
    findings.push(warned('log-verbose', message, 'Set it to info.'))
  }
  if (securityCsp !== STRICT_POLICY && /'unsafe-(inline|eval)'|(^|[\s;])\*([\s;]|$)/.test(securityCsp)) {
    const hint = 'Leave it unset: nothing of this service needs more than the default.'
    findings.push(warned('csp-loose', 'SECURITY_CSP lets foreign or inline scripts in', hint))
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
