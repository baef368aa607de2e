/*
 * Where sessions are kept. The contract, which one suite tests over every form:
 *
 * - Time is the store's. A session ends `idleMs` after its last use or at `absoluteAtMs`, whatever comes first, and
 *   what has ended is not there.
 * - Every write is one atomic step, and none brings a session back: `commit` and `touch` of one that is not there
 *   answer so and write nothing.
 * - A user's list never misses a live session, and shows no dead one: a session knows its list, and making, replacing,
 *   ending, revoking and listing are one step each with it.
 * - Texts are opaque. Numbers are milliseconds since the Unix epoch.
 * - A call answers within the budget of whoever stands behind it, or rejects.
 */
import type { RedisGuard } from '@holdfast/redis-guard'
import type { Address } from './secret-ring.ts'

/** What the store needs of a `RedisGuard`. */
export type SessionRedis = Pick<
  RedisGuard,
  'available' | 'run' | 'call' | 'key' | 'onStateChange' | 'beforeUp' | 'subscribe'
>

/** A session as it is kept. */
export interface SessionRecord {
  /** Grows by one with each write of a field. */
  readonly version: number
  readonly createdMs: number
  /** The last use that was noted. */
  readonly touchedMs: number
  readonly idleMs: number
  readonly absoluteAtMs: number
  /** Who is signed in. */
  readonly principal: string | undefined
  /** When he last proved it. */
  readonly authenticatedMs: number | undefined
  /** From where. */
  readonly device: string | undefined
  readonly fields: ReadonlyMap<string, string>
}

/** A session to be made. */
export interface SessionDraft {
  readonly idleMs: number
  /** Counted from now; or, of a session that goes on under a new id, when it ends. */
  readonly absolute: { readonly afterMs: number } | { readonly atMs: number; readonly createdMs: number }
  readonly principal: string | undefined
  /** Sets `authenticatedMs`, to now or to this moment. */
  readonly authenticated: boolean | { readonly atMs: number }
  readonly device: string | undefined
  readonly fields: ReadonlyMap<string, string>
}

/** The session that a new one takes the place of. */
export interface Replaced {
  readonly address: Address
  /** Whether nothing is made when it is not there any more. */
  readonly mustExist: boolean
  /** Nothing is made when it has another version. */
  readonly ifVersion?: number | undefined
}

/** How many sessions of one user there may be. */
export interface UserBound {
  readonly maxPerUser: number
  readonly whenFull: 'evict' | 'deny'
}

export type Created =
  | { readonly outcome: 'created'; readonly nowMs: number; readonly ended: readonly string[] }
  /** The replaced session is not there; nothing was made. */
  | { readonly outcome: 'gone' }
  /** `whenFull` is `'deny'`; nothing was made. */
  | { readonly outcome: 'full' }
  /** The replaced session was changed; nothing was made. */
  | { readonly outcome: 'conflict' }

/** A write of some fields. */
export interface Change {
  readonly set: ReadonlyMap<string, string>
  readonly remove: readonly string[]
  /** The write happens only when the session has this version. */
  readonly ifVersion?: number | undefined
  readonly maxBytes: number
  readonly maxFields: number
}

export type Committed =
  | Done
  | { readonly outcome: 'gone' }
  | { readonly outcome: 'conflict' }
  | { readonly outcome: 'too-large' }

/** The write happened; `bytes` are those of all data. */
export interface Done {
  readonly outcome: 'done'
  readonly version: number
  readonly nowMs: number
  readonly bytes: number
}

/** A write of one field that depends on what it has. */
export interface Swap extends Pick<Change, 'maxBytes' | 'maxFields'> {
  readonly name: string
  /** What it has; undefined when it is not there. */
  readonly from: string | undefined
  /** What it shall have; undefined takes it away. */
  readonly to: string | undefined
}

export type Swapped =
  | Done
  | { readonly outcome: 'gone' }
  | { readonly outcome: 'too-large' }
  /** It has something else; nothing was written. */
  | { readonly outcome: 'differs'; readonly present: string | undefined }

/** A line of a user's list. */
export interface ListedSession {
  readonly hash: string
  readonly createdMs: number
  readonly touchedMs: number
  readonly absoluteAtMs: number
  readonly authenticatedMs: number | undefined
  readonly device: string | undefined
}

/** Which sessions of a user are ended. */
export interface RevokeAll {
  /** All but this one. */
  readonly except?: string | undefined
  /** Only those that were made until then. */
  readonly createdUntilMs?: number | undefined
}

export interface SessionStore {
  /** Whether a call makes sense at present. */
  readonly available: boolean
  /** With `names` of the data these at least, and it need not say from where; without, all of it. */
  load(address: Address, names?: readonly string[]): Promise<SessionRecord | undefined>
  /** With `user`, the session is put on that list, which has the same tag. */
  create(
    address: Address,
    user: Address | undefined,
    draft: SessionDraft,
    bound: UserBound,
    replaced?: Replaced,
  ): Promise<Created>
  commit(address: Address, change: Change): Promise<Committed>
  /** Writes one field when it has what is expected. */
  swap(address: Address, swap: Swap): Promise<Swapped>
  /** Whether the session is there; no use of it. */
  has(address: Address): Promise<boolean>
  /** Notes a use; answers whether the session is there. */
  touch(address: Address): Promise<boolean>
  /** Ends a session; answers whether it was there. */
  destroy(address: Address): Promise<boolean>
  list(user: Address): Promise<readonly ListedSession[]>
  /** Ends a session of this list and of no other; answers whether it was there. */
  revoke(user: Address, hash: string): Promise<boolean>
  /** Ends sessions of this list; answers which. */
  revokeAll(user: Address, which: RevokeAll): Promise<readonly string[]>
}

/** A session as it was made at this moment. */
export function recordOfDraft(draft: SessionDraft, nowMs: number): SessionRecord {
  const { idleMs, absolute, principal, authenticated, device, fields } = draft
  const goesOn = 'atMs' in absolute
  return {
    version: 1,
    createdMs: goesOn ? absolute.createdMs : nowMs,
    touchedMs: nowMs,
    idleMs,
    absoluteAtMs: goesOn ? absolute.atMs : nowMs + absolute.afterMs,
    principal,
    authenticatedMs:
      typeof authenticated === 'object' ? authenticated.atMs : authenticated ? nowMs : undefined,
    device,
    fields,
  }
}
