// Who may write the row of a bot, and who comes too late.

import { guardedDialect } from '@holdfast/pool-guard/kysely'
import { seededRandom, startPostgres } from '@holdfast/test-kit'
import { Kysely } from 'kysely'
import t, { type Test } from 'tap'
import type { Database } from '../src/db/database.ts'
import { prepareDatabase } from '../src/db/preparation.ts'
import { type BotOperation, type BotStatus, possibleOperations, STEPS } from '../src/routes/bots/bot.ts'
import { BotRepository } from '../src/routes/bots/bot-repository.ts'
import { NewBotRepository } from '../src/routes/bots/new-bot-repository.ts'
import { freshDatabase, testGuard } from './fresh-database.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())

const { signal } = new AbortController()

async function setUp(t: Test) {
  const guard = testGuard(t, await freshDatabase(postgres.directUrl))
  await prepareDatabase(guard, { mayChange: true })
  const bots = new BotRepository(guard, new Kysely<Database>({ dialect: guardedDialect(guard) }))
  const { rows } = await guard.query(
    `select bots.id, user_id from bots join users on users.id = user_id where email = 'trader@acme.example' order by 1`,
  )
  const userId = String(rows[0]?.['user_id'])
  const [botId = 0n, otherBotId = 0n] = rows.map(({ id }) => BigInt(String(id)))
  const operate = (operation: BotOperation, fence: number, onBot = botId) =>
    bots.operate({ userId, botId: onBot, operation, fence, signal })
  const stored = async (id = botId) => {
    const joined = `select bots.status, fence_of_last_operation as fence
      from bots join users on users.id = user_id where bots.id = $1`
    return (await guard.query(joined, [String(id)])).rows[0]
  }
  const events = async () => (await guard.query('select * from bot_events order by id')).rows
  return { guard, bots, userId, botId, otherBotId, operate, stored, events }
}

const OVERTAKEN = { code: 'HOLDFAST_ERR_API_BOT_OVERTAKEN', statusCode: 409 }

t.test('an operation whose fence is not larger than that of the last one changes nothing', async (t) => {
  const { operate, stored, events } = await setUp(t)
  t.match(await operate('start', 100), { bot: { status: 'running' }, from: 'stopped' })
  for (const fence of [1, 99, 100]) await t.rejects(operate('stop', fence), OVERTAKEN, `fence ${fence}`)
  t.match(await stored(), { status: 'running', fence: '100' })
  t.match(await operate('stop', 101), { bot: { status: 'stopped' } })
  await t.rejects(operate('start', 100), OVERTAKEN)
  t.match(
    (await events()).map(({ kind, fence }) => `${kind} ${fence}`),
    ['started 100', 'stopped 101'],
  )
})

t.test('whoever was let in later counts on every bot of the user, and on nobody else’s', async (t) => {
  const { guard, bots, operate, otherBotId, stored, events } = await setUp(t)
  await operate('start', 200)
  await t.rejects(operate('start', 100, otherBotId), OVERTAKEN, 'he may have lost his turn before')
  t.match(await stored(otherBotId), { status: 'stopped' })
  t.match(await operate('start', 201, otherBotId), { bot: { status: 'running' } })
  const { rows } = await guard.query(
    `select bots.id, user_id from bots join users on users.id = user_id where email = 'second-trader@acme.example'`,
  )
  const [{ id, user_id }] = rows as [{ id: string; user_id: string }]
  const order = { userId: user_id, botId: BigInt(id), operation: 'start', fence: 1, signal } as const
  t.match(await bots.operate(order), { bot: { status: 'running' } })
  t.equal((await events()).length, 3)
})

t.test('what was refused leaves no fence behind: who was let in earlier may still write', async (t) => {
  const { operate } = await setUp(t)
  await t.rejects(operate('stop', 200), { code: 'HOLDFAST_ERR_API_BOT_STATE' })
  t.match(await operate('start', 150), { bot: { status: 'running' } })
})

t.test('of writers in any order, at the same time, each one that writes has a larger fence', async (t) => {
  const { operate, stored, events } = await setUp(t)
  const random = seededRandom()
  random.announce(t)
  const fences = random.shuffle(Array.from({ length: 60 }, (_, at) => at + 1))
  let written = 0
  for (let from = 0; from < fences.length; from += 4) {
    const settled = await Promise.allSettled(
      fences.slice(from, from + 4).map((fence) => operate(fence % 2 === 0 ? 'recover' : 'start', fence)),
    )
    written += settled.filter(({ status }) => status === 'fulfilled').length
  }
  const kept = (await events()).map(({ fence }) => Number(fence))
  t.equal(kept.length, written)
  t.ok(written > 0)
  t.strictSame(
    kept,
    [...kept].sort((left, right) => left - right),
  )
  t.equal(Number((await stored())?.['fence']), kept.at(-1))
})

t.test(
  'a fence of the database is larger than every one before, and of the size of those of Redis',
  async (t) => {
    const { bots, operate } = await setUp(t)
    const first = await bots.fenceOfNow()
    const second = await bots.fenceOfNow()
    t.ok(second > first)
    t.ok(Math.abs(first / 1000 - Date.now()) < 60_000, 'microseconds of the wall clock')
    await operate('start', first)
    t.match(await operate('stop', second), { bot: { status: 'stopped' } })
  },
)

t.test('whose signal has aborted writes nothing', async (t) => {
  const { bots, userId, botId, events } = await setUp(t)
  const order = { userId, botId, operation: 'start', fence: 1 } as const
  await t.rejects(bots.operate({ ...order, signal: AbortSignal.abort(new Error('the lease is lost')) }))
  t.strictSame(await events(), [])
})

t.test('every state can be left, and every operation says from where', async (t) => {
  const possible = (status: BotStatus) => possibleOperations(status)
  t.strictSame(possible('stopped'), ['start'])
  t.strictSame(possible('running'), ['stop', 'recover'])
  t.strictSame(possible('failed'), ['stop', 'recover'])
  for (const { from, to } of Object.values(STEPS)) {
    t.ok(from.length > 0)
    t.ok(possible(to).length > 0)
  }
})

t.test('who was deleted after he was let in is not signed in, and creates nothing', async (t) => {
  const { guard, userId } = await setUp(t)
  const bots = new NewBotRepository(guard, new Kysely<Database>({ dialect: guardedDialect(guard) }))
  await guard.query('delete from users where id = $1', [userId])
  const wish = {
    userId,
    name: 'Late',
    symbol: 'OAK',
    strategy: 'hold()',
    idempotencyKey: 'late',
    digest: Buffer.alloc(32),
  } as const
  await t.rejects(bots.create(wish), { code: 'HOLDFAST_ERR_API_NOT_SIGNED_IN', statusCode: 401 })
})
