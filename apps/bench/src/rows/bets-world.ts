/**
 * One PostgreSQL with two databases: that of apps/api, which makes its tables itself, and one with plain tables of the
 * same kind. People bet on one event; each bet is 1.00 of more than anybody can lose.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { startPostgres, temporaryDirectory } from '@holdfast/test-kit'
import { Pool } from 'pg'
import type { Posting } from '../harness/http-load.ts'
import type { World } from '../harness/row.ts'

const PEOPLE = 32
const OPENING_MINOR = 1_000_000_000_000
const STAKE_MINOR = 100

const PLAIN_TABLES = `
create table balances (user_id bigint primary key, balance_minor bigint not null);
create table sport_events (id bigint primary key, status text not null, starts_at timestamptz not null);
create table odds (
  event_id bigint references sport_events, market text, selection text, odds_milli integer not null,
  primary key (event_id, market, selection)
);
create table bets (
  id bigint generated always as identity primary key,
  user_id bigint not null references balances,
  event_id bigint not null references sport_events,
  market text not null,
  selection text not null,
  stake_minor bigint not null,
  odds_milli integer not null,
  placed_at timestamptz not null default clock_timestamp()
);
create index on bets (user_id, id);
create table ledger_entries (
  id bigint generated always as identity primary key,
  user_id bigint not null references balances,
  bet_id bigint not null unique references bets,
  amount_minor bigint not null,
  balance_after_minor bigint not null,
  at timestamptz not null default clock_timestamp()
);
create index on ledger_entries (user_id, id);
create table keys (user_id bigint, key text, asked text not null, answer text, primary key (user_id, key));
insert into balances select id, ${OPENING_MINOR} from generate_series(1, ${PEOPLE}) as id;
insert into sport_events values (1, 'scheduled', clock_timestamp() + interval '1 day');
insert into odds values (1, 'winner', 'home', 1850), (1, 'winner', 'away', 2150);
`

/** With the processes of a round. `posting` knows `ours` and `plain`, and either with ` again`. */
export async function betsWorld(): Promise<World> {
  const postgres = await startPostgres({ sharedPreload: ['pg_stat_statements'] })
  const data = temporaryDirectory('bench')
  const url = postgres.directUrl
  const plainUrl = Object.assign(new URL(url), { pathname: '/plain' }).href
  const ours = poolOf(url)
  await ours.query('create database plain')
  const plain = poolOf(plainUrl)
  await plain.query(`create extension pg_stat_statements; ${PLAIN_TABLES}`)
  let signedIn: Promise<Bettors> | undefined
  let slices = 0

  return {
    environment: { DATABASE_URL: url, DATA_DIRECTORY: data.path, PLAIN_DATABASE_URL: plainUrl },
    enter: async () => {},
    async posting(posts, port) {
      const [place, repeats] = posts.split(' ')
      if (place === 'ours') signedIn ??= signIn(ours, port, data.path)
      const bettors = (await signedIn) ?? NAMED
      slices += 1
      const posting = { ...(place === 'ours' ? bettors : NAMED), repeats: repeats !== undefined }
      if (!posting.repeats) return { ...posting, keys: `new-${slices}-` }
      const again = { ...posting, keys: 'again-' }
      await eachOnce(again, port)
      return { ...again, expectHead: 'idempotent-replayed: true' }
    },
    async counts(server) {
      const { rows } = await (server === 'ours' ? ours : plain).query(COUNTS)
      const { bets, statements } = rows[0]
      return { executions: Number(bets), statements: Number(statements) }
    },
    async close() {
      try {
        for (const database of [ours, plain]) await checkMoney(database)
      } finally {
        await Promise.all([ours.end(), plain.end()])
        await postgres.stop()
        await data.remove()
      }
    },
  }
}

function poolOf(connectionString: string): Pool {
  const pool = new Pool({ connectionString, max: 1 })
  // A connection that is closing may still hear that its server ends.
  pool.on('error', () => {})
  return pool
}

/** Who bets, and on what. */
type Bettors = Pick<Posting, 'body' | 'people'>

const NAMED: Bettors = {
  body: orderOn('1'),
  people: Array.from({ length: PEOPLE }, (_, at) => ({ 'x-user': String(at + 1) })),
}

function orderOn(eventId: string): string {
  return JSON.stringify({ event_id: eventId, market: 'winner', selection: 'home', stake_minor: STAKE_MINOR })
}

/** An event, and users with the password of one whose password is known: they sign in as everybody does. */
async function signIn(sql: Pool, port: number, dataDirectory: string): Promise<Bettors> {
  const { rows } = await sql.query(
    `insert into sport_events (sport, provider_ref, name, starts_at)
     values ('chess', 'bench', 'A - B', clock_timestamp() + interval '1 day') returning id`,
  )
  const eventId = String(rows[0].id)
  await sql.query(
    `insert into odds (event_id, market, selection, odds_milli, provider_version)
     values ($1, 'winner', 'home', 1850, 1), ($1, 'winner', 'away', 2150, 1)`,
    [eventId],
  )
  const { email, password } = knownAccount(dataDirectory)
  await sql.query(`update tenants set opening_balance_minor = $1 where slug = 'acme'`, [OPENING_MINOR])
  await sql.query(
    `insert into users (tenant_id, email, password_hash)
     select tenant_id, n || '@bench.example', password_hash from users, generate_series(1, $2) as n where email = $1`,
    [email, PEOPLE],
  )
  const people: Record<string, string>[] = []
  for (let person = 1; person <= PEOPLE; person += 1) {
    const answer = await fetch(`http://127.0.0.1:${port}/auth/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ tenant: 'acme', email: `${person}@bench.example`, password, mode: 'token' }),
    })
    const { access_token: token } = (await answer.json()) as { access_token?: string }
    if (token === undefined) throw new Error(`nobody was signed in: ${answer.status}`)
    people.push({ authorization: `Bearer ${token}` })
  }
  return { body: orderOn(eventId), people }
}

function knownAccount(dataDirectory: string): { email: string; password: string } {
  const accounts = JSON.parse(readFileSync(join(dataDirectory, 'demo-credentials.json'), 'utf8'))
  return accounts.find(
    (account: Record<string, unknown>) => account['tenant'] === 'acme' && account['role'] === 'user',
  )
}

/** So that whatever comes with this key from now on is a repeat. */
async function eachOnce({ body, people, keys }: Posting, port: number): Promise<void> {
  for (const [at, person] of people.entries()) {
    const headers = { 'content-type': 'application/json', 'idempotency-key': `${keys}${at}`, ...person }
    const answer = await fetch(`http://127.0.0.1:${port}/api/bets`, { method: 'POST', headers, body })
    await answer.arrayBuffer()
    if (answer.status !== 201) throw new Error(`a bet was answered with ${answer.status}`)
  }
}

const COUNTS = `
select (select count(*) from bets) as bets,
  (select sum(calls) from pg_stat_statements
   where dbid = (select oid from pg_database where datname = current_database())
     and query not like '%pg_stat_statements%') as statements`

/** What was bet is what is gone, entry by entry. */
async function checkMoney(sql: Pool): Promise<void> {
  const { rows } = await sql.query(
    `select (select count(*) from bets) as bets, (select sum(stake_minor) from bets) as stakes,
       (select count(*) from ledger_entries where amount_minor < 0) as entries,
       (select sum($1 - balance_minor) from balances where balance_minor > $1 / 2) as gone`,
    [OPENING_MINOR],
  )
  const { bets, stakes, entries, gone } = rows[0]
  if (bets === '0' || bets !== entries || stakes !== gone) {
    throw new Error(`the money is not where the bets say: ${JSON.stringify(rows[0])}`)
  }
}
