// Bets and their settlement while everything is killed, frozen and restarted, seeded: clients repeat what they got no
// answer to, with the key that it had. Then every bet that was acknowledged is there once, and paid once.

import { setTimeout as sleep } from 'node:timers/promises'
import { Logs } from '@holdfast/logging'
import { PoolGuard } from '@holdfast/pool-guard'
import { seededRandom, startPgBouncer, startPostgres, waitUntil } from '@holdfast/test-kit'
import type { FastifyRequest } from 'fastify'
import t from 'tap'
import { BossQueue } from '../src/jobs/boss-queue.ts'
import { BetClient } from './bet-client.ts'
import { endEvent, moneyAstray, newEvent } from './betting.ts'
import { insist, insistOnAnswer } from './insist.ts'
import { ServiceProcess, scratchDirectory } from './service-process.ts'
import { startSettler } from './settlers.ts'
import type { Answer } from './sign-in-client.ts'

t.setTimeout(900_000)

const FAULTS = 8
const USERS = ['acme/trader@acme.example', 'acme/second-trader@acme.example', 'globex/trader@globex.example']

for (const way of ['direct', 'through PgBouncer'] as const) {
  t.test(
    `whatever is killed or frozen, every bet that was acknowledged is there once and paid once, ${way}`,
    async (t) => {
      const random = seededRandom()
      random.announce(t)
      const postgres = await startPostgres()
      t.teardown(() => postgres.stop())
      const pooler = way === 'direct' ? undefined : await startPgBouncer({ target: postgres })
      t.teardown(() => pooler?.stop())
      const databaseUrl = (pooler ?? postgres).url
      const startWeb = () =>
        ServiceProcess.start(t, {
          DATABASE_URL: databaseUrl,
          DATABASE_MIGRATION_URL: postgres.url,
          DATA_DIRECTORY: scratchDirectory(t),
          RATE_LIMITS_BET: '1000000/minute',
          ABUSE_MAX_PER_MINUTE: '1000000',
        })
      const webs = [await startWeb()]
      webs.push(await startWeb())
      const sql = new PoolGuard({ connectionString: postgres.directUrl, max: 6, min: 0 })
      t.teardown(() => sql.close())
      await insist(() => sql.query('create table told (bet_id bigint not null)'))
      const settlers = [startSettler(t, databaseUrl), startSettler(t, databaseUrl)]
      const queue = new BossQueue({
        pool: sql,
        correlation: new Logs<FastifyRequest>({ destination: { write() {} } }),
        log: { warn() {}, error() {} },
      })
      t.teardown(() => queue.close())

      let going = true
      const open = await Promise.all(Array.from({ length: 5 }, () => newEvent(sql)))
      const acknowledged = new Map<string, Answer>()
      const seen = { tries: 0, repeats: 0, differing: 0, refused: 0 }
      const bettor = async (user: string, number: number) => {
        for (let bet = 0; going; bet += 1) {
          const key = `${number}-${bet}`
          const body = {
            event_id: random.pick(open),
            market: 'winner',
            selection: random.pick(['home', 'away']),
            stake_minor: random.int(1, 50),
          }
          const answer = await insistOnAnswer(async () => {
            seen.tries += 1
            return new BetClient({ url: random.pick(webs).url, databaseUrl: postgres.directUrl }, user).place(
              body,
              key,
            )
          })
          if (answer.status !== 201) {
            seen.refused += 1
            continue
          }
          acknowledged.set(String(answer.body['bet_id']), answer)
          if (random.next() < 0.2) {
            const again = await insistOnAnswer(() =>
              new BetClient({ url: random.pick(webs).url, databaseUrl: postgres.directUrl }, user).place(
                body,
                key,
              ),
            )
            seen.repeats += 1
            if (again.text !== answer.text) seen.differing += 1
          }
        }
      }
      const provider = async () => {
        while (going) {
          await sleep(random.int(200, 800))
          const at = random.int(0, open.length - 1)
          const eventId = open[at] ?? ''
          const result = random.pick([undefined, { winner: 'home' }, { winner: 'away' }, {}])
          await insist(() => finish(eventId, result))
          open[at] = await insist(() => newEvent(sql))
        }
      }
      /** As a provider's word does it, once. */
      const finish = (eventId: string, result: Readonly<Record<string, string>> | undefined) =>
        sql.transaction({}, async (tx) => {
          const { rowCount } = await tx.query(
            `select from sport_events where id = $1 and status = 'scheduled' for no key update`,
            [eventId],
          )
          if (rowCount === 0) return
          await endEvent(tx, eventId, result)
          await queue.enqueue(tx, 'settle', { event_id: eventId, provider_version: '1' }, { key: eventId })
        })

      const running = [...USERS, ...USERS].map(bettor)
      running.push(provider())
      const faults: Record<string, () => Promise<void>> = {
        'web killed': async () => {
          const at = random.int(0, 1)
          webs[at]?.kill('SIGKILL')
          await webs[at]?.ended
          webs[at] = await startWeb()
        },
        'settlement killed': async () => {
          const at = random.int(0, 1)
          settlers[at]?.kill('SIGKILL')
          settlers[at] = startSettler(t, databaseUrl)
        },
        'settlement frozen': async () => {
          const settler = random.pick(settlers)
          settler.kill('SIGSTOP')
          await sleep(random.int(500, 3000))
          settler.kill('SIGCONT')
        },
        'PostgreSQL killed': async () => {
          await postgres.kill9()
          await sleep(random.int(100, 1500))
          await postgres.restart()
        },
        'PostgreSQL frozen': async () => {
          postgres.freeze()
          await sleep(random.int(500, 4000))
          postgres.thaw()
        },
        'connections reset': async () => {
          for (let times = 0; times < 5; times += 1) {
            ;(pooler ?? postgres).proxy.reset()
            await sleep(random.int(20, 200))
          }
        },
        ...(pooler !== undefined && {
          'PgBouncer killed': async () => {
            await pooler.kill9()
            await sleep(random.int(100, 1500))
            await pooler.restart()
          },
        }),
      }
      const names = Object.keys(faults)
      for (let count = 0; count < FAULTS; count += 1) {
        await sleep(random.int(500, 2000))
        const name = names[count % names.length] ?? ''
        await faults[name]?.()
        t.comment(`${name}: ${acknowledged.size} bets acknowledged`)
      }
      await sleep(1000)
      going = false
      await Promise.all(running)

      for (const [at, eventId] of open.entries()) {
        await insist(() => finish(eventId, at % 2 === 0 ? { winner: 'home' } : undefined))
      }
      const unsettled = async () =>
        (await insist(() => sql.query(`select from bets where status = 'open'`))).rowCount ?? 0
      try {
        await waitUntil(async () => (await unsettled()) === 0, { timeoutMs: 120_000 })
      } catch {
        const { rows } = await sql.query(
          `select name, state::text, count(*)::int, min(start_after) - now() as starts_in, now() - max(heartbeat_on) as heard,
             max(retry_count), max(output::text) from jobs.job_common group by name, state`,
        )
        t.fail(`${await unsettled()} bets are open`, {
          rows,
          ended: settlers.map(({ exitCode }) => exitCode),
        })
      }

      t.strictSame(await moneyAstray(sql), [])
      const { rows } = await sql.query<{ id: string; key: string }>(
        `select id, user_id || ' ' || idempotency_key as key from bets`,
      )
      const stored = new Set(rows.map(({ id }) => id))
      t.strictSame(
        [...acknowledged.keys()].filter((id) => !stored.has(id)),
        [],
        'what was acknowledged is there',
      )
      t.equal(seen.differing, 0, `${seen.repeats} repeats were answered with the same bytes`)
      // A client insists until it knows, so that there is no bet that nobody knows of either.
      t.equal(rows.length, acknowledged.size)
      const told = await sql.query(
        'select count(*)::int as all, count(distinct bet_id)::int as different from told',
      )
      t.strictSame(
        told.rows,
        [{ all: rows.length, different: rows.length }],
        'everybody was told of every bet once',
      )
      t.match(await queue.depths(), { settle: { waiting: 0, active: 0, failed: 0 } })
      t.comment(`${rows.length} bets, ${seen.tries} tries, ${seen.refused} refused`)
      t.ok(rows.length > 100)
    },
  )
}
