import { type Labelled, type MetricsRegistry, SharedMetrics } from '@holdfast/footing'
import { Counter, type Registry } from 'prom-client'
import type { ErrorPagesSnapshot } from './error-pages.ts'
import { checks } from './options.ts'

/** Read from a snapshot when Prometheus scrapes; no request pays for it. Addresses never become labels. */
export const sharedMetrics = new SharedMetrics<ErrorPagesSnapshot>({
  label: 'app',
  option: 'appName',
  checks,
  metric: 'holdfast_error_pages_answers_total',
  describe,
})

function describe(given: MetricsRegistry, shown: () => readonly Labelled<ErrorPagesSnapshot>[]): void {
  new Counter({
    name: 'holdfast_error_pages_answers_total',
    help: 'Errors that were answered, by form and status',
    labelNames: ['app', 'form', 'status'],
    // A prom-client registry by another name: the options do not say so, lest their types need prom-client.
    registers: [given as unknown as Registry],
    collect() {
      this.reset()
      for (const { labels, snapshot } of shown()) {
        for (const [form, byStatus] of Object.entries(snapshot.answered)) {
          for (const [status, count] of Object.entries(byStatus)) {
            this.inc({ ...labels, form, status }, count)
          }
        }
      }
    },
  })
}
