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
  readonly mostInUse: number
  readonly openBefore: number
  readonly openAfter: number
}

const LOOK_MS = 100

export async function signInBurst(url: string, accounts: readonly DemoAccount[]): Promise<BurstReport> {
  const open = async () => sumOf((await scrape(url)) ?? new Map(), 'db_active_connections')
  const openBefore = await open()
  let mostInUse = 0
  const looking = setInterval(async () => {
    mostInUse = Math.max(mostInUse, await open())
  }, LOOK_MS)
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
  return {
    asked: answers.length,
    signedIn: answers.filter((answer) => answer === 'signed in').length,
    refused: answers.filter((answer) => answer === 'refused').length,
    others: answers.filter((answer) => typeof answer === 'number'),
    mostInUse,
    openBefore,
    openAfter: await open(),
  }
}
