// Alerts that no scrape would see, because a process that ends is not scraped any more: its last line has it. They are
// for the ruler of Loki, to which deploy/vector and deploy/fluent-bit bring the log.

import type { Alert } from '../prometheus/alert.ts'

/** One alert on lines of the log; `expression` is LogQL. */
export type LogAlert = Pick<Alert, 'name' | 'expression' | 'for' | 'severity' | 'summary' | 'steps'>

/** What both shippers call the service. */
export const STREAM = '{service="holdfast-api"}'

/** All of them. */
export const LOG_ALERTS: readonly LogAlert[] = [
  {
    name: 'HoldfastDrainCut',
    // The line has a list of what was not over. It is named once: most lines have no such word, and are not read as JSON.
    expression: `sum(count_over_time(${STREAM} |= \`"held"\` | json left="held[0]" | left != "" [10m])) > 0`,
    for: '0m',
    severity: 'ticket',
    summary:
      'An instance has ended with requests, or steps of its way down, that were not over in their time.',
    steps: [
      'The line, `closed` or `ending at once`, names them in `held`. The exit code of the process was 1.',
      'A request: which route takes longer than `SHUTDOWN_REQUESTS`? Make it answer to its abort signal, or give it more time, and the cluster, too.',
      'A step: what it closes did not answer in time. Was a dependency away?',
      'A process that was killed says nothing at all: an exit code of 137, and no line `closed`, is a cluster that gives less time than `SHUTDOWN_GRACE` says.',
    ],
  },
]
