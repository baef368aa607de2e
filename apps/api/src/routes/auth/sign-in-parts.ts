// What signing in is made of, put together once.

import { availableParallelism } from 'node:os'
import { type AddressList, systemClock } from '@holdfast/footing'
import type { FastifyInstance } from 'fastify'
import type { Kysely } from 'kysely'
import type { Config } from '../../config.ts'
import type { Database } from '../../db/database.ts'
import { Outbox } from '../../mail/mailer.ts'
import { mailTransport } from '../../mail/transports.ts'
import type { Secret } from '../../secret.ts'
import { AccessKeyRing } from './access-key-ring.ts'
import { AccessTokens } from './access-token.ts'
import { AccountRepository } from './account-repository.ts'
import { derivedKey } from './derived-key.ts'
import { FormTokens } from './form-token.ts'
import { HashingQueue } from './hashing-queue.ts'
import { Passwords } from './passwords.ts'
import { RefreshRepository } from './refresh-repository.ts'
import { SignIn } from './sign-in.ts'
import { SignInLimits } from './sign-in-limits.ts'
import { SignInMails } from './sign-in-mails.ts'

/** One core is left for everything else. */
const HASHING_CONCURRENCY = Math.max(1, availableParallelism() - 1)
/** With 80 ms for one, whoever is last in line waits for less than three seconds. */
const MAX_WAITING = 32

/** What it is built with. */
export interface SignInSettings {
  readonly config: Config
  readonly db: Kysely<Database>
  readonly secrets: readonly [Secret, ...Secret[]]
  /** Addresses without limits. */
  readonly exempt: Pick<AddressList, 'has'>
}

/** Builds it; what has to end ends with the service. */
export function signInParts(app: FastifyInstance, { config, db, secrets, exempt }: SignInSettings) {
  const accounts = new AccountRepository(db)
  const refresh = new RefreshRepository(db)
  const tokens = new AccessTokens(AccessKeyRing.ofSecrets(secrets), systemClock)
  const [current, ...previous] = secrets
  const forms = new FormTokens([
    derivedKey(current, 'csrf'),
    ...previous.map((secret) => derivedKey(secret, 'csrf')),
  ])
  const passwords = new Passwords(
    new HashingQueue({ concurrency: HASHING_CONCURRENCY, maxWaiting: MAX_WAITING, clock: systemClock }),
  )
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
  })
  const outbox = new Outbox(mailTransport(config, app.log), app.log)
  app.addHook('onClose', () => outbox.close())
  app.health.addReport('check', 'sign_in', () => ({
    passwords: passwords.snapshot(),
    mail: outbox.snapshot(),
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
    log: app.log,
  })
  return { accounts, refresh, tokens, forms, signIn }
}
