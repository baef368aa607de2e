import { type Labelled, type MetricsRegistry, SharedMetrics } from '@holdfast/footing'
import { Counter, Gauge, type Registry } from 'prom-client'
import type { FleetSnapshot } from './fleet.ts'
import type { LastKnownGoodSnapshot } from './last-known-good.ts'
import { checks } from './options.ts'
import type { RepresentationSenderSnapshot } from './send-representation.ts'
import type { StaleCacheSnapshot } from './stale-cache-snapshot.ts'

/** What one instance shows: its caches, and the answers of `reply.sendRepresentation`. */
export interface Shown {
  readonly caches: readonly StaleCacheSnapshot[]
  readonly sender: RepresentationSenderSnapshot
}

type NumberField<T> = { [F in keyof T]: T[F] extends number ? F : never }[keyof T] & string

/** Reads, by what they were answered with. Label `source`. */
const sources = ['fresh', 'stale', 'snapshot', 'default', 'missing', 'awaited'] as const

interface Described {
  readonly name: string
  readonly help: string
  readonly read: (snapshot: StaleCacheSnapshot) => number
}

/** Counted over the life of the process. Label `cache`. */
const counters: readonly Described[] = [
  { name: 'cache_hits_total', help: 'Reads answered with a value that was held', read: hitsOf },
  {
    name: 'cache_misses_total',
    help: 'Reads answered with a default, with nothing, or after a load',
    read: missesOf,
  },
  {
    name: 'cache_shared_messages_total',
    help: 'Messages of other processes',
    read: ({ fleet }) => fleet?.messages ?? 0,
  },
  { name: 'cache_loads_total', help: 'Calls of load', read: field('loads') },
  { name: 'cache_loads_failed_total', help: 'Calls of load that rejected', read: field('loadsFailed') },
  {
    name: 'cache_loads_given_up_total',
    help: 'Calls of load that had not settled at maxLoadMs',
    read: field('loadsGivenUp'),
  },
  {
    name: 'cache_keys_dropped_total',
    help: 'Never-seen keys dropped because maxQueuedKeys were waiting',
    read: field('keysDropped'),
  },
  { name: 'cache_keys_refused_total', help: 'Reads of keys that cannot exist', read: field('keysRefused') },
  {
    name: 'cache_evictions_total',
    help: 'Values that left because of maxEntries or maxBytes',
    read: field('evicted'),
  },
  {
    name: 'cache_snapshots_ignored_total',
    help: 'Last-known-good files that could not be trusted',
    read: file('ignored'),
  },
  { name: 'cache_snapshot_writes_total', help: 'Last-known-good files written', read: file('writes') },
  {
    name: 'cache_snapshot_write_failures_total',
    help: 'Last-known-good files that could not be written',
    read: file('writesFailed'),
  },
]

/** Keys that loads have dealt with. Label `outcome`. */
const outcomes = [
  ['stored', 'keysLoaded'],
  ['missing', 'keysMissing'],
  ['kept', 'keysKept'],
  ['failed', 'keysFailed'],
] as const

/** The state at the moment of the scrape. Label `cache`. */
const gauges: readonly Described[] = [
  { name: 'cache_entries', help: 'Values held', read: field('entries') },
  {
    name: 'cache_bytes',
    help: 'Memory held by values and their representations, as estimated',
    read: field('bytes'),
  },
  {
    name: 'cache_negative_entries',
    help: 'Keys remembered as unknown or failing',
    read: field('negativeEntries'),
  },
  {
    name: 'cache_shared_waiting',
    help: 'Values and invalidations that wait for Redis',
    read: ({ fleet }) => fleet?.waiting ?? 0,
  },
  {
    name: 'cache_shared_listening',
    help: 'Whether messages of other processes arrive',
    read: ({ fleet }) => (fleet?.listening === true ? 1 : 0),
  },
  { name: 'cache_queued_keys', help: 'Keys that wait for the next background load', read: field('queued') },
  { name: 'cache_loads_running', help: 'Calls of load that have not settled', read: field('loadsRunning') },
  {
    name: 'cache_snapshot_bytes',
    help: 'Size of the last-known-good file written last',
    read: file('bytesWritten'),
  },
]

/** What becomes of the second level. Each with its label and the values of that. */
const shared: readonly {
  readonly name: string
  readonly help: string
  readonly label: string
  readonly values: readonly (readonly [string, NumberField<FleetSnapshot>])[]
}[] = [
  {
    name: 'cache_shared_keys_total',
    help: 'Keys wanted with a second level, by who brought them',
    label: 'outcome',
    values: [
      ['hit', 'hits'],
      ['led', 'led'],
      ['followed', 'followed'],
      ['failed_elsewhere', 'failedElsewhere'],
      ['direct', 'direct'],
    ],
  },
  {
    name: 'cache_shared_writes_total',
    help: 'Values and invalidations for Redis',
    label: 'outcome',
    values: [
      ['written', 'written'],
      ['fenced', 'fenced'],
      ['unshared', 'unshared'],
      ['dropped', 'dropped'],
    ],
  },
  {
    name: 'cache_shared_faults_total',
    help: 'What went wrong with the second level',
    label: 'fault',
    values: [
      ['call_failed', 'callsFailed'],
      ['damaged', 'damaged'],
      ['message_refused', 'messagesRefused'],
      ['lease_lost', 'leasesLost'],
      ['gap', 'gaps'],
    ],
  },
]

/**
 * Read from snapshots when Prometheus scrapes; no read of a cache pays for them. The names of caches and `appName`
 * are the only labels whose values an application chooses; keys never become labels.
 */
export const sharedMetrics = new SharedMetrics<Shown>({
  label: 'app',
  option: 'appName',
  checks,
  metric: 'cache_hits_total',
  describe,
})

function describe(given: MetricsRegistry, shown: () => readonly Labelled<Shown>[]): void {
  // A prom-client registry by another name: the options do not say so, lest their types need prom-client.
  const registers = [given as unknown as Registry]
  const caches = () =>
    shown().flatMap(({ labels, snapshot }) =>
      snapshot.caches.map((cache) => ({ labels: { ...labels, cache: cache.name }, cache })),
    )
  for (const { name, help, read } of counters) {
    new Counter({
      name,
      help,
      labelNames: ['app', 'cache'],
      registers,
      collect() {
        this.reset()
        for (const { labels, cache } of caches()) this.inc(labels, read(cache))
      },
    })
  }
  for (const { name, help, read } of gauges) {
    new Gauge({
      name,
      help,
      labelNames: ['app', 'cache'],
      registers,
      collect() {
        this.reset()
        for (const { labels, cache } of caches()) this.set(labels, read(cache))
      },
    })
  }
  for (const { name, help, label, values } of shared) {
    new Counter({
      name,
      help,
      labelNames: ['app', 'cache', label],
      registers,
      collect() {
        this.reset()
        for (const { labels, cache } of caches()) {
          if (cache.fleet === undefined) continue
          for (const [value, field] of values) this.inc({ ...labels, [label]: value }, cache.fleet[field])
        }
      },
    })
  }
  new Counter({
    name: 'cache_reads_total',
    help: 'Reads, by what they were answered with',
    labelNames: ['app', 'cache', 'source'],
    registers,
    collect() {
      this.reset()
      for (const { labels, cache } of caches()) {
        for (const source of sources) this.inc({ ...labels, source }, cache[source])
      }
    },
  })
  new Counter({
    name: 'cache_loaded_keys_total',
    help: 'Keys that loads have dealt with, by outcome',
    labelNames: ['app', 'cache', 'outcome'],
    registers,
    collect() {
      this.reset()
      for (const { labels, cache } of caches()) {
        for (const [outcome, name] of outcomes) this.inc({ ...labels, outcome }, cache[name])
      }
    },
  })
  new Counter({
    name: 'cache_set_cookies_removed_total',
    help: 'Public answers from which a Set-Cookie was removed',
    labelNames: ['app'],
    registers,
    collect() {
      this.reset()
      for (const { labels, snapshot } of shown()) this.inc(labels, snapshot.sender.setCookiesRemoved)
    },
  })
}

function field(name: NumberField<StaleCacheSnapshot>) {
  return (snapshot: StaleCacheSnapshot) => snapshot[name]
}

function file(name: NumberField<LastKnownGoodSnapshot>) {
  return (snapshot: StaleCacheSnapshot) => snapshot.file?.[name] ?? 0
}

function hitsOf({ fresh, stale, snapshot }: StaleCacheSnapshot): number {
  return fresh + stale + snapshot
}

function missesOf({ default: defaults, missing, awaited }: StaleCacheSnapshot): number {
  return defaults + missing + awaited
}
