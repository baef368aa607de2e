// What is secret: whether it can be guessed, and whether one text stands for two things.

import type { DeploymentCheck, Finding } from '@holdfast/lifecycle'
import type { Config } from '../config.ts'
import type { RedisTarget } from '../redis-target.ts'
import type { Secret } from '../secret.ts'
import { passed, strict, warned } from './rules.ts'
import { type Weakness, weaknessOf } from './secret-strength.ts'

const MAKE_ONE = 'Make one with: openssl rand -base64 48'
/** Without what a URL would have to escape. */
const MAKE_PASSWORD =
  'Make one with openssl rand -hex 24, give it to that account on the server, and write it into the URL.'

const WEAK: Readonly<Record<Weakness, string>> = {
  'a sample': 'looks like the sample of a manual',
  'a repetition': 'repeats a few characters',
  short: 'can be guessed: it has too few different characters',
  words: 'is made of words',
}

interface Given {
  readonly name: string
  readonly text: string
  /** Whose password it is, and where: one account may stand in several URLs. Undefined for keys and tokens. */
  readonly account?: string
}

/** What is asked of secrets. */
export function secretChecks(config: Config): DeploymentCheck[] {
  return [{ name: 'secrets', run: () => secretFindings(config) }]
}

/** What is wrong with secrets. None is ever in a finding, only its name. */
function secretFindings(config: Config): Finding[] {
  const given = secretsOf(config)
  const findings = given.flatMap(({ name, text, account }): Finding[] => {
    const weakness = weaknessOf(text)
    if (weakness === undefined) return []
    const message = `${name} ${WEAK[weakness]}`
    // A password is asked for over a network that few reach; keys and tokens are tried by everybody.
    if (account !== undefined) return [warned('password-weak', message, MAKE_PASSWORD)]
    const verdict = weakness === 'words' ? 'warn' : strict(config)
    return [{ ...warned('secret-weak', message, MAKE_ONE), verdict }]
  })
  for (const [index, { name, text, account }] of given.entries()) {
    const same = given
      .slice(index + 1)
      .find((other) => other.text === text && (account === undefined || other.account !== account))
    if (same === undefined) continue
    const hint = 'Whoever knows one must not know the other: make two.'
    // Two roles of a database are known to whoever installs it; what strangers may try must stand for one thing.
    const bothPasswords = account !== undefined && same.account !== undefined
    const verdict = bothPasswords ? 'warn' : strict(config)
    findings.push({ ...warned('secrets-equal', `${name} and ${same.name} are the same`, hint), verdict })
  }
  if (config.metricsToken !== undefined && config.adminToken === undefined) {
    findings.push(
      warned(
        'admin-token-unset',
        'ADMIN_TOKEN is unset, so whoever may scrape with METRICS_TOKEN can change limits, blocks and maintenance',
        `Set ADMIN_TOKEN. ${MAKE_ONE}`,
      ),
    )
  }
  const message = given.length === 0 ? 'none is set' : `${given.length} secrets, none of which can be guessed`
  return passed(findings, message)
}

function secretsOf(config: Config): Given[] {
  const keys = [
    ['SECRET_KEY', config.secretKey],
    ['SECRET_KEY_PREVIOUS', config.secretKeyPrevious],
    ['METRICS_TOKEN', config.metricsToken],
    ['ADMIN_TOKEN', config.adminToken],
    ['NOTIFY_WEBHOOK_SECRET', config.notifyWebhookSecret],
  ] as const
  const urls = [
    ['DATABASE_URL', config.databaseUrl],
    ['DATABASE_MIGRATION_URL', config.databaseMigrationUrl],
    ['PGBOUNCER_ADMIN_URL', config.pgbouncerAdminUrl],
    ['SMTP_URL', config.smtpUrl],
  ] as const
  const targets = [
    ['REDIS_URL', config.redisUrl],
    ['RATE_LIMIT_REDIS_URL', config.rateLimitRedisUrl],
  ] as const
  return [
    ...keys.flatMap(([name, secret]) => (secret === undefined ? [] : [{ name, text: secret.reveal() }])),
    ...urls.flatMap(([name, url]) => ofUrl(name, url)),
    ...targets.flatMap(([name, target]) => ofRedis(name, target)),
  ]
}

function ofUrl(name: string, url: Secret | undefined): Given[] {
  const { protocol = '', username = '', password = '' } = URL.parse(url?.reveal() ?? '') ?? {}
  if (password === '') return []
  const text = decoded(password)
  return [{ name: `the password of ${name}`, text, account: `${protocol}${username}` }]
}

/** What is not percent-encoded stands for itself, as for the driver of PostgreSQL. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function ofRedis(name: string, target: RedisTarget | undefined): Given[] {
  if (target?.password === undefined) return []
  const text = target.password.reveal()
  return [{ name: `the password of ${name}`, text, account: `redis:${target.username ?? ''}` }]
}
