// Alerts on what the log says: Loki's language is read by the parser that Grafana publishes, and the lines are those of a
// service that ends.

import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { parser } from '@grafana/lezer-logql'
import { startPostgres, waitUntil } from '@holdfast/test-kit'
import { Client } from 'pg'
import t from 'tap'
import { LOG_ALERTS, STREAM } from '../deploy/loki/log-alerts.ts'
import { demoDatabase } from './fresh-database.ts'
import { ServiceProcess, scratchDirectory } from './service-process.ts'

t.setTimeout(120_000)

const file = (path: string) => readFileSync(new URL(`../deploy/${path}`, import.meta.url), 'utf8')
const [drainCut] = LOG_ALERTS

/** The names of what LogQL makes of an expression; ⚠ is what it cannot read. */
function partsOf(expression: string): ReadonlySet<string> {
  const parts = new Set<string>()
  parser.parse(expression).iterate({ enter: ({ name }) => void parts.add(name) })
  return parts
}

t.test('LogQL can read each of them, and would say where it cannot', async (t) => {
  t.ok(LOG_ALERTS.length > 0)
  for (const { name, expression } of LOG_ALERTS) {
    const parts = partsOf(expression)
    t.notOk(parts.has('⚠'), `${name}: ${[...parts].join(' ')}`)
    for (const part of ['Selector', 'LineFilter', 'CountOverTime']) t.ok(parts.has(part), part)
    t.ok(partsOf(expression.replace('count_over_time(', 'count_over_time')).has('⚠'))
  }
})

t.test('the stream is what both shippers call the service', async (t) => {
  const [, service = ''] = /^\{service="([\w-]+)"\}$/.exec(STREAM) ?? []
  t.match(file('vector/vector.yaml'), `\n      service: ${service}\n`)
  t.match(file('fluent-bit/fluent-bit.yaml'), `labels: service=${service}\n`)
})

t.test('HoldfastDrainCut finds the last line of who left something behind, and of nobody else', async (t) => {
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  const DATABASE_URL = await demoDatabase(postgres.directUrl)
  const start = () =>
    ServiceProcess.start(t, {
      DATABASE_URL,
      DATA_DIRECTORY: scratchDirectory(t),
      SHUTDOWN_REQUESTS: '100ms',
    })

  const inOrder = await start()
  t.strictSame(await inOrder.stop(), { code: 0, signal: null })
  t.strictSame(found(inOrder.stdout), [])

  const service = await start()
  const sql = new Client(DATABASE_URL)
  await sql.connect()
  // Whoever stores an event waits for longer than the way down.
  await sql.query('begin')
  await sql.query('lock table theme_preview_events in access exclusive mode')
  const history = await fetch(`${service.url}/acme/api/theme/history?limit=1`)
  const { items } = (await history.json()) as { items: { version: string }[] }
  const asked = fetch(`${service.url}/acme/api/theme/preview-events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      event_id: randomUUID(),
      theme_version: items[0]?.version,
      viewport: 'desktop',
    }),
  }).then(
    (answer) => answer.body?.cancel(),
    () => undefined,
  )
  await waitUntil(async () => {
    const { rows } = await sql.query("select from pg_locks where not granted and locktype = 'relation'")
    return rows.length > 0
  })
  t.strictSame(await service.stop(), { code: 1, signal: null })
  await asked
  await sql.end()
  const [line, ...more] = found(service.stdout)
  t.strictSame(more, [])
  t.match(line, { msg: 'closed', exitCode: 1, held: [/^request POST /] })
})

/** The lines that the expression counts. */
function found(log: string) {
  const [, word = ''] =
    /\|= `([^`]+)` \| json left="held\[0\]" \| left != ""/.exec(drainCut?.expression ?? '') ?? []
  t.not(word, '')
  return log
    .split('\n')
    .filter((line) => line.startsWith('{') && line.includes(word))
    .map((line) => JSON.parse(line))
    .filter(({ held: [left = ''] = [] }) => left !== '')
}
