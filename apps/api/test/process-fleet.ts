// Processes of the service on one PostgreSQL and one Redis.

import { startPostgres, startRedis } from '@holdfast/test-kit'
import type { Test } from 'tap'
import { ServiceProcess, scratchDirectory } from './service-process.ts'

/** The token of `METRICS_TOKEN`. */
export const TOKEN = 'a-token-for-tests-only'

/** Starts what they need; all of it ends with the test. */
export async function startProcessFleet(t: Test, environment: Readonly<Record<string, string>>) {
  const [postgres, redis] = await Promise.all([startPostgres(), startRedis()])
  t.teardown(() => Promise.all([postgres.stop(), redis.stop()]))
  const start = (own: Readonly<Record<string, string>> = {}) =>
    ServiceProcess.start(t, {
      DATABASE_URL: postgres.directUrl,
      REDIS_URL: redis.url,
      DATA_DIRECTORY: scratchDirectory(t),
      METRICS_TOKEN: TOKEN,
      ...environment,
      ...own,
    })
  return { postgres, redis, start }
}
