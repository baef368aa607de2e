/*
 * Ends of sessions, by word of Redis: whichever process ends one, all hear of it. Words may be lost with the
 * connection; when that stands again, whoever keeps the sessions is asked for each one that is watched.
 */
import { EndWatch } from './end-watch.ts'
import { isHash } from './secret-ring.ts'
import { channelOf } from './session-scripts.ts'
import type { SessionRedis, SessionStore } from './store.ts'

/** So many sessions are asked for at the same time. */
const ASK_AT_ONCE = 100

export class EndFeed extends EndWatch {
  #stops: readonly (() => void)[] = []

  /** Listens from now on, until it is closed. */
  hear(redis: SessionRedis, store: SessionStore): void {
    this.#stops = [
      redis.subscribe(channelOf(redis.key('redis-session', 'any')), {
        onMessage: (message) => this.#heard(String(message)),
        onGap: () => this.#missed(store),
      }),
      redis.onStateChange((state) => {
        if (state === 'up') this.#missed(store)
      }),
    ]
  }

  close(): void {
    for (const stop of this.#stops) stop()
  }

  /** `<reason> <hash>...`, from the process that ended them. */
  #heard(message: string): void {
    const [reason, ...hashes] = message.split(' ')
    if (reason !== 'ended' && reason !== 'replaced') return
    for (const hash of hashes) if (isHash(hash)) this.tell(hash, reason)
  }

  async #missed(store: SessionStore): Promise<void> {
    const { watched } = this
    for (let at = 0; at < watched.length && store.available; at += ASK_AT_ONCE) {
      const asked = watched.slice(at, at + ASK_AT_ONCE).map(async (address) => {
        const isThere = await store.has(address).catch(() => true)
        if (!isThere) this.tell(address.hash, 'ended')
      })
      await Promise.all(asked)
    }
  }
}
