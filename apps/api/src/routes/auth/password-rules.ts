// Which passwords may be chosen (NIST SP 800-63B, ASVS 5: 6.2): long enough, not one that everybody tries first, not
// one's own name. No rules about kinds of characters.

import { isBreached } from './breached-passwords.ts'
import { MAX_PASSWORD_BYTES } from './passwords.ts'

const MIN_PASSWORD_LENGTH = 8
/** Shorter names are part of too many good passwords. */
const MIN_NAME_LENGTH = 4

/** Why a password may not be chosen; undefined when it may. `names` are what everybody knows of its owner. */
export function weakness(password: string, names: readonly string[]): string | undefined {
  if ([...password].length < MIN_PASSWORD_LENGTH)
    return `password must have at least ${MIN_PASSWORD_LENGTH} characters`
  if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES)
    return `password must have at most ${MAX_PASSWORD_BYTES} bytes`
  if (new Set(password).size < 3) return 'password must not repeat one or two characters'
  if (isBreached(password)) return 'password is one of those that are tried first; choose another'
  const bare = password.toLowerCase().replaceAll(/[^\p{L}]/gu, '')
  const isName = names.some((name) => {
    const letters = name.toLowerCase().replaceAll(/[^\p{L}]/gu, '')
    return letters.length >= MIN_NAME_LENGTH && bare === letters
  })
  return isName ? 'password must be more than a name and some digits' : undefined
}
