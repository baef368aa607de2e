/**
 * The arithmetic of interleaved measurement, pure. A ratio is never taken between two averages of a whole run:
 * on a shared machine the speed drifts by tens of percent within seconds. Each slice is divided by the slices
 * of the other variant that ran right before and right after it, and the median of those ratios is reported.
 */

/** What one variant did in one short slice of time. */
export interface Slice {
  readonly variant: string
  /** Processes are started afresh for every round. */
  readonly round: number
  /** Position in the round's sequence of slices; neighbours in time have neighbouring positions. */
  readonly position: number
  readonly figures: Readonly<Record<string, number>>
}

/** A median with the range of the rounds' medians, which is the honest width of the figure. */
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** The middle value (mean of the two middle ones for an even count). NaN for no values. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

/** One figure of one variant over the whole run. */
export function spreadOf(slices: readonly Slice[], variant: string, figure: string): Spread {
  return spread(
    slices
      .filter((slice) => slice.variant === variant)
      .map((slice) => ({ round: slice.round, value: figureOf(slice, figure) })),
  )
}

/** `variant / against` for one figure, each slice against its nearest neighbours in the same round. */
export function ratioOf(slices: readonly Slice[], variant: string, against: string, figure: string): Spread {
  const ratios: { round: number; value: number }[] = []
  for (const slice of slices) {
    if (slice.variant !== variant) continue
    const others = slices.filter((other) => other.variant === against && other.round === slice.round)
    const neighbours = [
      nearest(others, slice.position, (position) => position < slice.position),
      nearest(others, slice.position, (position) => position > slice.position),
    ].filter((neighbour) => neighbour !== undefined)
    if (neighbours.length === 0) continue
    const reference =
      neighbours.reduce((sum, neighbour) => sum + figureOf(neighbour, figure), 0) / neighbours.length
    ratios.push({ round: slice.round, value: figureOf(slice, figure) / reference })
  }
  return spread(ratios)
}

/**
 * The order in which `variants` run in one turn: forward and backward in alternation, so that a slow drift of
 * the machine favours nobody.
 */
export function orderOfTurn<T>(variants: readonly T[], turn: number): readonly T[] {
  return turn % 2 === 0 ? variants : [...variants].reverse()
}

function spread(values: readonly { round: number; value: number }[]): Spread {
  const rounds = new Map<number, number[]>()
  for (const { round, value } of values) {
    const known = rounds.get(round)
    if (known === undefined) rounds.set(round, [value])
    else known.push(value)
  }
  const medians = [...rounds.values()].map(median)
  return {
    median: median(values.map(({ value }) => value)),
    min: medians.length === 0 ? Number.NaN : Math.min(...medians),
    max: medians.length === 0 ? Number.NaN : Math.max(...medians),
  }
}

function nearest(
  slices: readonly Slice[],
  position: number,
  side: (position: number) => boolean,
): Slice | undefined {
  let found: Slice | undefined
  for (const slice of slices) {
    if (!side(slice.position)) continue
    if (found === undefined || Math.abs(slice.position - position) < Math.abs(found.position - position)) {
      found = slice
    }
  }
  return found
}

function figureOf(slice: Slice, figure: string): number {
  return slice.figures[figure] ?? Number.NaN
}
