// For what a test does with something that it kills: until it succeeds. What is done here may be done twice.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Answer } from './sign-in-client.ts'

/** Until it does not reject. */
export async function insist<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work()
    } catch {
      await sleep(100)
    }
  }
}

/** Of bets: what is said is meant. */
const FINAL = new Set([201, 404, 409, 422])

/** Places a bet, with one key, until it is known what became of it. */
export async function insistOnAnswer(request: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    const answer = await request().catch(() => undefined)
    if (answer !== undefined && FINAL.has(answer.status)) return answer
    await sleep(50)
  }
}
