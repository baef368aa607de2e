/*
 * What may be believed about a session while Redis cannot be asked. A shadow is made only of a session that Redis has
 * just confirmed, knows who is signed in and nothing else, has the few roles that an outage leaves, no fresh proof,
 * and ends by itself soon. It is asked for only while this process itself finds Redis not usable, and only together
 * with the id that it belongs to. So whoever can break Redis gains nothing but the use of what he has stolen already,
 * for that short while.
 */

import { type SessionUser, textOfUser, userOfText } from './principal.ts'
import { seal, unseal } from './seal.ts'
import type { RingKeys, SecretRing } from './secret-ring.ts'
import type { RandomBytes, SessionId } from './session-id.ts'
import type { SessionRecord } from './store.ts'

/** What is believed of a session without Redis. */
export interface Shadow {
  /** The name of its session. */
  readonly hash: string
  /** With the roles that an outage leaves. */
  readonly user: SessionUser
  readonly version: number
  readonly createdMs: number
  /** When Redis confirmed it. */
  readonly confirmedMs: number
  readonly endsMs: number
}

/** What an outage leaves. */
export interface ShadowRules {
  readonly outageMs: number
  readonly outageRoles: readonly string[]
}

/** The shadow of a session that was confirmed at this moment. */
export function shadowOf(
  { address: { hash } }: SessionId,
  user: SessionUser,
  { version, createdMs, idleMs, absoluteAtMs }: SessionRecord,
  nowMs: number,
  { outageMs, outageRoles }: ShadowRules,
): Shadow {
  const roles = user.roles.filter((role) => outageRoles.includes(role))
  const endsMs = Math.min(nowMs + outageMs, nowMs + idleMs, absoluteAtMs)
  return { hash, user: { ...user, roles }, version, createdMs, confirmedMs: nowMs, endsMs }
}

/** Whether a shadow may be believed now, of this id. */
export function isBelieved(shadow: Shadow, { address }: SessionId, nowMs: number): boolean {
  return shadow.hash === address.hash && nowMs < shadow.endsMs
}

const context = (name: string) => `cookie v1\n${name}\nshadow`

/** A shadow for a cookie of this name: its holder can neither read nor change it. */
export function sealShadow(keys: RingKeys, name: string, shadow: Shadow, randomBytes: RandomBytes): string {
  const { hash, user, version, createdMs, confirmedMs, endsMs } = shadow
  const text = JSON.stringify([hash, textOfUser(user), version, createdMs, confirmedMs, endsMs])
  return `v1.${keys.kid}.${seal(keys.sealing, context(name), text, randomBytes)}`
}

/** Undefined for what this service did not seal for this cookie. */
export function unsealShadow(ring: SecretRing, name: string, text: string): Shadow | undefined {
  const [form, kid = '', sealed = '', more] = text.split('.', 4)
  const keys = form === 'v1' && more === undefined ? ring.find(kid) : undefined
  const opened = keys && unseal(keys.sealing, context(name), sealed)
  if (opened === undefined) return undefined
  const [hash, userText, version, createdMs, confirmedMs, endsMs] = JSON.parse(opened)
  const user = userOfText(userText)
  return user && { hash, user, version, createdMs, confirmedMs, endsMs }
}

/** Shadows in the memory of this process; the one unused for longest goes. */
export class ShadowMemory {
  readonly #maximum: number
  readonly #shadows = new Map<string, Shadow>()

  constructor(maximum: number) {
    this.#maximum = maximum
  }

  get size(): number {
    return this.#shadows.size
  }

  remember(shadow: Shadow): void {
    this.#shadows.delete(shadow.hash)
    this.#shadows.set(shadow.hash, shadow)
    for (const oldest of this.#shadows.keys()) {
      if (this.#shadows.size <= this.#maximum) break
      this.#shadows.delete(oldest)
    }
  }

  recall(hash: string): Shadow | undefined {
    return this.#shadows.get(hash)
  }

  forget(hash: string): void {
    this.#shadows.delete(hash)
  }
}
