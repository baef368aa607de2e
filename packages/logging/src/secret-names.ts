// Which names stand for something that must not be in a log. A name is read without case and punctuation, so that
// `Set-Cookie`, `set_cookie` and `setCookie` are one.

/** Anywhere in a name. What is added here, texts are read for in `masked-text.ts`. */
export const PARTS = [
  'passwd',
  'password',
  'passphrase',
  'secret',
  'token',
  'authorization',
  'authorisation',
  'cookie',
  'apikey',
  'accesskey',
  'privatekey',
  'signingkey',
  'encryptionkey',
  'credential',
  'bearer',
  'jwt',
  'sessionid',
  'csrf',
  'xsrf',
  'connectionstring',
  'databaseurl',
  'redisurl',
  'smtpurl',
  'cardnumber',
  'signature',
  // Lists of names and values in turn.
  'rawheaders',
  'rawtrailers',
]
/** Whole names; as a part they would hit `mapping` and `business`. */
export const WHOLE = ['pwd', 'pass', 'sid', 'otp', 'totp', 'pin', 'cvv', 'cvc', 'ssn', 'iban', 'dsn', 'auth']

const MAX_REMEMBERED = 1000

/** What an application knows about its own names. */
export interface OwnNames {
  /** More secret names; each counts anywhere in a name. */
  readonly secret?: readonly string[]
  /** Whole names that are harmless although they look secret. */
  readonly plain?: readonly string[]
}

/** Tells secret names from others. */
export class SecretNames {
  readonly #parts: RegExp
  readonly #whole: ReadonlySet<string>
  readonly #plain: ReadonlySet<string>
  /** Names repeat; at most so many are remembered, the rest is read each time. */
  readonly #known = new Map<string, boolean>()

  constructor({ secret = [], plain = [] }: OwnNames = {}) {
    // Only letters and digits are left of each.
    this.#parts = new RegExp([...PARTS, ...secret.map(bare)].join('|'))
    this.#whole = new Set(WHOLE)
    this.#plain = new Set(plain.map(bare))
  }

  /** Whether what has this name is a secret. */
  has(name: string): boolean {
    const known = this.#known.get(name)
    if (known !== undefined) return known
    const plainName = bare(name)
    const isSecret =
      !this.#plain.has(plainName) && (this.#whole.has(plainName) || this.#parts.test(plainName))
    if (this.#known.size < MAX_REMEMBERED && name.length <= 64) this.#known.set(name, isSecret)
    return isSecret
  }
}

/** A name without what people write differently. */
export function bare(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]/g, '')
}
