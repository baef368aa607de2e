// Latencies in buckets that grow by a tenth: percentiles of any span of time, to within that, in a fixed number of
// numbers that processes can send each other.

const SMALLEST_MS = 0.05
const GROWTH = 1.1
/** Up to some 80 seconds. */
export const BUCKETS = 150

/** Counts by bucket. */
export type Histogram = number[]

export function newHistogram(): Histogram {
  return new Array<number>(BUCKETS).fill(0)
}

/** What is shorter than the first bucket, or longer than the last, counts there. */
export function record(histogram: Histogram, ms: number): void {
  const at =
    ms <= SMALLEST_MS ? 0 : Math.min(BUCKETS - 1, Math.ceil(Math.log(ms / SMALLEST_MS) / Math.log(GROWTH)))
  histogram[at] = (histogram[at] ?? 0) + 1
}

export function merge(histograms: readonly Histogram[]): Histogram {
  const sum = newHistogram()
  for (const histogram of histograms) {
    for (let at = 0; at < BUCKETS; at += 1) sum[at] = (sum[at] ?? 0) + (histogram[at] ?? 0)
  }
  return sum
}

/** The upper end of the bucket in which that share of all latencies ends; NaN when there are none. */
export function percentile(histogram: Histogram, share: number): number {
  const total = histogram.reduce((sum, count) => sum + count, 0)
  if (total === 0) return Number.NaN
  const wanted = Math.max(1, Math.ceil(total * share))
  let seen = 0
  for (let at = 0; at < BUCKETS; at += 1) {
    seen += histogram[at] ?? 0
    if (seen >= wanted) return SMALLEST_MS * GROWTH ** at
  }
  return SMALLEST_MS * GROWTH ** (BUCKETS - 1)
}
