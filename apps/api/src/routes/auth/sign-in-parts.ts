// What signing in is made of, put together once.

import { type AddressList, systemClock } from '@holdfast/footing'
import { runInScope } from '@holdfast/pool-guard'
import type { FastifyInstance } from 'fastify'
import type { Kysely } from 'kysely'
import type { Config } from '../../config.ts'
import type { Database } from '../../db/database.ts'
import { Outbox } from '../../mail/mailer.ts'
import { mailTransport } from '../../mail/transports.ts'
import { RareEvents } from '../../rare-events.ts'
import { reasonOf } from '../../reason.ts'
import type { Secret } from '../../secret.ts'
import { AccessKeyRing } from './access-key-ring.ts'
import { AccessTokens } from './access-token.ts'
import { AccountRepository } from './account-repository.ts'
import { derivedKey } from './derived-key.ts'
import { FormTokens } from './form-token.ts'
import { Passwords } from './passwords.ts'
import { RefreshRepository } from './refresh-repository.ts'
import { SignIn } from './sign-in.ts'
import { SignInCutoffs } from './sign-in-cutoffs.ts'
import { SignInLimits } from './sign-in-limits.ts'
import { SignInMails } from './sign-in-mails.ts'

/** Whoever is signed out, suspended or becomes another role is so in every process after this, whatever else fails. */
const CUTOFF_INTERVAL_MS = 5000
/** A few megabytes. */
const MAX_CUTOFFS = 100_000

/** What it is built with. */
export interface SignInSettings {
  readonly config: Config
  readonly db: Kysely<Database>
  /** Resolves once the database can be used. */
  readonly prepare: () => Promise<void>
  readonly secrets: readonly [Secret, ...Secret[]]
  /** Addresses without limits. */
  readonly exempt: Pick<AddressList, 'has'>
}

/** Builds it; what has to end ends with the service. */
export function signInParts(app: FastifyInstance, settings: SignInSettings) {
  const { config, db, prepare, secrets, exempt } = settings
  const accounts = new AccountRepository(db)
  const refresh = new RefreshRepository(db)
  const tokens = new AccessTokens(AccessKeyRing.ofSecrets(secrets), systemClock)
  const [current, ...previous] = secrets
  const forms = new FormTokens([
    derivedKey(current, 'csrf'),
    ...previous.map((secret) => derivedKey(secret, 'csrf')),
  ])
  const passwords = new Passwords(app.hashingLine)
  const rare = new RareEvents(app.logging.event, systemClock)
  const limits = new SignInLimits({
    limiter: app.tenantRateLimit.limiter,
    texts: {
      pair: config.rateLimitsSignIn,
      account: config.rateLimitsAccount,
      address: config.rateLimitsSignInAddress,
      mail: config.rateLimitsMail,
    },
    key: derivedKey(current, 'limit'),
    exempt,
    onRefused: (address) => rare.tell('SECURITY_EVENT', 'sign-in.limited', { address }),
  })
  const outbox = new Outbox({ transport: mailTransport(config, app.log), clock: systemClock, log: app.log })
  app.addHook('onClose', () => outbox.close())
  const cutoffs = new SignInCutoffs({
    source: {
      // What a process must not miss while others are busy, and asks for once in an interval.
      cutoffs: (from, limit) =>
        runInScope({ criticality: 'critical', route: 'sign-in cutoffs' }, async () => {
          await prepare()
          return accounts.cutoffs(from, limit)
        }),
    },
    clock: systemClock,
    intervalMs: CUTOFF_INTERVAL_MS,
    maxKept: MAX_CUTOFFS,
    // Also what nobody did here: an operator who writes another role into the database, or suspends somebody.
    onLearnt: ({ holder, at }) =>
      app.logging.event('SECURITY_EVENT', 'sign-ins.ended', { holder, at }, 'info'),
    onFailure: (error) => app.log.warn({ reason: reasonOf(error) }, 'who was signed out cannot be read'),
  })
  // Not awaited: sessions are good whatever state the database is in.
  app.addHook('onReady', async () => void cutoffs.start())
  app.addHook('onClose', () => cutoffs.stop())
  app.health.addReport('check', 'sign_in', () => ({
    passwords: passwords.snapshot(),
    mail: outbox.snapshot(),
    cutoffs: cutoffs.snapshot(),
  }))
  const signIn = new SignIn({
    accounts,
    refresh,
    passwords,
    tokens,
    limits,
    mails: new SignInMails(config.publicUrl),
    outbox,
    ended: (familyIds) => app.endFamilies(familyIds),
    tell: (event, fields, level) => app.logging.event('SECURITY_EVENT', event, fields, level),
    database: () => app.poolGuard.routeMode('critical'),
  })
  return { refresh, tokens, forms, signIn, cutoffs }
}
