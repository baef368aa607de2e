// What happened in each second of the demonstration, and what a span of it comes to.

import { type AnswerClass, CLASSES, KINDS, type Kind, noCounts } from './answer-class.ts'
import { type Histogram, merge, percentile } from './latency-histogram.ts'

/** What the users saw within one second. Only kinds that were asked for. */
export interface Second {
  /** When it ended, in ms since the epoch. */
  readonly atMs: number
  readonly connected: number
  readonly kinds: Readonly<Partial<Record<Kind, KindSecond>>>
  /** Requests that were sent again, because their connection had ended before an answer began. */
  readonly sentAgain: number
  /** How late the users' own process was, at the most. */
  readonly lateMs: number
  /** Whoever has been waiting longest for an answer has for so long; 0 when nobody waits. */
  readonly waitingMs: number
}

export interface KindSecond {
  readonly classes: Readonly<Record<AnswerClass, number>>
  readonly latencies: Histogram
}

/** What the service and its database said at one moment. */
export interface Sample {
  readonly atMs: number
  readonly poolPercent: number
  readonly rssBytes: number
  readonly heapBytes: number
}

/** Something that was done to the service. */
export interface Episode {
  readonly label: string
  readonly fromMs: number
  /** When the last of it was over. */
  readonly toMs: number
  /** `load`: only users; `pace`: how many requests the machine has time for. */
  readonly kind: 'pace' | 'load' | 'fault'
}

/** A span of it. */
export interface Span {
  readonly requests: number
  readonly seconds: number
  readonly connected: number
  readonly sentAgain: number
  readonly lateMs: number
  count(kind: Kind | undefined, ...classes: readonly AnswerClass[]): number
  percentileMs(kind: Kind | undefined, share: number): number
}

/** Two hours. */
const MAX_SECONDS = 7200
/** Twice in a second. */
const MAX_SAMPLES = 2 * MAX_SECONDS

export class Timeline {
  readonly seconds: Second[] = []
  readonly samples: Sample[] = []
  readonly episodes: Episode[] = []

  add(second: Second): void {
    if (this.seconds.length < MAX_SECONDS) this.seconds.push(second)
  }

  sample(sample: Sample): void {
    if (this.samples.length < MAX_SAMPLES) this.samples.push(sample)
  }

  samplesWithin(fromMs: number, toMs: number): readonly Sample[] {
    return this.samples.filter(({ atMs }) => atMs >= fromMs && atMs <= toMs)
  }

  /** Of the seconds that ended within it. */
  within(fromMs = Number.NEGATIVE_INFINITY, toMs = Number.POSITIVE_INFINITY): Span {
    const seconds = this.seconds.filter(({ atMs }) => atMs > fromMs && atMs <= toMs)
    const of = (kind: Kind | undefined) =>
      seconds.flatMap(({ kinds }) =>
        (kind === undefined ? KINDS : [kind]).flatMap((name) => kinds[name] ?? []),
      )
    const total = (kind: Kind | undefined, classes: readonly AnswerClass[]) =>
      of(kind).reduce(
        (sum, { classes: counts }) => sum + classes.reduce((of, name) => of + counts[name], 0),
        0,
      )
    return {
      requests: total(undefined, CLASSES),
      seconds: seconds.length,
      connected: Math.min(...seconds.map(({ connected }) => connected)),
      sentAgain: seconds.reduce((sum, { sentAgain }) => sum + sentAgain, 0),
      lateMs: Math.max(0, ...seconds.map(({ lateMs }) => lateMs)),
      count: (kind, ...classes) => total(kind, classes.length === 0 ? CLASSES : classes),
      percentileMs: (kind, share) => percentile(merge(of(kind).map(({ latencies }) => latencies)), share),
    }
  }
}

/** Of all kinds together, by class. */
export function classesOf({ kinds }: Second): Record<AnswerClass, number> {
  const sum = noCounts()
  for (const kind of Object.values(kinds)) for (const name of CLASSES) sum[name] += kind.classes[name]
  return sum
}
