import { monitorEventLoopDelay } from 'node:perf_hooks'

const RESOLUTION_MS = 5

/**
 * Tells how long this process was kept from running, because the machine was busy with others or the process with
 * itself. A limit on time allows for it: nothing shorter can be told apart from what was measured.
 */
export class StallWatch {
  readonly #delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS })

  constructor() {
    this.#delays.enable()
  }

  /** The longest stall since the begin, or since the last `reset`, in ms. */
  get longestMs(): number {
    return Math.max(0, this.#delays.max / 1_000_000 - RESOLUTION_MS)
  }

  /**
   * What a limit allows for: that each of the processes an answer passes through (four, if nothing else is said) was
   * kept waiting for as long as this one.
   */
  allowanceMs(processes = 4): number {
    return processes * this.longestMs
  }

  reset(): void {
    this.#delays.reset()
  }

  stop(): void {
    this.#delays.disable()
  }
}
