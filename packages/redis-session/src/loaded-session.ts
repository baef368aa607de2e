/* A session on its way between a request and where it is kept: as it is met, as it begins, as it was made. */
import type { SessionUser } from './principal.ts'
import type { SessionId } from './session-id.ts'
import type { Shadow } from './shadow.ts'
import type { SessionRecord } from './store.ts'

/** A session as a request meets it. */
export interface LoadedSession {
  readonly record: SessionRecord
  readonly user: SessionUser | undefined
  /** The fields as they are kept, where that is another text. */
  readonly sealed?: ReadonlyMap<string, string> | undefined
}

/** What a new session begins with. */
export interface Beginning {
  readonly user: SessionUser | undefined
  readonly idleMs: number
  readonly absolute: { readonly afterMs: number } | { readonly atMs: number; readonly createdMs: number }
  readonly device: string | undefined
  readonly fields: ReadonlyMap<string, string>
}

/** The session that a new one takes the place of. */
export interface Predecessor {
  readonly id: SessionId
  readonly mustExist: boolean
  readonly ifVersion?: number | undefined
}

/** A session that was just made. */
export interface Begun extends LoadedSession {
  readonly id: SessionId
}

/** A login that happened without Redis, and the second cookie for it. */
export interface SealedLogin {
  readonly id: SessionId
  readonly shadow: Shadow
  readonly sealed: string | undefined
}

/** What a claim comes to: a session, or why there is none. */
export type Claimed = (Begun & { readonly permanent: boolean }) | undefined
