// Three processes of the service that share a Redis, and the questions that they ask the database.

import { countStatements, startPostgres, startRedis, waitUntil } from '@holdfast/test-kit'
import type { Test } from 'tap'
import { testPool } from './fresh-database.ts'
import { brandOf, ServiceProcess, scratchDirectory } from './service-process.ts'

const TOKEN = 'a-token-for-tests-only'

/** How often a process has asked the database for all processes. */
export async function sweepsOf(url: string): Promise<number> {
  const answer = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${TOKEN}` } })
  const found = /cache_shared_keys_total\{cache="theme-index",outcome="led"\} (\d+)/.exec(await answer.text())
  return Number(found?.[1] ?? 0)
}

/** Starts them, with what they need; all of it ends with the test. */
export async function startFleet(t: Test, intervalMs: number) {
  const [postgres, redis] = await Promise.all([startPostgres(), startRedis({ args: ['--appendonly', 'no'] })])
  t.teardown(() => Promise.all([postgres.stop(), redis.stop()]))
  const count = countStatements(postgres.proxy)
  const environment = {
    DATABASE_URL: postgres.url,
    REDIS_URL: redis.url,
    THEME_REFRESH_INTERVAL: `${intervalMs}ms`,
    ENABLE_METRICS: 'true',
    METRICS_TOKEN: TOKEN,
  }
  const start = () => ServiceProcess.start(t, { ...environment, DATA_DIRECTORY: scratchDirectory(t) })
  const services = [await start(), ...(await Promise.all([start(), start()]))]
  const sql = testPool(postgres.directUrl, 1)
  t.teardown(() => sql.end())
  /** Whether every process answers with this brand. */
  const every = (brand: string) => async () => {
    const brands = await Promise.all(services.map(({ url }) => brandOf(url, 'acme')))
    return brands.every((shown) => shown === brand)
  }
  await waitUntil(every('Acme Markets'))
  return {
    postgres,
    redis,
    environment,
    services,
    every,
    start,
    setBrand: (brand: string) =>
      sql.query(`update themes set theme = jsonb_build_object('brand_name', $1::text) where slug = 'acme'`, [
        brand,
      ]),
    reset: () => count.reset(),
    /** Looks at all themes since the reset, and loads of some. */
    looks: () => count.texts.filter((text) => text.includes('hashtextextended')).length,
    loads: () => count.texts.filter((text) => text.includes('any(')).length,
  }
}
