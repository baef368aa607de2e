// One operation of a user at a time, in four processes.

import { StallWatch, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import type { BotReply } from './bot-client.ts'
import { SECOND, startBotFleet } from './bot-fleet.ts'
import { holdBot } from './held-bot.ts'

t.setTimeout(240_000)

const STARTS = 50
const MAX_TRIALS = 5
/** How long anybody waits for Redis. */
const REDIS_BUDGET_MS = 50

/** Four processes, and what becomes of 50 starts of one user that come while one of them is at work. */
async function setUp(t: Test, environment: Readonly<Record<string, string>>) {
  const fleet = await startBotFleet(t, environment)
  const { start, sql, as, botOf, operationsOf } = fleet
  const services = [await start(), await start(), await start(), await start()] as const
  const bot = await botOf('trader@acme.example')
  const trial = async (meanwhile: () => Promise<void>) => {
    const before = await Promise.all(services.map(operationsOf))
    const held = await holdBot(sql, bot)
    const answers: BotReply[] = []
    const asked = Array.from({ length: STARTS }, async (_, turn) => {
      answers.push(await as(services[turn % services.length] ?? services[0]).start(bot))
    })
    // All of them are answered but those that were let in: they wait for the row.
    await held.waitedFor((waiting) => answers.length + waiting === STARTS)
    await meanwhile()
    await held.letGo()
    await Promise.all(asked)
    const after = await Promise.all(services.map(operationsOf))
    // On a busy machine Redis may need longer than anybody waits for it, and a process lets one in by itself; and what
    // is held here may take longer than anybody waits for a row.
    const inTime = answers.every(({ status }) => status < 500)
    return {
      undisturbed: inTime && after.every(({ begun }, at) => begun.degraded === before[at]?.begun.degraded),
      succeeded: answers.filter(({ status }) => status === 200),
      refused: answers.filter(({ status }) => status === 429),
    }
  }
  return { ...fleet, services, bot, trial }
}

t.test(
  '50 starts of one user at once: one succeeds, 49 are refused meanwhile, and others do not wait',
  async (t) => {
    const { trial, services, as, bot, botOf, statusOf, events } = await setUp(t, {})
    const [first, , third, fourth] = services
    const stalls = new StallWatch()
    t.teardown(() => stalls.stop())
    const other = await botOf('second-trader@acme.example')
    for (let trials = 1; trials <= MAX_TRIALS; trials += 1) {
      const count = (await events()).length
      const { undisturbed, succeeded, refused } = await trial(async () => {
        t.equal((await as(third, SECOND).start(other)).status, 200, 'another user, while it is at work')
        t.equal((await as(fourth, SECOND).stop(other)).status, 200)
      })
      t.ok(succeeded.length <= 1)
      t.equal((await events()).length, count + succeeded.length + 2)
      if (undisturbed) {
        t.equal(succeeded.length, 1)
        t.equal(await statusOf(bot), 'running')
        t.equal(refused.length, STARTS - 1)
        for (const { body, headers } of refused) {
          t.match(body, { success: false, message: /already in progress/, retry_after: 30 })
          t.equal(headers.get('retry-after'), '30')
        }
        return
      }
      t.comment('Redis, or this machine, was late')
      await waitUntil(async () => {
        const wasStopped = (await as(first).stop(bot)).status === 200
        return wasStopped || (await statusOf(bot)) === 'stopped'
      })
    }
    t.ok(stalls.longestMs > REDIS_BUDGET_MS, 'late in each trial: this machine has no time for it')
  },
)

t.test('with the limits as they are, 50 starts at once are one start', async (t) => {
  const { trial, events } = await setUp(t, {
    RATE_LIMITS_START: '10/minute',
    RATE_LIMITS_GLOBAL: '200/minute',
  })
  const { succeeded, refused, undisturbed } = await trial(async () => {})
  t.comment(`${refused.length} were refused, Redis and this machine were ${undisturbed ? 'quick' : 'late'}`)
  t.ok(succeeded.length === 1 || (!undisturbed && succeeded.length === 0))
  t.equal((await events()).length, succeeded.length)
  // One for each process without Redis, and one for each after that.
  t.ok(refused.length >= STARTS - (undisturbed ? 1 : 8))
})
