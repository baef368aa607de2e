// Whether memory grows: what a line through its samples says.

/** Fewer say nothing. */
const MIN_SAMPLES = 20

export interface MemoryTrend {
  readonly slopeBytesPerMinute: number
  readonly medianBytes: number
  /** From the median of the first third to that of the last one, as a share of the former. */
  readonly growth: number
}

/** Undefined where there are too few samples. */
export function memoryTrend(
  samples: readonly { readonly atMs: number; readonly rssBytes: number }[],
): MemoryTrend | undefined {
  const [first] = samples
  if (first === undefined || samples.length < MIN_SAMPLES) return undefined
  const points = samples.map(({ atMs, rssBytes }) => ({ x: (atMs - first.atMs) / 60_000, y: rssBytes }))
  const meanX = mean(points.map(({ x }) => x))
  const meanY = mean(points.map(({ y }) => y))
  const spread = points.reduce((sum, { x }) => sum + (x - meanX) ** 2, 0)
  const slope = points.reduce((sum, { x, y }) => sum + (x - meanX) * (y - meanY), 0) / spread
  const third = Math.floor(points.length / 3)
  const before = median(points.slice(0, third).map(({ y }) => y))
  const after = median(points.slice(-third).map(({ y }) => y))
  return {
    slopeBytesPerMinute: spread === 0 ? 0 : slope,
    medianBytes: median(points.map(({ y }) => y)),
    growth: after / before - 1,
  }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
