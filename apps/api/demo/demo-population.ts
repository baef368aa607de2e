// Who is in the database: tenants with users, each with a bot, and sessions for all of them. The sessions are made by the
// service's own plugins in this process, past the front door: five thousand passwords would take minutes to verify.

import { systemClock } from '@holdfast/footing'
import { health } from '@holdfast/health'
import { Logs, logging, serverOptions } from '@holdfast/logging'
import type { PoolGuard } from '@holdfast/pool-guard'
import Fastify, { type FastifyRequest } from 'fastify'
import { prepareDatabase } from '../src/db/preparation.ts'
import { redis } from '../src/plugins/redis.ts'
import { sessionPort, sessions } from '../src/plugins/sessions.ts'
import { redisUrl as redisUrlSetting } from '../src/redis-target.ts'
import { HashingQueue } from '../src/routes/auth/hashing-queue.ts'
import { Passwords } from '../src/routes/auth/passwords.ts'
import { Secret } from '../src/secret.ts'

/** They share the users evenly. */
export const TENANTS = Array.from({ length: 10 }, (_, at) => `house-${at + 1}`)
/** Has one user, and limits as they are by default. */
export const FLOOD_TENANT = 'flooded'
/** Everybody's who signs in with one. */
export const PASSWORD = 'a-password-of-the-demonstration'
/** Users who have it. */
export const SIGNING_IN = 60
/** Every so-many-th user has a bot that runs. */
const RUNNING_EVERY = 20
const OPENING_BALANCE = 100_000_000
const STRATEGY = 'price < sma(20) * 0.999 ? buy(1) : price > sma(20) * 1.001 ? sell(1) : hold()'

/** A user as sessions know him. */
export interface DemoAccount {
  readonly id: string
  readonly tenant: string
  readonly email: string
}

/** Makes the tables and everybody; answers the users in their order, and the one who floods. */
export async function populate(pool: PoolGuard, users: number) {
  await prepareDatabase(pool, { mayChange: true })
  await pool.query(
    `insert into tenants (slug, name, opening_balance_minor) select slug, initcap(slug), $2 from unnest($1::text[]) as slug`,
    [[...TENANTS, FLOOD_TENANT], OPENING_BALANCE],
  )
  await pool.query(
    `insert into themes (slug, theme) select slug, jsonb_build_object('brand_name', initcap(slug)) from unnest($1::text[]) as slug`,
    [[...TENANTS, FLOOD_TENANT]],
  )
  const hash = await new Passwords(
    new HashingQueue({ concurrency: 1, maxWaiting: 1, clock: systemClock }),
  ).hash(PASSWORD)
  const { rows } = await pool.query<{ id: string; email: string }>(
    `insert into users (tenant_id, email, password_hash)
     select tenants.id, 'user-' || n || '@' || slug || '.example', case when n < $2 then $3 end
     from generate_series(0, $1 - 1) as n join tenants on slug = ($4::text[])[n % $5 + 1] order by n
     returning id, email`,
    [users, SIGNING_IN, hash, TENANTS, TENANTS.length],
  )
  await pool.query(
    `insert into bots (user_id, name, strategy, status)
     select id, 'Bot', $1, case when id % $2 = 0 then 'running' else 'stopped' end from users where email like 'user-%'`,
    [STRATEGY, RUNNING_EVERY],
  )
  const flooder = await pool.query<{ id: string }>(
    `insert into users (tenant_id, email) select id, 'user@flooded.example' from tenants where slug = $1 returning id`,
    [FLOOD_TENANT],
  )
  const accounts = rows
    .map(
      ({ id, email }): DemoAccount => ({
        id,
        email,
        tenant: email.slice(email.indexOf('@') + 1, -'.example'.length),
      }),
    )
    .toSorted((left, right) => numberOf(left) - numberOf(right))
  return {
    accounts,
    flooder: { id: String(flooder.rows[0]?.id), tenant: FLOOD_TENANT, email: 'user@flooded.example' },
  }
}

/** A session for each, in the Redis of the service; answers their cookies in the same order. */
export async function signInAll(
  accounts: readonly DemoAccount[],
  { redisUrl, secretKey }: { readonly redisUrl: string; readonly secretKey: string },
): Promise<string[]> {
  const target = redisUrlSetting.parse(redisUrl)
  if (!('value' in target)) throw new Error(`the address of Redis ${target.wrong}`)
  const logs = new Logs<FastifyRequest>({ destination: { write() {} } })
  const app = Fastify({ ...serverOptions(logs) })
  await app.register(logging, { logs })
  await app.register(health)
  await app.register(redis, { target: target.value })
  await app.register(sessions, {
    secrets: [new Secret(secretKey)],
    secure: false,
    shared: true,
    query: async () => ({ rows: [] }),
  })
  const port = sessionPort(app, { isOver: () => false })
  app.post<{ Body: DemoAccount }>('/', async (request, reply) => {
    const { id: userId, tenant: tenantId } = request.body
    await port.login(
      request,
      { userId, tenantId, roles: ['user'] },
      { permanent: true, sinceMs: systemClock.wallMs() },
    )
    return reply.code(204).send()
  })
  await app.ready()
  try {
    const cookies: string[] = []
    const AT_ONCE = 50
    for (let at = 0; at < accounts.length; at += AT_ONCE) {
      const some = accounts.slice(at, at + AT_ONCE)
      const answers = await Promise.all(
        some.map((payload) => app.inject({ method: 'POST', url: '/', payload: { ...payload } })),
      )
      for (const { cookies: set, statusCode, body } of answers) {
        if (statusCode !== 204 || set.length === 0)
          throw new Error(`no session was made: ${statusCode} ${body}`)
        cookies.push(set.map(({ name, value }) => `${name}=${value}`).join('; '))
      }
    }
    return cookies
  } finally {
    await app.close()
  }
}

function numberOf({ email }: DemoAccount): number {
  return Number(/^user-(\d+)@/.exec(email)?.[1])
}
