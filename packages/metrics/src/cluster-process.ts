/*
 * Metrics of a cluster of `node:cluster`: every worker tells the primary its numbers, and the primary tells them
 * together. Guarantees: nobody waits for a worker; a worker that is killed loses what it has counted since it told last.
 */
import type { Worker } from 'node:cluster'
import { type Clock, withRetryAfter } from '@holdfast/footing'
import type { Format } from './accept.ts'
import type { Aggregate } from './definition.ts'
import { PrimarySilentError } from './errors.ts'
import type { MetricLike, RegistryLike } from './registry.ts'
import { defaultLabelsOf, within } from './scrape.ts'
import { SnapshotWriter, type WorkerSnapshot } from './worker-snapshot.ts'
import { WorkerTotals } from './worker-totals.ts'

/** How often workers tell. */
export const TELL_MS = 1000
/** A worker that has missed so many turns is stale. */
const MISSED_TURNS = 3
const MAX_RETIRED = 100_000
/** A metric that cannot be read in so long is not told. */
const COLLECT_MS = 100
/** The primary has nothing to do but to answer. */
const ANSWER_MS = 1000

const SNAPSHOT = 'holdfast:metrics:snapshot'
const READ = 'holdfast:metrics:read'
const TEXT = 'holdfast:metrics:text'

/** What is needed of `node:cluster` in the primary. */
export interface ClusterLike {
  on(event: 'message', listener: (worker: Worker, message: unknown) => void): unknown
  on(event: 'disconnect', listener: (worker: Worker) => void): unknown
  off(event: 'message', listener: (worker: Worker, message: unknown) => void): unknown
  off(event: 'disconnect', listener: (worker: Worker) => void): unknown
}

/** What is needed of `process` in a worker. */
export interface WorkerChannel {
  readonly connected: boolean
  send?(message: object, told: () => void): unknown
  on(event: 'message', listener: (message: unknown) => void): unknown
  off(event: 'message', listener: (message: unknown) => void): unknown
}

/** The metrics of all workers, in the primary. */
export interface ClusterMetrics {
  /** The text of all of them together; nobody is asked. */
  text(format?: Format): string
  /** Hears no more. */
  close(): void
}

/** How the primary adds up. */
export interface ClusterSettings {
  /** How gauges of other makers become one, by name; what is not here adds up, or does what it says itself. */
  readonly aggregates?: Readonly<Record<string, Aggregate>>
  /**
   * Metrics of the primary itself. They are read as often as workers tell theirs, and added up with those as if it were one
   * of them, which it is not in `metrics_workers`. Default: it has none.
   */
  readonly registry?: RegistryLike
}

/** Call it in the primary before workers are forked. */
export function collectCluster(
  cluster: ClusterLike,
  clock: Pick<Clock, 'nowMs' | 'schedule'>,
  { aggregates = {}, registry }: ClusterSettings = {},
): ClusterMetrics {
  const totals = new WorkerTotals({
    staleAfterMs: MISSED_TURNS * TELL_MS,
    maxRetired: MAX_RETIRED,
    aggregates,
  })
  const text = (format: Format = 'text') => totals.text(format, clock.nowMs())
  const hear = (worker: Worker, message: unknown): void => {
    const { kind, snapshot, format, id } = Object(message) as Partial<Told & Asked>
    if (kind === SNAPSHOT && snapshot !== undefined) totals.hear(worker.id, snapshot, clock.nowMs())
    // Whoever has left meanwhile needs no answer.
    if (kind === READ && worker.isConnected()) worker.send({ kind: TEXT, id, text: text(format) }, () => {})
  }
  const retire = (worker: Worker): void => totals.retire(worker.id)
  cluster.on('message', hear)
  // By then everything that was told has been heard; when it exits, that need not be so.
  cluster.on('disconnect', retire)
  const endOwn =
    registry === undefined ? () => {} : readOften(registry, clock, (snapshot) => totals.hearPrimary(snapshot))
  return {
    text,
    close() {
      endOwn()
      cluster.off('message', hear)
      cluster.off('disconnect', retire)
    },
  }
}

/** Reads a registry now and every `TELL_MS`, until the function it answers is called. */
function readOften(
  registry: RegistryLike,
  clock: Pick<Clock, 'schedule'>,
  heard: (snapshot: WorkerSnapshot) => void,
): () => void {
  const writer = new SnapshotWriter((promise) => within(promise, COLLECT_MS, clock))
  let cancel = () => {}
  let closed = false
  const read = async (): Promise<void> => {
    heard(await writer.next(registry.getMetricsAsArray() as readonly MetricLike[]))
    if (!closed) cancel = clock.schedule(TELL_MS, read)
  }
  read()
  return () => {
    closed = true
    cancel()
  }
}

interface Told {
  readonly kind: typeof SNAPSHOT
  readonly snapshot: WorkerSnapshot
}

interface Asked {
  readonly kind: typeof READ
  readonly id: number
  readonly format: Format
}

/** A worker's side. */
export class ClusterWorker {
  readonly #channel: WorkerChannel
  readonly #registry: RegistryLike
  readonly #clock: Clock
  readonly #writer: SnapshotWriter
  readonly #asked = new Map<number, (text: string) => void>()
  readonly #heard = (message: unknown): void => {
    const { kind, id, text } = Object(message) as { kind?: unknown; id?: number; text?: string }
    if (kind === TEXT && id !== undefined && text !== undefined) this.#asked.get(id)?.(text)
  }
  #telling = Promise.resolve()
  #cancel = () => {}
  #ids = 0
  #closed = false

  /** `unread` is told the name of a metric that could not be read. */
  constructor(
    channel: WorkerChannel,
    registry: RegistryLike,
    clock: Clock,
    unread: (metric: string) => void = () => {},
  ) {
    this.#channel = channel
    this.#registry = registry
    this.#clock = clock
    this.#writer = new SnapshotWriter((promise) => within(promise, COLLECT_MS, clock), unread)
    channel.on('message', this.#heard)
    this.#later()
  }

  /** Tells the primary now; one after the other, or the numbers of before could come last. */
  tell(): Promise<void> {
    const tell = () => this.#tell()
    this.#telling = this.#telling.then(tell, tell)
    return this.#telling
  }

  async #tell(): Promise<void> {
    const metrics = this.#registry.getMetricsAsArray() as readonly MetricLike[]
    const snapshot = await this.#writer.next(metrics, defaultLabelsOf(this.#registry))
    this.#send({ kind: SNAPSHOT, snapshot })
  }

  /** What the primary knows, ours included as it is now; rejects when it does not answer within `ANSWER_MS`. */
  async read(format: Format): Promise<string> {
    await this.tell()
    this.#ids += 1
    const id = this.#ids
    try {
      const answered = new Promise<string>((resolve) => this.#asked.set(id, resolve))
      this.#send({ kind: READ, id, format })
      return await within(answered, ANSWER_MS, this.#clock)
    } catch {
      // What this worker alone has counted would look as if everything had begun anew.
      throw withRetryAfter(new PrimarySilentError(ANSWER_MS), TELL_MS)
    } finally {
      this.#asked.delete(id)
    }
  }

  /** Tells once more, and then no more. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancel()
    await this.tell()
    this.#channel.off('message', this.#heard)
  }

  #later(): void {
    this.#cancel = this.#clock.schedule(TELL_MS, () => {
      this.tell().then(() => {
        if (!this.#closed) this.#later()
      })
    })
  }

  #send(message: object): void {
    // A primary that has gone ends its workers; until then, they serve.
    if (this.#channel.connected) this.#channel.send?.(message, () => {})
  }
}
