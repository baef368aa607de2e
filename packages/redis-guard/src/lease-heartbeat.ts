/*
 * Keeps a lease alive from the side of its holder, and notices when it is lost.
 *
 * Guarantees: renews every third of the lease; `onLost('taken')` when the store says that the lease is not held any
 * more, which is the end; `onLost('silent')` when a whole lease has passed since the last renewal that succeeded was
 * sent. Whoever does not stop it then goes on asking, and learns later whether the lease was taken or is still held.
 * Nothing is told after `stop()`. A process that was stopped for longer than its lease learns it with its first
 * timer. It cannot know better than its clock: between the end of the lease and the call somebody else may hold it,
 * which is why writes that matter compare the fence.
 */
import type { Clock } from '@holdfast/footing'

/** Why a lease is lost, or may be: the store said so, or did not answer for as long as the lease runs. */
export type LeaseLoss = 'taken' | 'silent'

/** How a lease is kept. */
export interface HeartbeatPlan {
  readonly leaseMs: number
  /** When the request that was granted was sent, on the clock: the lease runs at least since then. */
  readonly grantedAtMs: number
  readonly clock: Clock
  /** Answers whether the lease was held and is renewed. A rejection says nothing about it. */
  readonly renew: () => Promise<boolean>
  readonly onLost: (loss: LeaseLoss) => void
}

const BEATS_PER_LEASE = 3

export class Heartbeat {
  readonly #plan: HeartbeatPlan
  #aliveUntilMs: number
  #silent = false
  #stopped = false
  #cancelTimer: (() => void) | undefined

  constructor(plan: HeartbeatPlan) {
    this.#plan = plan
    this.#aliveUntilMs = plan.grantedAtMs + plan.leaseMs
    this.#schedule()
  }

  /** Ends it; nothing is renewed or reported any more. */
  stop(): void {
    this.#stopped = true
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }

  #schedule(): void {
    const { clock, leaseMs } = this.#plan
    const beatMs = leaseMs / BEATS_PER_LEASE
    const leftMs = this.#aliveUntilMs - clock.nowMs()
    this.#cancelTimer = clock.schedule(this.#silent ? beatMs : Math.max(0, Math.min(beatMs, leftMs)), () =>
      this.#beat(),
    )
  }

  #beat(): void {
    const { clock, renew, leaseMs, onLost } = this.#plan
    const sentAtMs = clock.nowMs()
    if (sentAtMs >= this.#aliveUntilMs && !this.#silent) {
      this.#silent = true
      onLost('silent')
      if (this.#stopped) return
    }
    // The next beat does not wait for this one: the answer may never come.
    this.#schedule()
    renew().then(
      (held) => {
        if (this.#stopped) return
        if (!held) {
          this.stop()
          onLost('taken')
          return
        }
        this.#aliveUntilMs = Math.max(this.#aliveUntilMs, sentAtMs + leaseMs)
        this.#silent = clock.nowMs() >= this.#aliveUntilMs
      },
      // Nothing is known; the end of the lease decides.
      () => undefined,
    )
  }
}
