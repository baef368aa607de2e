/** The upper bounds of the buckets, in seconds. */
export const WAIT_BUCKETS_SECONDS = [0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5] as const

/** Counts waits by their length, for metrics: a few comparisons for each, read when somebody scrapes. */
export class WaitHistogram {
  /** How many waits fell into each bucket and none below it; the last one holds those above all bounds. */
  readonly counts: number[] = new Array<number>(WAIT_BUCKETS_SECONDS.length + 1).fill(0)
  sumMs = 0

  record(waitedMs: number): void {
    let bucket = 0
    for (const bound of WAIT_BUCKETS_SECONDS) {
      if (waitedMs <= bound * 1000) break
      bucket += 1
    }
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1
    this.sumMs += waitedMs
  }

  snapshot(): { readonly counts: readonly number[]; readonly sumMs: number } {
    return { counts: [...this.counts], sumMs: this.sumMs }
  }
}
