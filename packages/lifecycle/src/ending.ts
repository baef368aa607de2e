import type { ShutdownStage } from './shutdown.ts'

/** How a service ended. */
export interface Ending {
  readonly reason: string
  /** 0: in order. 1: something was left behind, an exception began it, or somebody asked for it. */
  readonly exitCode: number
  /** From the signal to the end of the hold. */
  readonly drainMs: number
  /** From there to the last step of `onClose()`. */
  readonly closeMs: number
  /** How long each stage took, in ms. */
  readonly stages: Readonly<Partial<Record<ShutdownStage, number>>>
  /** Requests that came while draining, and were answered like any other. */
  readonly drainedRequests: number
  /** Requests that got no answer, so that a balancer asks another instance (`turnAwayMs`). */
  readonly turnedAwayRequests: number
  /** Connections that were destroyed while somebody waited for an answer. */
  readonly cutRequests: number
  /** What was not over in its time, in words. */
  readonly held: readonly string[]
}
