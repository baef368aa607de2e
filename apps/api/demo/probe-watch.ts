// Asks one address again and again, and remembers what it was answered and how long that took.

import { setTimeout as sleep } from 'node:timers/promises'
import { type Histogram, newHistogram, percentile, record } from './latency-histogram.ts'

/** On however slow a machine. */
const TIMEOUT_MS = 60_000

export class ProbeWatch {
  readonly #latencies: Histogram = newHistogram()
  readonly statuses = new Map<number | 'none', number>()
  #running = true
  readonly #ended: Promise<void>

  constructor(url: () => string, everyMs: number) {
    this.#ended = this.#run(url, everyMs)
  }

  percentileMs(share: number): number {
    return percentile(this.#latencies, share)
  }

  /** As a person reads them. */
  get answers(): string {
    return [...this.statuses].map(([status, count]) => `${count} x ${status}`).join(', ')
  }

  async stop(): Promise<void> {
    this.#running = false
    await this.#ended
  }

  async #run(url: () => string, everyMs: number): Promise<void> {
    while (this.#running) {
      const startMs = performance.now()
      let status: number | 'none' = 'none'
      try {
        const answer = await fetch(url(), { signal: AbortSignal.timeout(TIMEOUT_MS) })
        await answer.arrayBuffer()
        status = answer.status
      } catch {
        // Counted as no answer.
      }
      record(this.#latencies, performance.now() - startMs)
      this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1)
      await sleep(everyMs)
    }
  }
}
