import { type Labelled, type MetricsRegistry, SharedMetrics } from '@holdfast/footing'
import { Counter, Gauge, type Registry } from 'prom-client'
import { checks } from './options.ts'
import type { RedisSessionSnapshot } from './plugin.ts'

/**
 * Read from a snapshot when Prometheus scrapes; no request pays for them. Every label has a fixed, small set of
 * values; neither users nor sessions ever become labels.
 */
export const sharedMetrics = new SharedMetrics<RedisSessionSnapshot>({
  label: 'app',
  option: 'appName',
  checks,
  metric: 'holdfast_redis_session_events_total',
  describe,
})

function describe(given: MetricsRegistry, shown: () => readonly Labelled<RedisSessionSnapshot>[]): void {
  // A prom-client registry by another name: the options do not say so, lest their types need prom-client.
  const registers = [given as unknown as Registry]
  new Counter<string>({
    name: 'holdfast_redis_session_events_total',
    help: 'What happened to sessions in this process',
    labelNames: ['app', 'event'],
    registers,
    collect() {
      this.reset()
      for (const { labels, snapshot } of shown()) {
        for (const [event, count] of Object.entries(snapshot.counts)) {
          this.inc(
            { ...labels, event: event.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) },
            count,
          )
        }
      }
    },
  })
  new Gauge<string>({
    name: 'holdfast_redis_session_available',
    help: 'Whether the store of sessions can be asked: 1 or 0',
    labelNames: ['app'],
    registers,
    collect() {
      this.reset()
      for (const { labels, snapshot } of shown()) this.set(labels, snapshot.available ? 1 : 0)
    },
  })
  new Gauge<string>({
    name: 'holdfast_redis_session_outage',
    help: 'Whether this process finds Redis not usable, so that sessions are believed: 1 or 0',
    labelNames: ['app'],
    registers,
    collect() {
      this.reset()
      for (const { labels, snapshot } of shown()) this.set(labels, snapshot.outage ? 1 : 0)
    },
  })
  new Gauge<string>({
    name: 'holdfast_redis_session_untold',
    help: 'Ends of sessions that were noted while Redis was away and that it was not told of yet',
    labelNames: ['app'],
    registers,
    collect() {
      this.reset()
      for (const { labels, snapshot } of shown()) this.set(labels, snapshot.untold)
    },
  })
}
