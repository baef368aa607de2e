/* All sessions of a user: how he sees them, and how they end. Each secret of the ring has a list of its own. */
import type { Clock } from '@holdfast/footing'
import type { Activity } from './activity.ts'
import { type Device, deviceOf } from './device.ts'
import { channels } from './events.ts'
import { requireUserId } from './principal.ts'
import { isHash, type SecretRing, userAddress } from './secret-ring.ts'
import type { SessionCounts } from './session-counts.ts'
import type { SessionStore } from './store.ts'
import type { StoreCalls } from './store-calls.ts'
import { DEVICE, type TextForm } from './text-form.ts'

/** A session in the list of its user. */
export interface UserSession {
  /** Its name in lists; no secret, and no use as a cookie. */
  readonly id: string
  readonly createdAt: Date
  /** The last use that was noted. */
  readonly usedAt: Date
  /** When it ends at the latest. */
  readonly endsAt: Date
  readonly authenticatedAt: Date | undefined
  readonly device: Device
}

export interface UserSessionsParts {
  readonly calls: StoreCalls
  readonly store: SessionStore
  readonly ring: SecretRing
  readonly texts: TextForm
  readonly counts: SessionCounts
  readonly clock: Pick<Clock, 'wallMs'>
  readonly activity: Activity | undefined
}

export class UserSessions {
  readonly #parts: UserSessionsParts

  constructor(parts: UserSessionsParts) {
    this.#parts = parts
  }

  /** The sessions of a user, the one used last first. Raises `..._DATA` and `..._UNAVAILABLE`. */
  async list(userId: string): Promise<readonly UserSession[]> {
    requireUserId(userId)
    const { ring, calls, store, texts } = this.#parts
    const lists = await Promise.all(
      ring.all.map(async (keys) => {
        const list = userAddress(keys, userId)
        const found = await calls.ask(store.list(list))
        return found.map((session): UserSession => {
          const address = { tag: list.tag, hash: session.hash }
          const device = session.device && texts.opened(keys, address, DEVICE, session.device)
          return {
            id: session.hash,
            createdAt: new Date(session.createdMs),
            usedAt: new Date(session.touchedMs),
            endsAt: new Date(session.absoluteAtMs),
            authenticatedAt:
              session.authenticatedMs === undefined ? undefined : new Date(session.authenticatedMs),
            device: deviceOf(device),
          }
        })
      }),
    )
    return lists.flat().sort((a, b) => b.usedAt.getTime() - a.usedAt.getTime())
  }

  /**
   * Ends one session of a user, by its name in his list; answers whether it was there, and undefined when Redis will be
   * told later. Raises `..._DATA`, and `..._UNAVAILABLE` when that cannot be noted.
   */
  async revoke(userId: string, id: string): Promise<boolean | undefined> {
    requireUserId(userId)
    if (!isHash(id)) return false
    const { ring, calls, store } = this.#parts
    const ended = await Promise.all(
      ring
        .usersOf(userId)
        .map((list) => calls.tell({ kind: 'listed', list, hash: id }, () => store.revoke(list, id))),
    )
    if (ended.includes(true)) {
      this.#revoked([id], userId)
      return true
    }
    return ended.includes(undefined) ? undefined : false
  }

  /**
   * Ends all sessions of a user, but one if wanted; answers how many, and undefined when Redis will be told later.
   * Raises `..._DATA`, and `..._UNAVAILABLE` when that cannot be noted.
   */
  async revokeAll(
    userId: string,
    options: { readonly except?: string | undefined } = {},
  ): Promise<number | undefined> {
    requireUserId(userId)
    const { ring, calls, store, clock } = this.#parts
    const untilMs = clock.wallMs()
    const except = options.except !== undefined && isHash(options.except) ? options.except : undefined
    const ended = await Promise.all(
      ring
        .usersOf(userId)
        .map((list) =>
          calls.tell({ kind: 'user', list, except, untilMs }, () => store.revokeAll(list, { except })),
        ),
    )
    const hashes = ended.flatMap((hashes) => hashes ?? [])
    this.#revoked(hashes, userId)
    return ended.includes(undefined) ? undefined : hashes.length
  }

  #revoked(hashes: readonly string[], userId: string): void {
    const { ring, counts, activity } = this.#parts
    counts.revoked += hashes.length
    for (const { tag } of activity === undefined ? [] : ring.usersOf(userId)) {
      for (const hash of hashes) activity?.forget({ tag, hash })
    }
    if (!channels.revoke.hasSubscribers) return
    for (const session of hashes) channels.revoke.publish({ session, userId })
  }
}
