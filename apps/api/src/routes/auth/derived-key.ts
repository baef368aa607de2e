import { hkdfSync } from 'node:crypto'
import type { Secret } from '../../secret.ts'

/** What keys are for. One secret becomes a key of its own for each, so that no two uses ever share one. */
export type KeyPurpose = 'access-token' | 'access-token-id' | 'csrf' | 'limit' | 'maintenance-bypass'

/** 256 bits for one purpose, out of a secret (HKDF, RFC 5869). */
export function derivedKey(secret: Secret, purpose: KeyPurpose): Buffer {
  return Buffer.from(hkdfSync('sha256', secret.reveal(), '', `holdfast/${purpose}/v1`, 32))
}
