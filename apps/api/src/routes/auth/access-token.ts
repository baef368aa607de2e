// Access tokens: JSON Web Tokens by RFC 9068, signed by the keys of a ring.
//
// Guarantees: the algorithm is that of the key, whatever the token says; every claim is there and of its kind; one
// token has one spelling; no key is fetched from anywhere. Does not know whether the family of a token was revoked
// meanwhile: `RefreshRepository.standing` does.

import { randomUUID } from 'node:crypto'
import type { Clock } from '@holdfast/footing'
import { decodeProtectedHeader, jwtVerify, SignJWT } from 'jose'
import { isTenantSlug } from '../../tenant-slug.ts'
import type { AccessKeyRing } from './access-key-ring.ts'
import { type VerifiedToken, VerifiedTokens } from './verified-tokens.ts'

/** What an access token says about who holds it. */
export interface AccessClaims {
  readonly userId: string
  /** Slug. */
  readonly tenant: string
  readonly role: 'user' | 'operator' | 'admin'
  /** The family of refresh tokens that it belongs to. */
  readonly familyId: string
  /** When the password was last given, in ms since the epoch. */
  readonly authenticatedAtMs: number
}

export const ACCESS_TOKEN_TTL_SECONDS = 300
const ISSUER = 'holdfast-api'
const AUDIENCE = 'holdfast-api'
const TYPE = 'at+jwt'
const MAX_TOKEN_LENGTH = 2048
const REQUIRED = ['exp', 'iat', 'sub', 'jti', 'sid', 'tenant', 'role', 'auth_time']
const CLOCK_TOLERANCE_SECONDS = 5
const ID = /^[1-9]\d{0,18}$/
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const ROLES: readonly unknown[] = ['user', 'operator', 'admin'] satisfies AccessClaims['role'][]

/** Issues and verifies access tokens. */
export class AccessTokens {
  readonly #ring: AccessKeyRing
  readonly #clock: Pick<Clock, 'wallMs'>
  /** By this ring, which stays as it is. */
  readonly #verified = new VerifiedTokens()

  constructor(ring: AccessKeyRing, clock: Pick<Clock, 'wallMs'>) {
    this.#ring = ring
    this.#clock = clock
  }

  /** A token that is good for five minutes. */
  issue({ userId, tenant, role, familyId, authenticatedAtMs }: AccessClaims): Promise<string> {
    const { id, algorithm, signing } = this.#ring.current
    const now = Math.floor(this.#clock.wallMs() / 1000)
    return new SignJWT({ sid: familyId, tenant, role, auth_time: Math.floor(authenticatedAtMs / 1000) })
      .setProtectedHeader({ alg: algorithm, kid: id, typ: TYPE })
      .setIssuer(ISSUER)
      .setAudience(AUDIENCE)
      .setSubject(userId)
      .setJti(randomUUID())
      .setIssuedAt(now)
      .setExpirationTime(now + ACCESS_TOKEN_TTL_SECONDS)
      .sign(signing)
  }

  /** What a token says; undefined when it is not one of ours, or is over. Never rejects. */
  async verify(token: string): Promise<AccessClaims | undefined> {
    if (token.length > MAX_TOKEN_LENGTH) return undefined
    // A signature costs some 40 us, and its digest 1.
    const known = this.#verified.find(token)
    if (known !== undefined) return this.#isTimely(known) ? known.claims : undefined
    if (!isCanonical(token)) return undefined
    try {
      const { kid } = decodeProtectedHeader(token)
      const key = typeof kid === 'string' ? this.#ring.find(kid) : undefined
      if (key === undefined) return undefined
      const { payload } = await jwtVerify(token, key.verifying, {
        algorithms: [key.algorithm],
        typ: TYPE,
        issuer: ISSUER,
        audience: AUDIENCE,
        requiredClaims: REQUIRED,
        currentDate: new Date(this.#clock.wallMs()),
        clockTolerance: CLOCK_TOLERANCE_SECONDS,
        maxTokenAge: ACCESS_TOKEN_TTL_SECONDS,
      })
      const claims = claimsOf(payload)
      const { iat: issuedAt, exp: expiresAt } = payload
      if (claims !== undefined && issuedAt !== undefined && expiresAt !== undefined) {
        this.#verified.keep(token, { claims, issuedAt, expiresAt })
      }
      return claims
    } catch {
      return undefined
    }
  }

  /** As `jwtVerify` has it. */
  #isTimely({ issuedAt, expiresAt }: VerifiedToken): boolean {
    const now = Math.floor(this.#clock.wallMs() / 1000)
    const age = now - issuedAt
    return (
      expiresAt > now - CLOCK_TOLERANCE_SECONDS &&
      age <= ACCESS_TOKEN_TTL_SECONDS + CLOCK_TOLERANCE_SECONDS &&
      age >= -CLOCK_TOLERANCE_SECONDS
    )
  }
}

function claimsOf({ aud, sub, sid, tenant, role, auth_time: authTime }: Record<string, unknown>) {
  const fits =
    aud === AUDIENCE &&
    isText(sub, ID) &&
    isText(sid, UUID) &&
    typeof tenant === 'string' &&
    isTenantSlug(tenant) &&
    isRole(role) &&
    typeof authTime === 'number' &&
    Number.isSafeInteger(authTime)
  if (!fits) return undefined
  return Object.freeze({ userId: sub, tenant, role, familyId: sid, authenticatedAtMs: authTime * 1000 })
}

function isText(value: unknown, pattern: RegExp): value is string {
  return typeof value === 'string' && pattern.test(value)
}

function isRole(value: unknown): value is AccessClaims['role'] {
  return ROLES.includes(value)
}

/** The last character of base64url has bits that decoders ignore: without this one token had several spellings. */
function isCanonical(token: string): boolean {
  const parts = token.split('.')
  return (
    parts.length === 3 &&
    parts.every((part) => part !== '' && Buffer.from(part, 'base64url').toString('base64url') === part)
  )
}
