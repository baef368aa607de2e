// The list of all metrics, for those who read it, and for the compiler.

import type { Described } from './described.ts'

const BOUNDS = `Labels have few values by construction. Those that strangers could fill have a number of places, and \`other\` for what comes after: \`route\` 500 (with \`unmatched\` for paths that there are not), \`tenant\` 100 (of tenants that exist), \`component\` and \`code\` 50. A metric has at most 2000 series. Prometheus adds \`job\` and \`instance\`; histograms have \`le\`.`

/** As a page. */
export function tableOf(metrics: Readonly<Record<string, Described>>, written: string): string {
  const rows = Object.entries(metrics).map(([name, { type, unit, labels, help }]) => [
    `\`${name}\``,
    type,
    unit,
    labels.map((label) => `\`${label}\``).join(', '),
    help.replaceAll('|', '\\|'),
  ])
  return [
    `<!-- ${written} -->`,
    '# Metrics of the service',
    '',
    `All ${rows.length} of them, with Redis, several workers and everything else switched on; \`GET /metrics\` has them. ${BOUNDS}`,
    '',
    ...aligned(['name', 'type', 'unit', 'labels', 'meaning'], rows),
    '',
  ].join('\n')
}

/** The lines of a table, as `pnpm docs` writes them. */
function aligned(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const widths = head.map((title, at) => Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)))
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' | ')} |`
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)]
}

/** As a module. */
export function moduleOf(metrics: Readonly<Record<string, Described>>, written: string): string {
  const lines = Object.entries(metrics).map(([name, { type, labels }]) => {
    const listed = labels.map((label) => `'${label}'`).join(', ')
    return `  ${name}: { type: '${type}', labels: [${listed}] },`
  })
  return `// ${written}\n\n/** Every metric of the service. */\nexport const METRICS = {\n${lines.join('\n')}\n} as const\n`
}
