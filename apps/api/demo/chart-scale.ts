// From values to places on paper. Pure.

/** A value's place between two ends. */
export interface Scale {
  readonly ticks: readonly number[]
  /** 0 is the beginning of the axis, 1 its end; beyond both is cut. */
  place(value: number): number
}

/** From 0 to a round number that is not below the highest value, in at most six steps. */
export function linearScale(highest: number): Scale {
  const top = Number.isFinite(highest) && highest > 0 ? highest : 1
  const rough = top / 5
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999) ?? top
  const steps = Math.ceil(top / step - 1e-9)
  const end = steps * step
  return {
    ticks: Array.from({ length: steps + 1 }, (_, at) => roundTo(at * step, power)),
    place: (value) => clamp(value / end),
  }
}

/** Powers of ten that hold all values, at least one decade apart. For what is above 0. */
export function logScale(lowest: number, highest: number): Scale {
  const isUsable = Number.isFinite(lowest) && Number.isFinite(highest) && lowest > 0 && highest >= lowest
  const from = Math.floor(Math.log10(isUsable ? lowest : 1))
  const to = Math.max(from + 1, Math.ceil(Math.log10(isUsable ? highest : 10)))
  return {
    ticks: Array.from({ length: to - from + 1 }, (_, at) => roundTo(10 ** (from + at), 10 ** (from + at))),
    place: (value) => (value > 0 ? clamp((Math.log10(value) - from) / (to - from)) : 0),
  }
}

/** Minutes and seconds, at round moments, at most `most` of them. */
export function timeTicks(lengthSeconds: number, most: number): readonly number[] {
  const step =
    [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600].find((size) => lengthSeconds / size <= most) ?? 7200
  return Array.from({ length: Math.floor(lengthSeconds / step) + 1 }, (_, at) => at * step)
}

/** `3:05`, from seconds. */
export function clockText(seconds: number): string {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`
}

/** A text over a place on an axis. */
export interface Label {
  readonly from: number
  readonly width: number
}

/**
 * The lane of each label so that none overlaps another, the first lane that has room; in the order that is given, which
 * is that of their beginnings.
 */
export function lanesOf(labels: readonly Label[], gap: number): readonly number[] {
  const ends: number[] = []
  return labels.map(({ from, width }) => {
    const free = ends.findIndex((end) => end + gap <= from)
    const lane = free === -1 ? ends.length : free
    ends[lane] = from + width
    return lane
  })
}

function roundTo(value: number, power: number): number {
  const digits = Math.max(0, 1 - Math.floor(Math.log10(power)))
  return Number(value.toFixed(Math.min(20, digits)))
}

function clamp(place: number): number {
  return Math.min(1, Math.max(0, place))
}
