/*
 * How many calls of the last `windowMs` there were, how many failed and how many were slow.
 *
 * A ring of buckets, each a slice of time: recording and reading touch at most every bucket once (and none, as a
 * rule), whatever the traffic. A call leaves the window when its whole bucket does, so what is counted is at most
 * `windowMs` old, and at least all of the last `windowMs` less one bucket.
 */

/** What one slice of time has seen: calls, failures, slow calls. */
export type Slice = readonly [calls: number, failures: number, slow: number]

interface Bucket {
  calls: number
  failures: number
  slow: number
}

export class RollingWindow {
  readonly bucketMs: number
  /** Executed calls in the window, as of the last `advance` or `record`. */
  calls = 0
  failures = 0
  slow = 0
  readonly #buckets: readonly Bucket[]
  #current: Bucket
  #index = 0
  #endMs: number

  constructor(windowMs: number, buckets: number, nowMs: number) {
    this.bucketMs = windowMs / buckets
    this.#buckets = Array.from({ length: buckets }, () => ({ calls: 0, failures: 0, slow: 0 }))
    this.#current = this.#bucket(0)
    this.#endMs = nowMs + this.bucketMs
  }

  record(nowMs: number, failed: boolean, slow: boolean): void {
    if (nowMs >= this.#endMs) this.#turn(nowMs)
    const bucket = this.#current
    this.calls += 1
    bucket.calls += 1
    if (failed) {
      this.failures += 1
      bucket.failures += 1
    }
    if (slow) {
      this.slow += 1
      bucket.slow += 1
    }
  }

  /** Lets go of what is too old. */
  advance(nowMs: number): void {
    if (nowMs >= this.#endMs) this.#turn(nowMs)
  }

  reset(nowMs: number): void {
    for (const bucket of this.#buckets) this.#empty(bucket)
    this.#endMs = nowMs + this.bucketMs
  }

  /** The buckets, oldest first; the last one is still being filled. */
  slices(nowMs: number): Slice[] {
    this.advance(nowMs)
    const count = this.#buckets.length
    return this.#buckets.map((_, age) => {
      const { calls, failures, slow } = this.#bucket((this.#index + 1 + age) % count)
      return [calls, failures, slow] as const
    })
  }

  /** Puts back what `slices` gave `elapsedMs` ago, as far as it still belongs to the window. */
  restore(slices: readonly Slice[], elapsedMs: number): void {
    const count = this.#buckets.length
    const aged = Math.ceil(elapsedMs / this.bucketMs)
    for (const [position, [calls, failures, slow]] of slices.entries()) {
      const age = slices.length - 1 - position + aged
      if (age >= count) continue
      const bucket = this.#bucket((this.#index - age + count) % count)
      bucket.calls += calls
      bucket.failures += failures
      bucket.slow += slow
      this.calls += calls
      this.failures += failures
      this.slow += slow
    }
  }

  #turn(nowMs: number): void {
    const steps = 1 + Math.floor((nowMs - this.#endMs) / this.bucketMs)
    const count = this.#buckets.length
    for (let step = 0; step < Math.min(steps, count); step += 1) {
      this.#index = (this.#index + 1) % count
      this.#empty(this.#bucket(this.#index))
    }
    this.#current = this.#bucket(this.#index)
    this.#endMs += steps * this.bucketMs
  }

  #empty(bucket: Bucket): void {
    this.calls -= bucket.calls
    this.failures -= bucket.failures
    this.slow -= bucket.slow
    bucket.calls = 0
    bucket.failures = 0
    bucket.slow = 0
  }

  #bucket(index: number): Bucket {
    return this.#buckets[index] as Bucket
  }
}
