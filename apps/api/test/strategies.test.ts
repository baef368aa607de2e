// What is sent as a strategy to the service: whatever it is, the answer says where it is wrong, and nothing comes of it.

import { startPostgres } from '@holdfast/test-kit'
import t from 'tap'
import { parseStrategy } from '../src/strategy/parse.ts'
import { StrategyError } from '../src/strategy/strategy-error.ts'
import { bearerOf } from './bearer-of.ts'
import { demoDatabase, testPool } from './fresh-database.ts'
import { HOSTILE } from './hostile-strategies.ts'
import { ServiceApp } from './service-app.ts'
import { USEFUL } from './useful-strategies.ts'

t.setTimeout(240_000)

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
const databaseUrl = await demoDatabase(postgres.directUrl)
const sql = testPool(databaseUrl)
t.teardown(() => sql.end())
const service = await ServiceApp.start(t, {
  DATABASE_URL: databaseUrl,
  RATE_LIMITS_BET: '1000000/minute',
  RATE_LIMITS_TENANT: '1000000/minute',
  RATE_LIMITS_GLOBAL: '1000000/minute',
  RATE_LIMITS_IP: '1000000/minute',
  ABUSE_MAX_PER_MINUTE: '1000000',
})
const { fastify } = service.app
const authorization = `Bearer ${await bearerOf(databaseUrl, 'acme/trader@acme.example')}`

async function post(url: string, payload: object, headers: Readonly<Record<string, string>> = {}) {
  const answer = await fastify.inject({
    method: 'POST',
    url,
    payload,
    headers: { authorization, ...headers },
  })
  return { status: answer.statusCode, body: answer.json() as unknown }
}

let keys = 0
/** As a bot of it. */
function create(strategy: unknown) {
  keys += 1
  return post('/api/bots', { name: 'x', symbol: 'HFX', strategy }, { 'idempotency-key': `k-${keys}` })
}

const botCount = async () => Number((await sql.query('select count(*) from bots')).rows[0]?.['count'])

/** Where it is wrong, and why. */
function faultOf(text: string) {
  try {
    parseStrategy(text)
  } catch (error) {
    if (error instanceof StrategyError) {
      const { message, line, column } = error
      return { message, line, column }
    }
  }
  throw new Error(`${text} is a strategy`)
}

/** What of the process a strategy could have changed. */
function host() {
  return {
    names: Reflect.ownKeys(globalThis).map(String),
    ofAll: [Object, Array, Function, Number, String].map(({ prototype }) =>
      Reflect.ownKeys(prototype).map(String),
    ),
    environment: { ...process.env },
    exitCode: process.exitCode,
  }
}

t.test('hostile texts are told where they are wrong, as a strategy and as that of a bot', async (t) => {
  const before = host()
  const bots = await botCount()
  const wrong: unknown[] = []
  let tooLarge = 0
  for (const [text] of HOSTILE) {
    const { message, line, column } = faultOf(text)
    const validated = await post('/api/strategies/validate', { strategy: text })
    const created = await create(text)
    if (text.length > 10_000) {
      tooLarge += 1
      t.match([validated, created], [{ status: 413 }, { status: 413 }])
      continue
    }
    const verdict = { status: 200, body: { valid: false, error: { line, column, message } } }
    const told = created.body as { error: string; errors?: readonly object[] }
    const isTold =
      JSON.stringify(validated) === JSON.stringify(verdict) &&
      created.status === 422 &&
      told.error === 'HOLDFAST_ERR_API_STRATEGY_INVALID' &&
      JSON.stringify(Object(told.errors?.[0])) ===
        JSON.stringify({ in: 'body', pointer: '#/strategy', detail: message, line, column })
    if (!isTold) wrong.push([JSON.stringify(text.slice(0, 80)), validated, created])
  }
  t.strictSame(wrong, [])
  t.equal(tooLarge, 1)
  t.equal(await botCount(), bots, 'no bot has one of them')
  t.strictSame(host(), before, 'and the process is as it was')
})

t.test('what is no text is refused before anything looks at it', async (t) => {
  for (const strategy of [1, true, null, [], ['hold()'], {}, { toString: 'hold()' }]) {
    t.match(await post('/api/strategies/validate', { strategy }), {
      status: 400,
      body: { error: 'HOLDFAST_ERR_API_STRATEGY_NOT_TEXT' },
    })
    t.match(await create(strategy), { status: 400, body: { error: 'HOLDFAST_ERR_API_MEMBER_KIND' } })
  }
  t.match(await post('/api/strategies/validate', {}), { status: 400, body: { error: 'FST_ERR_VALIDATION' } })
})

t.test('useful ones are told what they look at, and what they cost', async (t) => {
  for (const text of USEFUL) {
    const { window, steps } = parseStrategy(text)
    t.strictSame(
      await post('/api/strategies/validate', { strategy: text }),
      { status: 200, body: { valid: true, window, steps } },
      text,
    )
  }
  const created = await create(USEFUL[3])
  t.match(created, { status: 201, body: { strategy: USEFUL[3] } })
})

t.test('only who is signed in may ask', async (t) => {
  const answer = await fastify.inject({
    method: 'POST',
    url: '/api/strategies/validate',
    payload: { strategy: 'hold()' },
  })
  t.equal(answer.statusCode, 401)
})
