import { type Labelled, type MetricsRegistry, SharedMetrics } from '@holdfast/footing'
import { Counter, type Registry } from 'prom-client'
import type { LogsSnapshot } from './logs.ts'
import { checks } from './options.ts'

/** Read from a snapshot when Prometheus scrapes; no line pays for it. */
export const sharedMetrics = new SharedMetrics<LogsSnapshot>({
  label: 'app',
  option: 'appName',
  checks,
  metric: 'holdfast_logging_lines_total',
  describe,
})

const NAMES: Readonly<Record<string, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
}

function describe(given: MetricsRegistry, shown: () => readonly Labelled<LogsSnapshot>[]): void {
  // A prom-client registry by another name: the options do not say so, lest their types need prom-client.
  const registers = [given as unknown as Registry]
  new Counter({
    name: 'holdfast_logging_lines_total',
    help: 'Lines that were written, by level',
    labelNames: ['app', 'level'],
    registers,
    collect() {
      this.reset()
      for (const { labels, snapshot } of shown()) {
        for (const [number, count] of Object.entries(snapshot.lines)) {
          this.inc({ ...labels, level: NAMES[number] ?? 'other' }, count)
        }
      }
    },
  })
  new Counter({
    name: 'holdfast_logging_events_total',
    help: 'Events that were told, by type',
    labelNames: ['app', 'type'],
    registers,
    collect() {
      this.reset()
      for (const { labels, snapshot } of shown()) {
        for (const [type, count] of Object.entries(snapshot.events)) this.inc({ ...labels, type }, count)
      }
    },
  })
  new Counter({
    name: 'holdfast_logging_unsampled_total',
    help: 'Lines of requests that went well and were left out',
    labelNames: ['app'],
    registers,
    collect() {
      this.reset()
      for (const { labels, snapshot } of shown()) this.inc(labels, snapshot.unsampled)
    },
  })
  new Counter({
    name: 'holdfast_logging_unread_left_out_total',
    help: 'Lines of what could not be read that were left out, of a flood of it',
    labelNames: ['app'],
    registers,
    collect() {
      this.reset()
      for (const { labels, snapshot } of shown()) this.inc(labels, snapshot.unreadLeftOut)
    },
  })
  new Counter({
    name: 'holdfast_logging_dropped_total',
    help: 'Lines that were lost because nobody read them fast enough or they could not be written',
    labelNames: ['app'],
    registers,
    collect() {
      this.reset()
      for (const { labels, snapshot } of shown()) this.inc(labels, snapshot.dropped)
    },
  })
}
