// Many people sign in with their passwords at once: what that takes of the pool.

import { addressOf } from './crowd-requests.ts'
import type { DemoAccount } from './demo-population.ts'
import { PASSWORD, SIGNING_IN } from './demo-population.ts'
import { scrape, sumOf } from './service-gauges.ts'

/** What came of it. */
export interface BurstReport {
  readonly asked: number
  readonly signedIn: number
  /** Told when to come back: the line of passwords was full. */
  readonly refused: number
  /** Any other answer, by its status. */
  readonly others: readonly number[]
  /** Connections that the pool had open at the most, in use and idle: a sample of what is in use misses what is short. */
  readonly mostOpen: number
}

const LOOK_MS = 100

export async function signInBurst(url: string, accounts: readonly DemoAccount[]): Promise<BurstReport> {
  let mostOpen = 0
  const look = async () => {
    const found = (await scrape(url)) ?? new Map()
    const open = sumOf(found, 'db_active_connections') + sumOf(found, 'holdfast_pool_guard_idle_connections')
    mostOpen = Math.max(mostOpen, open)
  }
  const looking = setInterval(() => void look(), LOOK_MS)
  const answers = await Promise.all(
    accounts.slice(0, SIGNING_IN).map(async ({ tenant, email }, at) => {
      const answer = await fetch(`${url}/auth/login`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-forwarded-for': addressOf(at) },
        body: JSON.stringify({ tenant, email, password: PASSWORD }),
      })
      await answer.arrayBuffer()
      const { status } = answer
      if (status === 200) return 'signed in'
      return status === 503 && answer.headers.has('retry-after') ? 'refused' : status
    }),
  )
  clearInterval(looking)
  await look()
  return {
    asked: answers.length,
    signedIn: answers.filter((answer) => answer === 'signed in').length,
    refused: answers.filter((answer) => answer === 'refused').length,
    others: answers.filter((answer) => typeof answer === 'number'),
    mostOpen,
  }
}
