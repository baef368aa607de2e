// The service that the examples of the document are sent to, and what has to be so before some of them.

import { waitUntil } from '@holdfast/test-kit'
import type { Test } from 'tap'
import { STAND_INS, type StandIn } from '../src/openapi/stand-ins.ts'
import { newBearer } from './bearer-of.ts'
import { demoDatabase, testPool } from './fresh-database.ts'
import type { Sender } from './openapi-cases.ts'
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
    const sql = testPool(databaseUrl)
    t.teardown(() => sql.end())
    const world = new World(service, databaseUrl, dataDirectory, sql)
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
