// Starts a server again that has ended by itself. It looks at the process, because that is all that a kill leaves to
// see. The first wait is long enough for a person to see what the service does without its database; every start that
// fails doubles it, up to a limit, and one that succeeds brings it back to the first.

import type { Clock } from '@holdfast/footing'

/** How a server is kept alive. */
export interface RevivalOptions {
  readonly isRunning: () => boolean
  /** Resolves when it answers; another call follows only then, or after it was rejected. */
  readonly start: () => Promise<void>
  /** Milliseconds from the first look that finds it gone until it is started. */
  readonly firstWaitMs: number
  readonly maxWaitMs: number
  readonly lookEveryMs: number
  readonly clock: Clock
  readonly onGone: (startInMs: number) => void
  readonly onStarted: () => void
  readonly onFailed: (error: unknown, nextInMs: number) => void
}

/** Begins to watch. What it returns ends that, and resolves when a start that is under way has ended. */
export function keepAlive(options: RevivalOptions): () => Promise<void> {
  const { isRunning, start, firstWaitMs, maxWaitMs, lookEveryMs, clock } = options
  let stopped = false
  let starting: Promise<void> = Promise.resolve()
  let cancel = clock.schedule(lookEveryMs, look)

  function look(): void {
    if (isRunning()) {
      cancel = clock.schedule(lookEveryMs, look)
      return
    }
    options.onGone(firstWaitMs)
    cancel = clock.schedule(firstWaitMs, () => revive(firstWaitMs))
  }

  function revive(waitedMs: number): void {
    starting = start().then(
      () => {
        if (stopped) return
        options.onStarted()
        cancel = clock.schedule(lookEveryMs, look)
      },
      (error: unknown) => {
        if (stopped) return
        const waitMs = Math.min(maxWaitMs, waitedMs * 2)
        options.onFailed(error, waitMs)
        cancel = clock.schedule(waitMs, () => revive(waitMs))
      },
    )
  }

  return () => {
    stopped = true
    cancel()
    return starting
  }
}
