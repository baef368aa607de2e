// The files that are written from the sources here, by their names.

import { stringify } from 'yaml'
import { dashboard } from '../grafana/dashboard.ts'
import { LOG_ALERTS, type LogAlert } from '../loki/log-alerts.ts'
import type { Alert, Case } from './alert.ts'
import { ALERTS } from './alerts.ts'

const WRITTEN =
  'Written by `pnpm --filter @holdfast/api observability` from deploy/prometheus/*.ts, deploy/loki/*.ts and deploy/grafana/*.ts: change those.'
const RUNBOOK = 'apps/api/deploy/prometheus/RUNBOOK.md'
/** Longer than most alerts have to hold. */
const LOOKED_AT = '20m'

/** What a file holds, by its path from `deploy/`. */
export const FILES: Readonly<Record<string, () => string>> = {
  'prometheus/alerts.yaml': () => yaml({ groups: [{ name: 'holdfast', rules: ALERTS.map(ruleOf) }] }),
  'prometheus/alerts.test.yaml': () =>
    yaml({
      rule_files: ['alerts.yaml'],
      evaluation_interval: '1m',
      tests: ALERTS.flatMap((alert) => [
        testOf(alert, 'fires', alert.fires, true),
        testOf(alert, 'is silent just below', alert.silent, false),
        testOf(alert, 'without data', {}, alert.firesWithoutData === true),
      ]),
    }),
  'loki/alerts.yaml': () => yaml({ groups: [{ name: 'holdfast', rules: LOG_ALERTS.map(ruleOf) }] }),
  'prometheus/RUNBOOK.md': () =>
    `<!-- ${WRITTEN} -->\n# What to do when an alert fires\n\n${[
      ...ALERTS.map((alert) => section(alert, 'promql')),
      ...LOG_ALERTS.map((alert) => section(alert, 'logql')),
    ].join('\n')}`,
  'grafana/holdfast.json': () => `${JSON.stringify(dashboard, null, 2)}\n`,
}

function ruleOf(alert: LogAlert) {
  return {
    alert: alert.name,
    expr: alert.expression,
    for: alert.for,
    labels: { severity: alert.severity },
    annotations: annotationsOf(alert),
  }
}

function annotationsOf({ name, summary }: LogAlert) {
  return { summary, runbook_url: `${RUNBOOK}#${name.toLowerCase()}` }
}

function testOf(alert: Alert, what: string, given: Case, fires: boolean) {
  const { name, severity, labels = {}, lookedAt = LOOKED_AT } = alert
  return {
    name: `${name} ${what}`,
    interval: '1m',
    input_series: Object.entries(given).map(([series, values]) => ({ series, values })),
    alert_rule_test: [
      {
        eval_time: lookedAt,
        alertname: name,
        exp_alerts: fires
          ? [{ exp_labels: { severity, ...labels }, exp_annotations: annotationsOf(alert) }]
          : [],
      },
    ],
  }
}

function section(
  { name, summary, severity, expression, for: holds, steps }: LogAlert,
  language: string,
): string {
  const list = steps.map((step, at) => `${at + 1}. ${step}`).join('\n')
  return `## ${name}\n\n${summary} (${severity})\n\n\`\`\`${language}\n${expression}\n\`\`\`\n\nfor ${holds}\n\n${list}\n`
}

function yaml(document: object): string {
  return `# ${WRITTEN}\n${stringify(document, { lineWidth: 0, aliasDuplicateObjects: false })}`
}
