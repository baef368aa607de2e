import type { FastifyRequest } from 'fastify'

/** Who is signed in with a session. */
export interface SignedInSession {
  /** Names the session in lists. No secret; another one after every sign-in. */
  readonly id: string
  readonly userId: string
  /** Slug. */
  readonly tenantId: string
  readonly roles: readonly string[]
  /** When the password was last given; 0 when that cannot be known. */
  readonly authenticatedAtMs: number
  /** Whoever keeps sessions cannot be asked; this is what was confirmed before, with the least of its roles. */
  readonly believed: boolean
}

/** A session in the list of its user. */
export interface ListedSession {
  readonly id: string
  readonly createdAtMs: number
  readonly lastUsedAtMs: number
  readonly expiresAtMs: number
  /** What the client called itself. */
  readonly client: string | undefined
}

/** What this service needs of sessions. */
export interface SessionPort {
  /** Whether sessions can be changed at present. */
  readonly available: boolean
  /** The session of a request. Rejects when it cannot be known. */
  find(request: FastifyRequest): Promise<SignedInSession | undefined>
  /**
   * Begins a session with a new id, in place of one that the request has. It counts from `sinceMs` on, by the clock of
   * the database. While whoever keeps sessions cannot be asked it is `believed`, until he can.
   */
  login(
    request: FastifyRequest,
    principal: { readonly userId: string; readonly tenantId: string; readonly roles: readonly string[] },
    options: { readonly permanent: boolean; readonly sinceMs: number },
  ): Promise<void>
  /** The password was given again: a new id, and fresh. It counts from `sinceMs` on. */
  elevate(request: FastifyRequest, sinceMs: number): Promise<void>
  /** Ends the session of the request. */
  logout(request: FastifyRequest): Promise<void>
  list(userId: string): Promise<readonly ListedSession[]>
  /** Ends one of his sessions; false when he has none such. */
  revoke(userId: string, id: string): Promise<boolean>
  /** Ends all his sessions, or all but one. */
  revokeAll(userId: string, exceptId?: string): Promise<void>
}
