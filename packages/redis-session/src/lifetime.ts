/*
 * When a session ends. Whatever comes first: it was not used for `idleMs`, or `absoluteMs` have passed since the
 * login. Uses are noted now and then only (`touchEveryMs`), so a session may end by so much earlier than `idleMs`
 * after its last use, never later.
 */

/** How long sessions of one kind last. */
export interface Profile {
  /** Milliseconds without a request after which a session ends. */
  readonly idleMs: number
  /** Milliseconds after the login at which it ends, however much it is used. */
  readonly absoluteMs: number
}

/** When a session ends that is used now, in ms since the Unix epoch. */
export function expiryMs(nowMs: number, idleMs: number, absoluteAtMs: number): number {
  return Math.min(nowMs + idleMs, absoluteAtMs)
}

/**
 * Whether the store should be told that a session is in use. At least four times in each idle time, so that a short
 * one does not end under a user's hands.
 */
export function touchIsDue(
  touchedMs: number,
  nowMs: number,
  { idleMs, touchEveryMs }: { readonly idleMs: number; readonly touchEveryMs: number },
): boolean {
  return nowMs - touchedMs >= Math.min(touchEveryMs, idleMs / 4)
}

/** Whether the user proved who he is within the last `freshMs`. */
export function isFresh(authenticatedMs: number | undefined, nowMs: number, freshMs: number): boolean {
  return authenticatedMs !== undefined && nowMs - authenticatedMs <= freshMs
}
