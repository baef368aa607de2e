// How often anybody may try (ASVS 5: 6.3.1). Strict: no window ever sees more. Accounts that there are not are counted
// like those that there are, and what is counted is a keyed hash, so that no address of a person is in Redis.

import { createHmac } from 'node:crypto'
import { type AddressList, clientNetwork, withRetryAfter } from '@holdfast/footing'
import {
  type Claim,
  claim,
  Policies,
  type Policy,
  type RateLimiter,
  type Reservation,
} from '@holdfast/tenant-rate-limit'
import { ApiSignInLimitedError } from '../../errors.ts'
import type { AccountName } from './account-repository.ts'

/** As in the configuration. */
export interface SignInLimitTexts {
  readonly pair: string
  readonly account: string
  readonly address: string
  readonly mail: string
}

/** What limits are made of. */
export interface SignInLimitParts {
  readonly limiter: Pick<RateLimiter, 'decide' | 'settle'>
  readonly texts: SignInLimitTexts
  readonly key: Buffer
  /** Addresses without limits. */
  readonly exempt: Pick<AddressList, 'has'>
  /** Told of each attempt that was refused. */
  readonly onRefused?: (address: string) => void
}

/** An attempt that was let in. */
export interface Attempt {
  /** It was right, or came to nothing: what it took is given back. */
  giveBack(): void
}

/** Counts attempts. */
export class SignInLimits {
  readonly #limiter: SignInLimitParts['limiter']
  readonly #key: Buffer
  readonly #exempt: SignInLimitParts['exempt']
  readonly #onRefused: SignInLimitParts['onRefused']
  readonly #pair: Policy
  readonly #account: Policy
  readonly #address: Policy
  readonly #mail: Policy

  constructor({ limiter, texts, key, exempt, onRefused }: SignInLimitParts) {
    this.#onRefused = onRefused
    this.#limiter = limiter
    this.#key = key
    this.#exempt = exempt
    this.#pair = policyOf('sign-in', texts.pair)
    this.#account = policyOf('sign-in-account', texts.account)
    this.#address = policyOf('sign-in-address', texts.address)
    this.#mail = policyOf('sign-in-mail', texts.mail)
  }

  /**
   * A password is tried for an account.
   * @throws {ApiSignInLimitedError}
   */
  password(address: string, account: AccountName): Promise<Attempt> {
    const name = this.#nameOf(account)
    const network = clientNetwork(address) ?? address
    return this.#take(address, [
      claim(this.#address, '', network),
      claim(this.#pair, name, network),
      claim(this.#account, name, ''),
    ])
  }

  /**
   * Anything else that an address tries.
   * @throws {ApiSignInLimitedError}
   */
  async other(address: string): Promise<void> {
    await this.#take(address, [claim(this.#address, '', clientNetwork(address) ?? address)])
  }

  /** Whether a mail may go to this account. */
  async mail(account: AccountName): Promise<boolean> {
    return (await this.#limiter.decide([claim(this.#mail, this.#nameOf(account), '')])).allowed
  }

  async #take(address: string, claims: readonly Claim[]): Promise<Attempt> {
    if (this.#exempt.has(address)) return { giveBack() {} }
    const { allowed, reservation, retryAfterMs } = await this.#limiter.decide(claims, { reserve: true })
    if (!allowed) {
      this.#onRefused?.(address)
      throw withRetryAfter(new ApiSignInLimitedError(), retryAfterMs)
    }
    return { giveBack: () => this.#giveBack(reservation) }
  }

  #giveBack(reservation: Reservation | undefined): void {
    if (reservation !== undefined) this.#limiter.settle(reservation, 'refund')
  }

  #nameOf({ tenant, email }: AccountName): string {
    return createHmac('sha256', this.#key).update(`${tenant}\n${email}`).digest('base64url').slice(0, 32)
  }
}

function policyOf(name: string, text: string): Policy {
  const policy = new Policies({ policies: { [name]: text } }).get(name)
  if (policy === undefined) throw new Error(`there is no policy ${name}`)
  return policy
}
