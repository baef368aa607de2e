// When nobody breaks anything any more: whether all is well again, and everything is done that was begun.

import type { PoolGuard } from '@holdfast/pool-guard'
import { waitUntil } from '@holdfast/test-kit'
import { readingOf } from '../worker-fleet.ts'
import type { Member } from './member.ts'

type Queries = Pick<PoolGuard, 'query'>

/** A breaker stays open so long, and a job that was lost with its process waits for the end of its heartbeat, and more. */
const PATIENCE_MS = 90_000
const LOOK_MS = 250

/** Resolves when nothing is left to be settled, run or told; rejects with what is left. */
export async function untilDone(sql: Queries): Promise<void> {
  let left: readonly string[] = []
  await untilTrue(
    async () => {
      left = await undone(sql)
      return left.length === 0
    },
    () => `left to be done: ${left.join(', ')}`,
  )
}

/**
 * Resolves when each says that it is ready and well, and has no breaker open and no jobs left, with what was wrong last;
 * rejects with what is wrong.
 */
export async function untilWell(members: readonly Member[]): Promise<readonly string[]> {
  let last: readonly string[] = []
  await untilTrue(
    async () => {
      const wrong = (await Promise.all(members.map(complaintsOf))).flat()
      if (wrong.length > 0) last = wrong
      return wrong.length === 0
    },
    () => `not well: ${last.join(', ')}`,
  )
  return last
}

async function untilTrue(condition: () => Promise<boolean>, why: () => string): Promise<void> {
  await waitUntil(condition, { timeoutMs: PATIENCE_MS, intervalMs: LOOK_MS }).catch((cause: unknown) => {
    throw new Error(`${why()} after ${PATIENCE_MS} ms`, { cause })
  })
}

async function undone(sql: Queries): Promise<readonly string[]> {
  const { rows } = await sql.query<{ what: string; count: string }>(
    `select 'open bets' as what, count(*) from bets where status = 'open'
     union all select format('jobs of %s that are %s', name, state), count(*) from jobs.job_common
       where state <> 'completed' group by name, state
     union all select format('notifications that are %s', status), count(*) from notifications
       where status <> 'sent' group by status`,
  )
  return rows.filter(({ count }) => count !== '0').map(({ what, count }) => `${count} ${what}`)
}

async function complaintsOf({ name, insideUrl }: Member): Promise<readonly string[]> {
  try {
    const ready = await fetch(`${insideUrl}/readyz`)
    await ready.body?.cancel()
    const health = (await (await fetch(`${insideUrl}/health/check`)).json()) as {
      readonly status: string
      readonly checks: Readonly<Record<string, { readonly status: string; readonly reason?: string }>>
    }
    const metrics = await (await fetch(`${insideUrl}/metrics`)).text()
    const ill = Object.entries(health.checks).filter(([, { status }]) => status !== 'healthy')
    return [
      ...(ready.status === 200 ? [] : [`readiness ${ready.status}`]),
      ...(health.status === 'ok' ? [] : [`${health.status}: ${JSON.stringify(ill)}`]),
      ...openBreakers(metrics),
      ...backlog(metrics),
    ].map((complaint) => `${name}: ${complaint}`)
  } catch (error) {
    return [`${name}: ${error}`]
  }
}

/** Where there are none at all, nothing was looked at. */
function openBreakers(metrics: string): readonly string[] {
  const states = [...metrics.matchAll(/^circuit_breaker_state\{(.*)\} (\S+)$/gm)]
  if (states.length === 0) return ['no breaker is told of']
  return states.filter(([, , state]) => state !== '0').map(([line]) => line)
}

function backlog(metrics: string): readonly string[] {
  return ['settle', 'notify'].flatMap((queue) =>
    ['waiting', 'active', 'dead'].flatMap((state) => {
      const jobs = readingOf(metrics, `job_queue_depth{queue="${queue}",state="${state}"}`)
      return jobs === 0 ? [] : [`${jobs} jobs of ${queue} are ${state}`]
    }),
  )
}
