/*
 * Reads of metrics that take a while. Guarantees: of each metric one read is under way at a time, and whoever asks
 * meanwhile shares it: one that hangs is left alone, and does not pile up.
 */
import type { MetricLike } from './registry.ts'

/** What is under way. */
export class OneRead<Answer> {
  readonly #ask: (metric: MetricLike) => Promise<Answer>
  readonly #running = new WeakMap<MetricLike, Promise<Answer>>()

  constructor(ask: (metric: MetricLike) => Promise<Answer>) {
    this.#ask = ask
  }

  /** What the metric answers, or is about to. */
  of(metric: MetricLike): Promise<Answer> {
    const running = this.#running.get(metric)
    if (running !== undefined) return running
    const reading = this.#ask(metric).finally(() => this.#running.delete(metric))
    this.#running.set(metric, reading)
    return reading
  }
}
