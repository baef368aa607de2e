import type { Config } from './config.ts'
import { docsEnabled } from './openapi/docs-enabled.ts'
import { dutiesOf } from './process-type.ts'
import { durationText } from './settings/setting.ts'

/** What runs, for the summary. */
export interface Running {
  readonly config: Config
  /** Where the service listens, as a URL that works on this machine. */
  readonly url: string
  readonly managementUrl: string | undefined
  /** Undefined when nothing can be kept. */
  readonly dataDirectory: string | undefined
  /** The database of its own, when it has one: never with its password. */
  readonly ownDatabase:
    | { readonly pid: number; readonly notice: string | undefined; readonly shared: boolean }
    | undefined
  /** Where the passwords of the demo accounts are; undefined: nowhere. */
  readonly demoCredentials: string | undefined
  /** How the first look into the database ended, when that is known. */
  readonly themes: string
  readonly startedInMs: number
}

/** What runs, where, and what to try: one screen for a person. */
export function startSummary(running: Running): string {
  const { config, url, ownDatabase } = running
  const { serves } = dutiesOf(config.processType)
  const facts: [string, string | undefined][] = [
    [
      'service',
      `${url}  (version ${config.appVersion}, ${config.environment}, started in ${running.startedInMs} ms)`,
    ],
    [
      'management',
      running.managementUrl && `${running.managementUrl}  (health details for everyone who reaches it)`,
    ],
    ['docs', serves && docsEnabled(config) ? `${url}/docs` : undefined],
    ['database', databaseText(running)],
    ['', ownDatabase?.notice],
    ['work', workOf(config)],
    [
      'themes',
      serves
        ? `${running.themes}; changes show within ${durationText(config.themeRefreshIntervalMs)}`
        : undefined,
    ],
    ['data', running.dataDirectory],
    ['accounts', running.demoCredentials],
  ]
  const tries = [
    `curl -i ${url}/healthz`,
    ...(serves
      ? [`curl -i ${url}/acme/api/public/load-theme`, `curl -i ${url}/globex/api/public/load-theme`]
      : []),
    `curl -s ${url}/readyz`,
  ]
  const kill = ownDatabase && [
    '',
    'Kill the database and ask again; the themes are still there, and ten seconds later so is the database:',
    `  kill -9 ${ownDatabase.pid}`,
  ]
  return [
    'Holdfast API',
    ...facts
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => `  ${name.padEnd(11)}${value}`),
    '',
    'Try:',
    ...tries.map((line) => `  ${line}`),
    ...(kill ?? []),
    '',
    'Ctrl-C ends everything.',
  ].join('\n')
}

/** What it does besides answering. */
function workOf({ processType, oddsProviderUrl }: Config): string | undefined {
  const { runsBots, fetchesOdds, settlesBets } = dutiesOf(processType)
  const work = [
    runsBots && 'runs bots',
    fetchesOdds && oddsProviderUrl !== undefined && `asks ${oddsProviderUrl} for odds`,
    settlesBets && 'settles bets',
  ].filter((each) => each !== false)
  return work.length === 0 ? undefined : work.join(', ')
}

function databaseText({ config, ownDatabase }: Running): string {
  if (ownDatabase !== undefined)
    return `its own PostgreSQL, process ${ownDatabase.pid} (ends with ${ownDatabase.shared ? 'the service that started it' : 'the service'})`
  const url = URL.parse(config.databaseUrl?.reveal() ?? '')
  return `${url?.host ?? ''}${url?.pathname ?? ''} (DATABASE_URL)`
}
