/*
 * What may be believed about a session while Redis cannot be asked. A shadow is made of a session that Redis has just
 * confirmed, or of a login that happens while Redis is away. It knows who is signed in and what he changed meanwhile,
 * has the few roles that an outage leaves, no fresh proof, and ends by itself soon. It is believed only while this
 * process itself finds Redis not usable, and only together with the id that it belongs to. So whoever can break Redis
 * gains nothing but the use of what he has stolen already, for that short while.
 *
 * A shadow is pending when Redis has to be told of it afterwards: of the login, or of the changes.
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
  /** Of a login that Redis has not heard of. */
  readonly login?: OutageLogin | undefined
  /** Fields that were changed while Redis was away; null for one that was taken away. */
  readonly changes?: FieldChanges | undefined
}

/** What becomes of a login when Redis is back. */
export interface OutageLogin {
  /** All of them, also those that the outage does not leave. */
  readonly roles: readonly string[]
  readonly permanent: boolean
}

/** The new text of each field, or null. */
export type FieldChanges = ReadonlyMap<string, string | null>

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

/** The shadow of somebody who signs in at this moment, without Redis. */
export function shadowOfLogin(
  { address: { hash } }: SessionId,
  user: SessionUser,
  {
    permanent,
    idleMs,
    nowMs,
  }: { readonly permanent: boolean; readonly idleMs: number; readonly nowMs: number },
  { outageMs, outageRoles }: ShadowRules,
): Shadow {
  const { roles } = user
  const left = { ...user, roles: roles.filter((role) => outageRoles.includes(role)) }
  const endsMs = nowMs + Math.min(outageMs, idleMs)
  const login = { roles, permanent }
  return { hash, user: left, version: 0, createdMs: nowMs, confirmedMs: nowMs, endsMs, login }
}

/** The shadow after one more change. */
export function withChanges(
  shadow: Shadow,
  set: ReadonlyMap<string, string>,
  removed: ReadonlySet<string>,
): Shadow {
  const changes = new Map<string, string | null>([...(shadow.changes ?? []), ...set])
  for (const name of removed) changes.set(name, null)
  return { ...shadow, changes }
}

/** Whether a shadow may be believed now, of this id. */
export function isBelieved(shadow: Shadow, { address }: SessionId, nowMs: number): boolean {
  return shadow.hash === address.hash && nowMs < shadow.endsMs
}

type Form = 'v1' | 'p1'

/** Far enough below what browsers keep of one cookie, its name and attributes included. */
export const MAX_SEALED_LENGTH = 3800

const context = (form: Form, name: string) =>
  form === 'v1' ? `cookie v1\n${name}\nshadow` : `cookie v1\n${name}\npending`

/**
 * A shadow for a cookie of this name: its holder can neither read nor change it. Undefined when it is longer than a
 * cookie can be.
 */
export function sealShadow(
  keys: RingKeys,
  name: string,
  shadow: Shadow,
  randomBytes: RandomBytes,
): string | undefined {
  const { hash, user, version, createdMs, confirmedMs, endsMs, login, changes } = shadow
  const parts: unknown[] = [hash, textOfUser(user), version, createdMs, confirmedMs, endsMs]
  const form = isPending(shadow) ? 'p1' : 'v1'
  if (form === 'p1') parts.push(login && [login.roles, login.permanent], changes && [...changes])
  const text = `${form}.${keys.kid}.${seal(keys.sealing, context(form, name), JSON.stringify(parts), randomBytes)}`
  return text.length > MAX_SEALED_LENGTH ? undefined : text
}

/** Whether Redis has to be told of it. */
export function isPending({ login, changes }: Shadow): boolean {
  return login !== undefined || changes !== undefined
}

/** Whether the shadow in a cookie says that it is pending; costs nothing, and is only believed once it is opened. */
export function saysPending(text: string): boolean {
  return text.startsWith('p1.')
}

/** Undefined for what this service did not seal for this cookie. */
export function unsealShadow(ring: SecretRing, name: string, text: string): Shadow | undefined {
  const [form, kid = '', sealed = '', more] = text.split('.', 4)
  if ((form !== 'v1' && form !== 'p1') || more !== undefined) return undefined
  const keys = ring.find(kid)
  const opened = keys && unseal(keys.sealing, context(form, name), sealed)
  if (opened === undefined) return undefined
  const [hash, userText, version, createdMs, confirmedMs, endsMs, login, changes] = JSON.parse(opened)
  const user = userOfText(userText)
  if (user === undefined) return undefined
  const shadow = { hash, user, version, createdMs, confirmedMs, endsMs }
  if (form === 'v1') return shadow
  return {
    ...shadow,
    login: login ? { roles: login[0], permanent: login[1] } : undefined,
    changes: changes ? new Map(changes) : undefined,
  }
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
