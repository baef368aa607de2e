// The service that the examples of the document are sent to, and what has to be so before some of them.

import { randomUUID } from 'node:crypto'
import { waitUntil } from '@holdfast/test-kit'
import type { Test } from 'tap'
import { STAND_INS, type StandIn } from '../src/openapi/stand-ins.ts'
import { newBearer } from './bearer-of.ts'
import { demoDatabase, testPool } from './fresh-database.ts'
import { casesOf, type Document, type Sender } from './openapi-cases.ts'
import { ServiceApp } from './service-app.ts'
import { scratchDirectory } from './service-process.ts'
import { ask, credentialsOf, demoAccounts, tokensOf } from './sign-in-client.ts'

const METRICS_TOKEN = 'a-token-for-metrics-of-tests'
const ADMIN_TOKEN = 'a-token-for-operators-of-tests'
const UNLIMITED = Object.fromEntries(
  ['START', 'STOP', 'RECOVER', 'STATUS', 'BET', 'READ', 'GLOBAL', 'SIGN_IN_ADDRESS', 'MAIL'].map((name) => [
    `RATE_LIMITS_${name}`,
    '1000000/minute',
  ]),
)

/** Headers of a sender. */
export type Credentials = Readonly<Record<string, string>>

export class World {
  readonly service: ServiceApp
  readonly #databaseUrl: string
  readonly #dataDirectory: string
  readonly #sql: ReturnType<typeof testPool>
  /** What stands in examples for what only a running service has. */
  readonly #live = new Map<StandIn, string>()
  #caller: Credentials | undefined

  private constructor(
    service: ServiceApp,
    databaseUrl: string,
    dataDirectory: string,
    sql: ReturnType<typeof testPool>,
  ) {
    this.service = service
    this.#databaseUrl = databaseUrl
    this.#dataDirectory = dataDirectory
    this.#sql = sql
  }

  /** With the demo data, on that server. */
  static async start(t: Test, serverUrl: string): Promise<World> {
    const dataDirectory = scratchDirectory(t)
    const databaseUrl = await demoDatabase(serverUrl, dataDirectory)
    const environment = {
      DATABASE_URL: databaseUrl,
      ENABLE_METRICS: 'true',
      METRICS_TOKEN,
      ADMIN_TOKEN,
      ...UNLIMITED,
    }
    const service = await ServiceApp.start(t, environment, dataDirectory)
    // The examples are of a service that is well; what is looked at now and then is so a moment later.
    const { health } = service.app.fastify
    await waitUntil(() =>
      health.snapshot().checks.some(({ name, level }) => name === 'themes' && level === 'healthy'),
    )
    const sql = testPool(databaseUrl)
    t.teardown(() => sql.end())
    const world = new World(service, databaseUrl, dataDirectory, sql)
    await world.#offer()
    world.#live.set('password', credentialsOf(demoAccounts(dataDirectory), 'user').password)
    return world
  }

  /** What that sender sends to be known; always a new sign-in. */
  async credentialsOf(sender: Sender): Promise<Credentials> {
    if (sender === 'nobody') return {}
    if (sender === 'operator-token') return { authorization: `Bearer ${ADMIN_TOKEN}` }
    if (sender === 'metrics-token') return { authorization: `Bearer ${METRICS_TOKEN}` }
    const user = sender === 'admin' ? 'acme/admin@acme.example' : 'acme/trader@acme.example'
    return { authorization: `Bearer ${await newBearer(this.#databaseUrl, user)}` }
  }

  /** What is sent in place of what stands in an example. */
  real<Given>(given: Given): Given {
    let text = JSON.stringify(given)
    if (text === undefined) return given
    for (const [name, value] of this.#live)
      text = text.replaceAll(JSON.stringify(STAND_INS[name]), JSON.stringify(value))
    return JSON.parse(text)
  }

  /** Makes so what has to be so before an example, by `<operationId> <name>`. Answers who sends it, where that matters. */
  async prepare(name: string): Promise<Credentials | undefined> {
    await this.#open()
    this.#caller = undefined
    await this.#givens[name]?.()
    return this.#caller
  }

  /** Whatever the example before has closed, or shows. */
  async #open(): Promise<void> {
    const { maintenance } = this.service.app.fastify
    if (maintenance.rules().length > 0) await maintenance.clear({ ofTenants: true })
    if (maintenance.status.bannerMessage !== '') await maintenance.clearBanner()
  }

  /** A slice whose examples need something has its row here. */
  readonly #givens: Readonly<Record<string, () => Promise<void>>> = {
    'recoverBot recover_a_bot': () => this.#bot('failed'),
    'startBot start_a_bot': () => this.#bot('stopped'),
    'startBot it_runs': () => this.#bot('running'),
    'stopBot stop_a_bot': () => this.#bot('running'),
    'readBotStatus all_bots': () => this.#bot('stopped'),
    'readBotStatus one_bot': () => this.#bot('stopped'),
    'listBots one_bot': async () => {
      await this.#newcomer()
      await this.#makes('/api/bots', 'buys_dips')
    },
    'createBot buys_dips': () => this.#newcomer(),
    'createBot a_key_that_was_used': async () => {
      await this.#newcomer()
      await this.#makes('/api/bots', 'buys_dips')
    },
    'listBotEvents the_last_one': () => this.#eventsOfBot(),
    'listTrades one_trade': async () => {
      await this.#newcomer()
      await this.#makes('/api/bots', 'buys_dips')
      await this.#trade()
    },
    'placeBet a_bet': () => this.#newcomer(),
    'placeBet a_key_that_was_used': async () => {
      await this.#newcomer()
      await this.#makes('/api/bets', 'a_bet')
    },
    'listBets open_bets': async () => {
      await this.#newcomer()
      await this.#makes('/api/bets', 'a_bet')
    },
    'readBalance at_the_beginning': () => this.#newcomer(),
    'listBalanceEntries after_a_bet': async () => {
      await this.#newcomer()
      await this.#makes('/api/bets', 'a_bet')
    },
    'listDeadLetters one_that_is_open': () => this.#deadLetter(),
    'readDeadLetter why_it_died': () => this.#deadLetter(),
    'replayDeadLetter once_more': () => this.#deadLetter(),
    'replayDeadLetter it_was_discarded': async () => {
      await this.#deadLetter()
      const path = `/admin/dlq/settle/${this.#live.get('deadLetterId')}?reason=an%20example`
      await this.#did(
        ask(this.service.url, 'DELETE', path, undefined, await this.credentialsOf('operator-token')),
      )
    },
    'replayDeadLetters only_to_see': () => this.#deadLetter(),
    'replayDeadLetters in_earnest': () => this.#deadLetter(),
    'discardDeadLetter given_up': () => this.#deadLetter(),
    'listAuditEntries what_somebody_did': async () => {
      await this.#sql.query(
        `insert into audit_log (actor, tenant, action, before, after, correlation_id)
         values ('4711', 'acme', 'banner.set', '{"banner": null}', '{"banner": "We are back at noon."}',
           '5b2c7a0e-9f1d-4c1a-8d1e-2f6f0a3c9b7d')`,
      )
    },
    'verifyAddress of_a_mail': () => this.#tokenOfMail('verificationToken', /hfv_[\w-]{43}/),
    'resetPassword of_a_mail': () => this.#tokenOfMail('resetToken', /hfp_[\w-]{43}/),
    'refreshTokens the_next_ones': async () => {
      this.#live.set('refreshToken', (await this.#elsewhere()).refreshToken)
    },
    'listSessions here_and_elsewhere': async () => {
      const { bearer } = await this.#elsewhere()
      await ask(this.service.url, 'POST', '/auth/sessions/revoke-all', undefined, bearer)
      await this.#elsewhere()
      this.#caller = (await this.#elsewhere()).bearer
    },
    'endSession elsewhere': async () => {
      await this.credentialsOf('user')
      const { rows } = await this.#sql.query(
        `select family.id from refresh_families as family join users on users.id = user_id
         where email = 'trader@acme.example' and revoked_at is null order by family.expires_at desc limit 1`,
      )
      this.#live.set('sessionId', String(rows[0]?.['id']))
    },
    'postApiStatusMaintenanceBypass of_an_operator': async () => {
      const { token } = this.service.app.fastify.maintenance.issueBypass(60_000, {})
      this.#live.set('bypassToken', token)
    },
    'getAdminAbuseBlocks one_block': () => this.#block(),
    'deleteAdminAbuseBlocksByAddress pardoned': () => this.#block(),
    'deleteAdminMaintenanceRulesById it_is_over': async () => {
      await this.service.app.fastify.maintenance.set({ id: 'night', mode: 'banner-only' })
    },
  }

  async #bot(status: 'stopped' | 'running' | 'failed'): Promise<void> {
    await this.#sql.query('update bots set status = $1 where id = 1', [status])
  }

  /** The event that examples bet on, before anything else has an id. */
  async #offer(): Promise<void> {
    await this.#sql.query(
      `with event as (
         insert into sport_events (sport, provider_ref, name, starts_at)
         values ('chess', 'rooks-knights', 'Rooks - Knights', clock_timestamp() + interval '1 day') returning id
       )
       insert into odds (event_id, market, selection, odds_milli, provider_version)
       select id, 'winner', selection, odds_milli, 1
       from event, (values ('home', 1850), ('away', 2150)) as offer (selection, odds_milli)`,
    )
  }

  /** Somebody who has done nothing yet asks. */
  async #newcomer(): Promise<void> {
    const email = `${randomUUID()}@acme.example`
    await this.#sql.query(
      "insert into users (tenant_id, email) select id, $1 from tenants where slug = 'acme'",
      [email],
    )
    this.#caller = { authorization: `Bearer ${await newBearer(this.#databaseUrl, `acme/${email}`)}` }
  }

  /** Whoever asks has sent that example before. */
  async #makes(path: string, example: string): Promise<void> {
    const document = this.service.app.fastify.swagger() as unknown as Document
    const found = casesOf(document).find(
      (each) => each.operation === `POST ${path}` && each.name.endsWith(` ${example}`),
    )
    const headers = { ...found?.headers, ...this.#caller }
    await this.#did(ask(this.service.url, 'POST', path, found?.body, headers))
  }

  async #did(answer: ReturnType<typeof ask>): Promise<void> {
    const { status, text } = await answer
    if (status >= 300) throw new Error(`what an example needs was refused: ${status} ${text}`)
  }

  /** The bot of the newcomer has bought once. */
  async #trade(): Promise<void> {
    await this.#sql.query(
      `insert into trades (bot_id, user_id, tick, side, symbol, quantity, price_minor, fence)
       select id, user_id, 1, 'buy', symbol, 3, 9950, 1 from bots order by id desc limit 1`,
    )
  }

  async #eventsOfBot(): Promise<void> {
    await this.#bot('stopped')
    await this.#sql.query(
      `insert into bot_events (bot_id, user_id, kind, from_status, to_status, fence, at)
       select bots.id, user_id, kind, from_status, to_status,
         (select coalesce(max(fence), 0) from bot_events where bot_id = 1) + number, clock_timestamp()
       from bots, (values (1, 'started', 'stopped', 'running'), (2, 'stopped', 'running', 'stopped'))
         as event (number, kind, from_status, to_status)
       where bots.id = 1 order by number`,
    )
  }

  /** One job that nobody tries any more, and no other. */
  async #deadLetter(): Promise<void> {
    await this.#sql.query("delete from jobs.job_common where name = 'settle.dead'")
    const { rows } = await this.#sql.query(
      `with job as (select gen_random_uuid() as id)
       insert into jobs.job_common (name, data, keep_until, created_on, singleton_key, source_name, source_id,
         source_created_on, source_retry_count, source_output, source_root_id)
       select 'settle.dead', '{"payload": {"event_id": "1"}}', now() + interval '60 years', now(), id::text, 'settle',
         id, now() - interval '1 hour', 8, $1, id
       from job returning id`,
      [{ kind: 'retryable', name: 'Error', message: 'the ledger does not answer', code: 'E_DOWN' }],
    )
    this.#live.set('deadLetterId', String(rows[0]?.['id']))
  }

  async #block(): Promise<void> {
    await this.service.app.fastify.abuseGuard.block('192.0.2.7', { ms: 600_000, reason: 'scans for holes' })
  }

  /** A sign-in of somebody whose password no example changes. */
  #elsewhere() {
    const account = credentialsOf(demoAccounts(this.#dataDirectory), 'user', 'globex')
    return tokensOf(this.service.url, account, { 'user-agent': 'an example' })
  }

  /** The mail was asked for by an example before. */
  async #tokenOfMail(standIn: StandIn, token: RegExp): Promise<void> {
    await waitUntil(() => token.test(this.service.stdout))
    this.#live.set(standIn, token.exec(this.service.stdout)?.[0] ?? '')
  }
}
