import { setTimeout as sleep } from 'node:timers/promises'
import type { SeededRandom } from '@holdfast/test-kit'
import type { ConnectionPool } from '../src/connection-pool.ts'

/** What a race loop saw. */
export interface RaceResult {
  readonly cancelled: number
  readonly finished: number
  /** Statements that answered something that was not their own, or failed without a reason. */
  readonly wrong: readonly string[]
}

/**
 * Cancels statements at random moments, some by their signal, some by their limit, and after each asks the very
 * same client for something only the next statement can answer.
 */
export async function cancelRace(
  pool: ConnectionPool,
  random: SeededRandom,
  rounds: number,
  concurrency: number,
): Promise<RaceResult> {
  let left = rounds
  let cancelled = 0
  let finished = 0
  const wrong: string[] = []
  const expected = /_(ABORTED|QUERY_TIMEOUT)$/
  const racer = async () => {
    while (left > 0) {
      left -= 1
      const number = left
      const client = await pool.checkout()
      const controller = new AbortController()
      const bySignal = random.next() < 0.7
      // Most of them end about when they are cancelled.
      const sleepMs = random.int(0, 24)
      const cancelMs = random.int(0, 14)
      const statement = client.query('select $1::int as it, pg_sleep($2::float8 / 1000)', [number, sleepMs], {
        signal: controller.signal,
        ...(bySignal ? {} : { timeoutMs: cancelMs + random.next() }),
      })
      const settled = statement.then(
        ({ rows }) => {
          finished += 1
          if (rows[0]?.['it'] !== number) wrong.push(`${number}: ${JSON.stringify(rows)}`)
        },
        (error: Error & { code?: string }) => {
          cancelled += 1
          if (!expected.test(error.code ?? '')) wrong.push(`${number}: ${error.code} ${error.message}`)
        },
      )
      if (bySignal) {
        await sleep(cancelMs)
        controller.abort()
      }
      // Half of them do not even wait for the end of the cancelled one.
      if (random.next() < 0.5) await settled
      for (const next of [number + 0.25, number + 0.5]) {
        try {
          const { rows } = await client.query('select $1::float8 as next', [next])
          if (rows[0]?.['next'] !== next) wrong.push(`after ${number}: ${JSON.stringify(rows)}`)
        } catch (error) {
          wrong.push(`after ${number}: ${(error as Error & { code?: string }).code} ${error}`)
        }
      }
      await settled
      client.release()
    }
  }
  await Promise.all(Array.from({ length: concurrency }, racer))
  return { cancelled, finished, wrong }
}
