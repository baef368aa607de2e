// Processes of the service on one database and one Redis, and what they tell of their limits.

import { waitUntil } from '@holdfast/test-kit'
import type { Test } from 'tap'
import { BotClient } from './bot-client.ts'
import { startProcessFleet, TOKEN } from './process-fleet.ts'
import type { ServiceProcess } from './service-process.ts'

/** What `/health/check` tells of limits. */
export interface ToldLimits {
  readonly policies: { readonly version: number; readonly overrides: Readonly<Record<string, unknown>> }
  readonly limiter: {
    readonly storeFailures: number
    readonly processes: number
    readonly decisions: Readonly<Record<string, number>>
    readonly leases?: { readonly lentUnits: number; readonly spentUnits: number }
    readonly policies: Readonly<Record<string, { readonly allowed: number; readonly denied: number }>>
  }
}

/** What `/admin/limits` answers. */
export interface LimitsAnswer {
  readonly status: number
  readonly headers: Headers
  readonly body: Readonly<Record<string, unknown>>
}

/** Starts what they need; all of it ends with the test. */
export async function startLimitedFleet(t: Test, environment: Readonly<Record<string, string>>) {
  const { postgres, redis, start } = await startProcessFleet(t, environment)
  const authorization = { authorization: `Bearer ${TOKEN}` }
  const toldBy = async ({ url }: ServiceProcess): Promise<ToldLimits> => {
    const answer = await fetch(`${url}/health/check`, { headers: authorization })
    const { reports } = (await answer.json()) as { reports: { limits: ToldLimits } }
    return reports.limits
  }
  return {
    redis,
    start,
    toldBy,
    as: ({ url }: ServiceProcess, user: string) =>
      new BotClient({ url, databaseUrl: postgres.directUrl }, user),
    /** Waits until these processes have found each other in Redis. */
    together: async (...services: readonly ServiceProcess[]) => {
      for (const service of services) {
        await waitUntil(async () => (await toldBy(service)).limiter.processes === services.length, {
          timeoutMs: 60_000,
          what: 'the processes to find each other',
        })
      }
    },
    limits: async (
      { url }: ServiceProcess,
      method = 'GET',
      change?: unknown,
      headers: Readonly<Record<string, string>> = authorization,
    ): Promise<LimitsAnswer> => {
      const body = change === undefined ? {} : { body: JSON.stringify(change) }
      const type = change === undefined ? {} : { 'content-type': 'application/json' }
      const answer = await fetch(`${url}/admin/limits`, { method, headers: { ...headers, ...type }, ...body })
      return {
        status: answer.status,
        headers: answer.headers,
        body: (await answer.json()) as LimitsAnswer['body'],
      }
    },
  }
}
