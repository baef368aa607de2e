// One operation of a user at a time, in four processes.

import { waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import type { BotReply } from './bot-client.ts'
import { SECOND, startBotFleet } from './bot-fleet.ts'
import { holdBot } from './held-bot.ts'

t.setTimeout(240_000)

const STARTS = 50
const MAX_TRIALS = 5

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
    await held.waitedFor((waiting) => waiting > 0 && answers.length + waiting === STARTS)
    await meanwhile()
    await held.letGo()
    await Promise.all(asked)
    const after = await Promise.all(services.map(operationsOf))
    // On a busy machine Redis may need longer than anybody waits for it, and a process lets one in by itself.
    const undisturbed = after.every(({ begun }, at) => begun.degraded === before[at]?.begun.degraded)
    return {
      undisturbed,
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
    const [first] = services
    const other = await botOf('second-trader@acme.example')
    for (let trials = 1; trials <= MAX_TRIALS; trials += 1) {
      const count = (await events()).length
      const { undisturbed, succeeded, refused } = await trial(async () => {
        for (const service of services) {
          t.equal((await as(service, SECOND).start(other)).status, 200, 'another user, while it is at work')
          t.equal((await as(service, SECOND).stop(other)).status, 200)
        }
      })
      t.equal(succeeded.length, 1)
      t.equal(await statusOf(bot), 'running')
      t.equal((await events()).length, count + 1 + 2 * services.length)
      if (undisturbed) {
        t.equal(refused.length, STARTS - 1)
        for (const { body, headers } of refused) {
          t.match(body, { success: false, message: /already in progress/, retry_after: 30 })
          t.equal(headers.get('retry-after'), '30')
        }
        return
      }
      t.comment('Redis was late')
      await waitUntil(async () => (await as(first).stop(bot)).status === 200)
    }
    t.fail(`Redis was late in each of ${MAX_TRIALS} trials`)
  },
)

t.test('with the limits as they are, 50 starts at once are one start', async (t) => {
  const { trial, events } = await setUp(t, {
    RATE_LIMITS_START: '10/minute',
    RATE_LIMITS_GLOBAL: '200/minute',
  })
  const { succeeded, refused, undisturbed } = await trial(async () => {})
  t.equal(succeeded.length, 1)
  t.equal((await events()).length, 1)
  t.ok(
    refused.length >= STARTS - 4,
    `${refused.length} were refused, Redis was ${undisturbed ? 'quick' : 'late'}`,
  )
})
