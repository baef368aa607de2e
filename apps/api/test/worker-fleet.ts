// The service with several workers, and what its operators see of them.

import { startPostgres, startRedis, waitUntil } from '@holdfast/test-kit'
import type { Test } from 'tap'
import { freshDatabase } from './fresh-database.ts'
import { ServiceProcess, scratchDirectory } from './service-process.ts'

/** The token of `METRICS_TOKEN`. */
export const TOKEN = 'a-token-for-tests-only'

/** Starts it, on a database and a Redis of its own, and waits until all serve. */
export async function startWorkers(
  t: Test,
  workers: number,
  environment: Readonly<Record<string, string>> = {},
): Promise<ServiceProcess> {
  const [postgres, redis] = await Promise.all([startPostgres(), startRedis({ args: ['--appendonly', 'no'] })])
  t.teardown(() => Promise.all([postgres.stop(), redis.stop()]))
  const service = await ServiceProcess.start(t, {
    API_WORKERS: String(workers),
    MANAGEMENT_PORT: '0',
    ENABLE_METRICS: 'true',
    METRICS_TOKEN: TOKEN,
    DATABASE_URL: await freshDatabase(postgres.directUrl),
    REDIS_URL: redis.directUrl,
    DATA_DIRECTORY: scratchDirectory(t),
    ...environment,
  })
  await waitUntil(() => pidsOf(service).length === workers, { timeoutMs: 60_000, what: 'all workers' })
  return service
}

/** The workers that serve, by what the primary has said last. */
export function pidsOf({ stdout }: ServiceProcess): readonly number[] {
  const lists = [...stdout.matchAll(/"(?:workers|pids)":\[([\d,]+)\]/g)].at(-1)?.[1]
  return lists === undefined ? [] : lists.split(',').map(Number)
}

/** All workers that have said anything, in the order in which they began. */
export function workerPids({ stdout }: ServiceProcess): readonly number[] {
  return [...new Set([...stdout.matchAll(/"worker":\d+,"pid":(\d+)/g)].map(([, pid]) => Number(pid)))]
}

/** The metrics of the management port. */
export async function scrape({ managementUrl }: ServiceProcess): Promise<string> {
  const answer = await fetch(`${managementUrl}/metrics`)
  return answer.text()
}

/** The value of one series, or undefined. */
export function readingOf(text: string, series: string): number | undefined {
  const line = text.split('\n').find((each) => each.startsWith(`${series} `))
  return line === undefined ? undefined : Number(line.slice(series.length))
}

/** What only grows, by series. */
export function growing(text: string): ReadonlyMap<string, number> {
  const names = new Set<string>()
  for (const [, name = '', type] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
    if (type === 'counter') names.add(name)
    if (type === 'histogram') for (const part of ['bucket', 'sum', 'count']) names.add(`${name}_${part}`)
  }
  const values = new Map<string, number>()
  for (const [, series = '', value] of text.matchAll(/^([^#\s].*) (\S+)$/gm)) {
    if (names.has(series.split('{', 1)[0] ?? '')) values.set(series, Number(value))
  }
  return values
}
