/**
 * Placing a bet as it is written at first: `bet-route.ts <how>`.
 *
 * how: `bare` (the bet, the balance and the entry of the ledger in one transaction; no key, and nothing is looked at
 * before) or `key-first` (the key goes in before anything else, with what was asked for; the answer is kept beside it and
 * sent again to whoever repeats; the event and the balance are looked at). Neither asks who it is: `x-user` says so.
 */
import fastify, { type FastifyReply } from 'fastify'
import { Pool, type PoolClient } from 'pg'
import { plainDatabaseUrl } from '../config.ts'
import { listen } from './listen.ts'

interface Placing {
  readonly Body: {
    readonly event_id: string
    readonly market: string
    readonly selection: string
    readonly stake_minor: number
  }
}

type Order = Placing['Body'] & { readonly user: string; readonly key: string }

const CURRENCY = 'EUR'
const place = process.argv[2] === 'key-first' ? placeOnce : placeAnyway
const pool = new Pool({ connectionString: plainDatabaseUrl(), max: 20 })
const app = fastify()

app.get('/ready', async () => (await pool.query('select 1')).rowCount)
app.post<Placing>('/api/bets', async (request, reply) => {
  const { 'x-user': user, 'idempotency-key': key } = request.headers
  const client = await pool.connect()
  try {
    await client.query('begin')
    const answer = await place(client, { ...request.body, user: String(user), key: String(key) }, reply)
    await client.query('commit')
    return answer
  } catch (error) {
    await client.query('rollback')
    throw error
  } finally {
    client.release()
  }
})
await listen(app)

async function placeAnyway(client: PoolClient, order: Order, reply: FastifyReply) {
  const answer = await write(client, order, 'true')
  reply.code(201)
  return answer
}

async function placeOnce(client: PoolClient, order: Order, reply: FastifyReply) {
  const { user, key, event_id, market, selection, stake_minor } = order
  const asked = JSON.stringify([event_id, market, selection, stake_minor])
  const { rowCount } = await client.query(
    'insert into keys (user_id, key, asked) values ($1, $2, $3) on conflict do nothing',
    [user, key, asked],
  )
  reply.code(201)
  if (rowCount === 0) {
    const { rows } = await client.query('select asked, answer from keys where user_id = $1 and key = $2', [
      user,
      key,
    ])
    if (rows[0]?.asked !== asked) return reply.code(422).send({ error: 'the key is of another request' })
    reply.header('idempotent-replayed', 'true').type('application/json')
    return rows[0].answer
  }
  const { rows: events } = await client.query(
    "select from sport_events where id = $1 and status = 'scheduled' and starts_at > clock_timestamp()",
    [event_id],
  )
  if (events.length === 0) throw new Error('nobody can bet on it')
  const answer = await write(client, order, 'balance_minor >= $2')
  await client.query('update keys set answer = $3 where user_id = $1 and key = $2', [
    user,
    key,
    JSON.stringify(answer),
  ])
  return answer
}

async function write(client: PoolClient, order: Order, affordable: string) {
  const { user, event_id, market, selection, stake_minor } = order
  const { rows: bets } = await client.query(
    `insert into bets (user_id, event_id, market, selection, stake_minor, odds_milli)
     select $1, event_id, market, selection, $5, odds_milli from odds
     where event_id = $2 and market = $3 and selection = $4
     returning id, odds_milli, placed_at`,
    [user, event_id, market, selection, stake_minor],
  )
  const { rows: balances } = await client.query(
    `update balances set balance_minor = balance_minor - $2 where user_id = $1 and ${affordable} returning balance_minor`,
    [user, stake_minor],
  )
  const [bet] = bets
  const [balance] = balances
  if (bet === undefined || balance === undefined) throw new Error('it cannot be placed')
  await client.query(
    'insert into ledger_entries (user_id, bet_id, amount_minor, balance_after_minor) values ($1, $2, -$3::bigint, $4)',
    [user, bet.id, stake_minor, balance.balance_minor],
  )
  return {
    bet_id: bet.id,
    event_id,
    market,
    selection,
    stake_minor,
    odds_milli: bet.odds_milli,
    payout_if_won_minor: Math.floor((stake_minor * bet.odds_milli) / 1000),
    currency: CURRENCY,
    balance_minor: Number(balance.balance_minor),
    placed_at: bet.placed_at.toISOString(),
  }
}
