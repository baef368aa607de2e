// Which keys sign access tokens. Guarantees: a key has one algorithm, and a token names its key and nothing else; a
// name is looked up exactly and can be anything. The first key signs; those behind it only verify, until what they
// have signed is out of date.

import { createHash, createSecretKey, type KeyObject } from 'node:crypto'
import type { Secret } from '../../secret.ts'
import { derivedKey } from './derived-key.ts'

/** One key of a ring. */
export interface AccessKey {
  /** What a token calls it by. */
  readonly id: string
  readonly algorithm: 'HS256' | 'EdDSA'
  /** Undefined: it only verifies. */
  readonly signing: KeyObject | undefined
  readonly verifying: KeyObject
}

/** Keys by their names; the first one signs. */
export class AccessKeyRing {
  readonly current: AccessKey & { readonly signing: KeyObject }
  readonly #keys: ReadonlyMap<string, AccessKey>

  constructor([current, ...previous]: readonly [
    AccessKey & { readonly signing: KeyObject },
    ...AccessKey[],
  ]) {
    this.current = current
    this.#keys = new Map([current, ...previous].map((key) => [key.id, key]))
  }

  /** A ring of HS256 keys, out of the secrets of the service, the newest first. */
  static ofSecrets(secrets: readonly [Secret, ...Secret[]]): AccessKeyRing {
    const [current, ...previous] = secrets
    return new AccessKeyRing([keyOf(current), ...previous.map(keyOf)])
  }

  find(id: string): AccessKey | undefined {
    return this.#keys.get(id)
  }
}

function keyOf(secret: Secret): AccessKey & { readonly signing: KeyObject } {
  const key = createSecretKey(derivedKey(secret, 'access-token'))
  // Tells two keys apart, and nothing of either.
  const id = createHash('sha256')
    .update(derivedKey(secret, 'access-token-id'))
    .digest('base64url')
    .slice(0, 8)
  return { id, algorithm: 'HS256', signing: key, verifying: key }
}
