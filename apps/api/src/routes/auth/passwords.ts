// Passwords in and out: argon2id from Node itself (OWASP ASVS 5, appendix C), old bcrypt hashes verified and replaced.
//
// Guarantees: an unknown account takes the same work as a known one, because something is always verified; hashes are
// compared in constant time; all work goes through one bounded queue. Does not guarantee equal time for an account
// whose hash is still of another kind or cost: that difference ends when its owner signs in.

import { type Argon2Parameters, argon2, randomBytes, timingSafeEqual } from 'node:crypto'
import { verifyInThread } from './bcrypt-thread.ts'
import type { HashingQueue, HashingQueueSnapshot } from './hashing-queue.ts'
import { type Argon2Cost, argon2Text, readHash, type StoredHash } from './password-hash.ts'

/** The least that ASVS asks for; measured at 80 ms of one core. */
export const ARGON2_COST: Argon2Cost = { memoryKib: 19_456, passes: 2, lanes: 1 }
/** The most bytes of a password. More is refused before anything is computed. */
export const MAX_PASSWORD_BYTES = 1024
/** What bcrypt reads; the rest it would ignore. */
const MAX_BCRYPT_BYTES = 72
const SALT_BYTES = 16
const TAG_BYTES = 32

/** What became of a verification. */
export interface PasswordVerdict {
  readonly matches: boolean
  /** A hash to store instead of the one that was verified; undefined when that is as it should be. */
  readonly upgraded: string | undefined
}

/** Whoever has a password, or none. */
export interface PasswordHolder {
  readonly passwordHash: string | undefined
}

const NO: PasswordVerdict = { matches: false, upgraded: undefined }

/** Hashes and verifies passwords. */
export class Passwords {
  readonly #queue: HashingQueue
  readonly #cost: Argon2Cost
  /** Of no password. */
  readonly #nobody: StoredHash

  constructor(queue: HashingQueue, cost: Argon2Cost = ARGON2_COST) {
    this.#queue = queue
    this.#cost = cost
    this.#nobody = {
      scheme: 'argon2id',
      cost,
      salt: randomBytes(SALT_BYTES),
      tag: randomBytes(TAG_BYTES),
    }
  }

  /**
   * A new hash, as a PHC string.
   * @throws {ApiPasswordsBusyError}
   */
  hash(password: string, signal?: AbortSignal): Promise<string> {
    return this.#queue.run(() => this.#newHash(password), signal)
  }

  /**
   * Whether the password belongs to a stored hash. Without one, or with one that cannot be read, it does not, and that
   * takes as long. What matches and is stored in an older way comes with a new hash.
   * @throws {ApiPasswordsBusyError}
   */
  verify(password: string, stored: string | undefined, signal?: AbortSignal): Promise<PasswordVerdict> {
    return this.#queue.run(() => this.#judge(password, stored), signal)
  }

  /**
   * The same, of whoever is found when it is the password's turn: as few are looked for at a time as are verified.
   * Rejects as `find` does.
   * @throws {ApiPasswordsBusyError}
   */
  verifyOf<Holder extends PasswordHolder>(
    find: () => Promise<Holder | undefined>,
    password: string,
    signal?: AbortSignal,
  ): Promise<{ readonly holder: Holder | undefined; readonly verdict: PasswordVerdict }> {
    return this.#queue.run(async () => {
      const holder = await find()
      return { holder, verdict: await this.#judge(password, holder?.passwordHash) }
    }, signal)
  }

  snapshot(): HashingQueueSnapshot {
    return this.#queue.snapshot()
  }

  async #judge(password: string, stored: string | undefined): Promise<PasswordVerdict> {
    const hash = (stored === undefined ? undefined : readHash(stored)) ?? this.#nobody
    if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES) return NO
    if (!(await this.#matches(password, hash))) return NO
    return { matches: true, upgraded: this.#isCurrent(hash) ? undefined : await this.#newHash(password) }
  }

  async #matches(password: string, hash: StoredHash): Promise<boolean> {
    if (hash.scheme === 'argon2id') {
      const tag = await derive(password, hash.salt, hash.tag.length, hash.cost)
      return timingSafeEqual(tag, hash.tag) && hash !== this.#nobody
    }
    if (Buffer.byteLength(password) <= MAX_BCRYPT_BYTES) return verifyInThread(password, hash.text)
    // Two long passwords with one beginning would both be right.
    await this.#newHash(password)
    return false
  }

  #isCurrent(hash: StoredHash): boolean {
    if (hash.scheme !== 'argon2id' || hash.tag.length !== TAG_BYTES) return false
    const { memoryKib, passes, lanes } = hash.cost
    return memoryKib >= this.#cost.memoryKib && passes >= this.#cost.passes && lanes === this.#cost.lanes
  }

  async #newHash(password: string): Promise<string> {
    const salt = randomBytes(SALT_BYTES)
    return argon2Text(this.#cost, salt, await derive(password, salt, TAG_BYTES, this.#cost))
  }
}

/** Two ways to type one character are one password (NIST SP 800-63B, 3.1.1.2). */
function derive(password: string, nonce: Buffer, tagLength: number, cost: Argon2Cost): Promise<Buffer> {
  const { memoryKib: memory, passes, lanes: parallelism } = cost
  const message = Buffer.from(password.normalize('NFKC'))
  const parameters: Argon2Parameters = { message, nonce, parallelism, tagLength, memory, passes }
  return new Promise((resolve, reject) => {
    argon2('argon2id', parameters, (error, tag) => (error === null ? resolve(tag) : reject(error)))
  })
}
