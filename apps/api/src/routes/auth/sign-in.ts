// Signing in, registering and passwords, without HTTP.
//
// Guarantees: whether an account exists shows in no answer and in no work done before it; what a mail is about is sent
// after the answer. What changes a password ends what was signed in by the old one, and what is about to be: a sign-in is
// dated by the database, after its password was verified. While the database is away nothing is computed and nothing
// counts.

import { withRetryAfter } from '@holdfast/footing'
import type { RouteMode } from '@holdfast/pool-guard'
import type { FastifyBaseLogger } from 'fastify'
import type { User } from '../../db/user.ts'
import {
  ApiClientLeftError,
  ApiMailTokenError,
  ApiMailUnavailableError,
  ApiPasswordWeakError,
  ApiRefreshRefusedError,
  ApiSignInRefusedError,
  ApiSignInUnavailableError,
} from '../../errors.ts'
import type { Outbox } from '../../mail/mailer.ts'
import { reasonOf } from '../../reason.ts'
import { ACCESS_TOKEN_TTL_SECONDS, type AccessTokens } from './access-token.ts'
import type { AccountName, AccountRepository, ConfirmedUser } from './account-repository.ts'
import { mintToken, tokenDigest } from './opaque-token.ts'
import { weakness } from './password-rules.ts'
import type { Passwords } from './passwords.ts'
import type { Refreshed, RefreshRepository, RevocationReason } from './refresh-repository.ts'
import type { Moment } from './sign-in-cutoffs.ts'
import type { Attempt, SignInLimits } from './sign-in-limits.ts'
import type { SignInMails } from './sign-in-mails.ts'

const VERIFICATION_TTL_MS = 86_400_000
const RESET_TTL_MS = 1_800_000

/** What signing in is made of. */
export interface SignInParts {
  readonly accounts: AccountRepository
  readonly refresh: RefreshRepository
  readonly passwords: Passwords
  readonly tokens: AccessTokens
  readonly limits: SignInLimits
  readonly mails: SignInMails
  readonly outbox: Outbox
  /** Told which families have ended here, so that their access tokens end at once in this process. */
  readonly ended: (familyIds: readonly string[]) => void
  /** Tells a SECURITY_EVENT of the request that this runs for. */
  readonly tell: (event: string, fields: object, level?: 'info') => void
  /** Whether it makes sense to ask the database at present. */
  readonly database: () => RouteMode
}

/** Whose request this is. */
export interface Asking {
  readonly address: string
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal
  /** That of the request, so that what is noted can be found by its id. */
  readonly log: Pick<FastifyBaseLogger, 'warn'>
}

/** Who tries, from where. */
export interface Attempting extends AccountName, Asking {
  readonly password: string
}

/** What a client that keeps tokens gets. */
export interface TokenPair {
  readonly accessToken: string
  readonly refreshToken: string
  readonly expiresInSeconds: number
}

export class SignIn {
  readonly #parts: SignInParts

  constructor(parts: SignInParts) {
    this.#parts = parts
  }

  /**
   * Who this is, and from when on that counts.
   * @throws {ApiSignInLimitedError}
   * @throws {ApiSignInRefusedError}
   * @throws {ApiPasswordsBusyError}
   * @throws {ApiSignInUnavailableError}
   */
  async authenticate({ tenant, email, password, address, signal, log }: Attempting): Promise<ConfirmedUser> {
    const { accounts, passwords, limits } = this.#parts
    this.#refuseWithoutDatabase()
    const attempt = await limits.password(address, { tenant, email })
    const { account, upgraded, confirmed } = await unlessUndecided(attempt, async () => {
      // In the turn of the password: a burst of sign-ins then takes no more connections than one of them.
      const find = () => accounts.find({ tenant, email })
      const { holder, verdict } = await passwords.verifyOf(find, password, signal)
      const account = holder?.passwordHash === undefined ? undefined : holder
      const isRight = account !== undefined && verdict.matches
      return {
        account,
        upgraded: verdict.upgraded,
        confirmed: isRight ? await accounts.confirm(account) : undefined,
      }
    })
    if (account?.passwordHash === undefined || confirmed === undefined) {
      this.#noteRefused({ address, tenant, user_id: account?.id })
      throw new ApiSignInRefusedError()
    }
    attempt.giveBack()
    if (upgraded !== undefined) {
      // The next time will do.
      await accounts.upgradeHash(confirmed.id, account.passwordHash, upgraded).catch((error: unknown) => {
        log.warn({ reason: reasonOf(error), user_id: confirmed.id }, 'a hash was not replaced')
      })
    }
    return confirmed
  }

  /** A new family of tokens for a client. */
  async startTokens(user: ConfirmedUser, client: string | undefined): Promise<TokenPair> {
    return this.#pairOf(await this.#parts.refresh.begin(user, client))
  }

  /**
   * The next tokens.
   * @throws {ApiRefreshRefusedError}
   */
  async refreshTokens(token: string): Promise<TokenPair> {
    const { refresh } = this.#parts
    const outcome = await refresh.rotate(token)
    if ('token' in outcome) return this.#pairOf(outcome)
    if (outcome.kind === 'reused') {
      const { familyId, userId } = outcome
      this.#parts.ended([familyId])
      // It was used twice, so two have it.
      this.#parts.tell('token.reuse', { family: familyId, user_id: userId })
    }
    throw new ApiRefreshRefusedError()
  }

  /**
   * Takes a registration; the rest is between the mailbox and us.
   * @throws {ApiPasswordWeakError}
   * @throws {ApiMailUnavailableError}
   */
  async register({ tenant, email, password, address, signal }: Attempting): Promise<void> {
    const { accounts, passwords, limits, mails, outbox } = this.#parts
    refuseWeak(password, { tenant, email })
    if (!outbox.available) throw new ApiMailUnavailableError()
    this.#refuseWithoutDatabase()
    await limits.other(address)
    const mayMail = await limits.mail({ tenant, email })
    const passwordHash = await passwords.hash(password, signal)
    const token = mintToken('verify')
    const outcome = await accounts.register({
      tenant,
      email,
      passwordHash,
      tokenDigest: tokenDigest(token),
      ttlMs: VERIFICATION_TTL_MS,
    })
    if (!mayMail || outcome === 'no-tenant') return
    outbox.post(
      outcome === 'stored'
        ? mails.verification({ tenant, email }, token)
        : mails.alreadyRegistered({ tenant, email }),
    )
  }

  /**
   * Makes an account of a registration.
   * @throws {ApiMailTokenError}
   */
  async verify(token: string, address: string): Promise<User> {
    this.#refuseWithoutDatabase()
    await this.#parts.limits.other(address)
    const user = await this.#parts.accounts.completeRegistration(tokenDigest(token))
    if (user === undefined) throw new ApiMailTokenError()
    this.#parts.tell('account.created', { user_id: user.id, tenant: user.tenant }, 'info')
    return user
  }

  /**
   * Changes the password of somebody who is signed in, and ends all that was signed in by it but `exceptFamilyId`.
   * Answers from when on sign-ins count.
   * @throws {ApiSignInRefusedError} when the old password is wrong.
   * @throws {ApiPasswordWeakError}
   */
  async changePassword(
    userId: string,
    asked: Asking & {
      readonly password: string
      readonly newPassword: string
      readonly exceptFamilyId: string | undefined
    },
  ): Promise<Moment> {
    const { accounts, passwords, limits, mails, outbox } = this.#parts
    const { password, newPassword, address, signal, exceptFamilyId } = asked
    const account = await accounts.byId(userId)
    if (account?.passwordHash === undefined) throw new ApiSignInRefusedError()
    const { passwordHash } = account
    const attempt = await limits.password(address, account)
    const { matches } = await unlessUndecided(attempt, () => passwords.verify(password, passwordHash, signal))
    if (!matches) {
      this.#noteRefused({ address, tenant: account.tenant, user_id: userId })
      throw new ApiSignInRefusedError()
    }
    attempt.giveBack()
    refuseWeak(newPassword, account)
    const to = await passwords.hash(newPassword, signal)
    const changed = await accounts.changePassword(userId, { from: passwordHash, to, exceptFamilyId })
    if (changed === undefined) throw new ApiSignInRefusedError()
    this.#parts.ended(changed.ended)
    this.#parts.tell('password.changed', { user_id: userId })
    outbox.post(mails.passwordChanged(account))
    return changed.since
  }

  /**
   * Sends a way to choose a new password, when there is such an account.
   * @throws {ApiMailUnavailableError}
   */
  async forgot(account: AccountName, address: string): Promise<void> {
    const { accounts, limits, mails, outbox } = this.#parts
    if (!outbox.available) throw new ApiMailUnavailableError()
    this.#refuseWithoutDatabase()
    await limits.other(address)
    // Asked before anything is known, and heeded last, so that both take the same way.
    const mayMail = await limits.mail(account)
    const token = mintToken('reset')
    // An earlier token is over with this one, so it may not be stored when it cannot be sent.
    const to = mayMail ? account : { tenant: account.tenant, email: '' }
    const known = await accounts.startReset(to, tokenDigest(token), RESET_TTL_MS)
    if (known) outbox.post(mails.reset(account, token))
    this.#parts.tell('password.reset_asked', { address, tenant: account.tenant, mailed: known }, 'info')
  }

  /**
   * Sets a new password with a token of a mail, and ends all that was signed in. Answers whose.
   * @throws {ApiMailTokenError}
   * @throws {ApiPasswordWeakError} the token stays good.
   */
  async reset(token: string, newPassword: string, { address, signal }: Asking): Promise<User> {
    const { accounts, passwords, limits, mails, outbox } = this.#parts
    this.#refuseWithoutDatabase()
    await limits.other(address)
    const digest = tokenDigest(token)
    const owner = await accounts.resettable(digest)
    if (owner === undefined) throw new ApiMailTokenError()
    refuseWeak(newPassword, owner)
    const done = await accounts.completeReset(digest, await passwords.hash(newPassword, signal))
    if (done === undefined) throw new ApiMailTokenError()
    const { user, ended } = done
    this.#parts.ended(ended)
    this.#parts.tell('password.reset', { user_id: user.id, tenant: user.tenant })
    outbox.post(mails.passwordChanged(user))
    return user
  }

  /** Signs out whoever asks with an access token, also when it does not stand any more. */
  async endToken(token: string): Promise<void> {
    const claims = await this.#parts.tokens.verify(token)
    if (claims !== undefined) await this.endFamily(claims.userId, claims.familyId, 'logout')
  }

  /** Signs out whoever has this refresh token. */
  async endFamilyOf(token: string): Promise<void> {
    const found = await this.#parts.refresh.familyOf(token)
    if (found !== undefined) await this.endFamily(found.userId, found.familyId, 'logout')
  }

  /** Ends one family of a user; false when he has none such. */
  async endFamily(userId: string, familyId: string, why: RevocationReason): Promise<boolean> {
    const was = await this.#parts.refresh.revoke(userId, familyId, why)
    if (was) this.#parts.ended([familyId])
    return was
  }

  /** Ends all families of a user. */
  async endAll(userId: string): Promise<void> {
    this.#parts.ended(await this.#parts.refresh.revokeAll(userId))
  }

  /** Before anything is computed or counted for an answer that cannot be had. */
  #refuseWithoutDatabase(): void {
    const { use, retryAfterMs } = this.#parts.database()
    if (use === 'nothing') throw withRetryAfter(new ApiSignInUnavailableError(), retryAfterMs)
  }

  /** Without what was typed as an address: now and then that is a password. */
  #noteRefused(who: {
    readonly address: string
    readonly tenant: string
    readonly user_id: string | undefined
  }): void {
    this.#parts.tell('sign-in.refused', who)
  }

  async #pairOf({ token, familyId, user, authenticatedAt }: Refreshed): Promise<TokenPair> {
    const { id: userId, tenant, role } = user
    const accessToken = await this.#parts.tokens.issue({
      userId,
      tenant,
      role,
      familyId,
      authenticatedAtMs: authenticatedAt.getTime(),
    })
    return { accessToken, refreshToken: token, expiresInSeconds: ACCESS_TOKEN_TTL_SECONDS }
  }
}

/** An attempt that nobody could judge does not count; one whose client has left does. */
async function unlessUndecided<T>(attempt: Attempt, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof ApiClientLeftError)) attempt.giveBack()
    throw error
  }
}

/** @throws {ApiPasswordWeakError} */
function refuseWeak(password: string, { tenant, email }: AccountName): void {
  const wrong = weakness(password, [tenant, email, email.split('@')[0] ?? ''])
  if (wrong !== undefined) throw new ApiPasswordWeakError(wrong)
}
