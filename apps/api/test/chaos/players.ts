// People who bet and trade: what they were told is what has to be there in the end. Whoever bets insists, with the key that
// the bet had, until he knows; whoever operates a bot takes what he is told, and goes on.

import { setTimeout as sleep } from 'node:timers/promises'
import type { PoolGuard } from '@holdfast/pool-guard'
import type { SeededRandom } from '@holdfast/test-kit'
import { BetClient } from '../bet-client.ts'
import { BotClient } from '../bot-client.ts'
import { insist, insistOnAnswer } from '../insist.ts'
import { Browser, credentialsOf } from '../sign-in-client.ts'
import type { AcknowledgedBet } from './auditor.ts'
import type { World } from './world.ts'

const USERS = [
  'acme/trader@acme.example',
  'acme/second-trader@acme.example',
  'globex/trader@globex.example',
  'globex/second-trader@globex.example',
] as const
/** Of an event until its begin: people come too late, and too early, too. */
const OFFERED = { fromSeconds: 1, toSeconds: 12 }
const READS = [
  '/api/balance',
  '/api/bets',
  '/api/events',
  '/api/sports',
  '/api/trades',
  '/api/bot/status',
  '/auth/me',
] as const

/** What they were told. */
export interface Told {
  readonly bets: readonly AcknowledgedBet[]
  readonly refused: readonly Pick<AcknowledgedBet, 'user' | 'key'>[]
  readonly operations: readonly string[]
  /** Bets that were asked for a second time after their answer, and that were answered otherwise. */
  readonly differing: number
  readonly repeats: number
  /** Of those who are signed in, by status. */
  readonly reads: Readonly<Record<string, number>>
  readonly counts: Readonly<Record<string, number>>
}

export class Players {
  readonly #world: World
  readonly #random: SeededRandom
  readonly #bets: AcknowledgedBet[] = []
  readonly #refused: Pick<AcknowledgedBet, 'user' | 'key'>[] = []
  readonly #operations: string[] = []
  readonly #reads: Record<string, number> = {}
  readonly #counts: Record<string, number> = {}
  readonly #browsers: Browser[] = []
  #offers: readonly Offer[] = []
  #repeats = 0
  #differing = 0
  #isOver = false
  #all: Promise<unknown> = Promise.resolve()

  private constructor(world: World, random: SeededRandom) {
    this.#world = world
    this.#random = random
  }

  /** Signs in who has a password, and has all of them begin. */
  static async begin(world: World, random: SeededRandom): Promise<Players> {
    const players = new Players(world, random)
    for (const tenant of ['acme', 'globex']) {
      const browser = new Browser()
      await browser.post(world.url, '/auth/login', credentialsOf(world.accounts, 'user', tenant))
      players.#browsers.push(browser)
    }
    players.#all = Promise.all([
      players.#lookForOffers(),
      ...USERS.map((user) => players.#bet(user)),
      ...USERS.map((user) => players.#operate(user)),
      ...players.#browsers.map((browser) => players.#read(browser)),
    ])
    return players
  }

  async leave(): Promise<Told> {
    this.#isOver = true
    await this.#all
    return {
      bets: this.#bets,
      refused: this.#refused,
      operations: this.#operations,
      differing: this.#differing,
      repeats: this.#repeats,
      reads: this.#reads,
      counts: this.#counts,
    }
  }

  /** Whether those who have signed in at the beginning still are. */
  async areSignedIn(): Promise<readonly number[]> {
    const answers = await Promise.all(
      this.#browsers.map((browser) => browser.get(this.#world.url, '/auth/me')),
    )
    return answers.map(({ status }) => status)
  }

  async #lookForOffers(): Promise<void> {
    while (!this.#isOver) {
      this.#offers = await insist(() => offersOf(this.#world.sql))
      await sleep(500)
    }
  }

  async #bet(user: string): Promise<void> {
    const { url, directUrl } = this.#world
    const client = new BetClient({ url, databaseUrl: directUrl }, user)
    for (let number = 1; !this.#isOver; number += 1) {
      await sleep(this.#random.int(50, 350))
      if (this.#offers.length === 0) continue
      const { eventId, market, selection } = this.#random.pick(this.#offers)
      const key = `bet-${number}`
      const stakeMinor = this.#random.int(1, 50)
      const order = { event_id: eventId, market, selection, stake_minor: stakeMinor }
      const place = () => {
        this.#count('asked for a bet')
        return client.place(order, key)
      }
      const answer = await insistOnAnswer(place)
      this.#count(`bet ${answer.status}`)
      if (answer.status !== 201) {
        this.#refused.push({ user, key })
        continue
      }
      this.#bets.push({ user, key, betId: String(answer.body['bet_id']), eventId, stakeMinor })
      if (this.#random.next() < 0.8) continue
      this.#repeats += 1
      const again = await insistOnAnswer(place)
      if (again.text !== answer.text) this.#differing += 1
    }
  }

  async #operate(user: string): Promise<void> {
    const { url, directUrl, sql } = this.#world
    const client = new BotClient({ url, databaseUrl: directUrl }, user)
    const ids = await insist(() => botsOf(sql, user))
    while (!this.#isOver) {
      await sleep(this.#random.int(200, 1500))
      const operation = this.#random.pick(['start', 'start', 'stop', 'recover'] as const)
      const answer = await client[operation](this.#random.pick(ids)).catch(() => undefined)
      this.#count(`bot ${answer?.status ?? 'no answer'}`)
      if (answer?.status === 200) this.#operations.push(String(answer.body['event_id']))
    }
  }

  async #read(browser: Browser): Promise<void> {
    while (!this.#isOver) {
      const path = this.#random.pick(READS)
      const answer = await browser.get(this.#world.url, path).catch(() => undefined)
      const status = String(answer?.status ?? 'no answer')
      this.#reads[status] = (this.#reads[status] ?? 0) + 1
      await sleep(this.#random.int(50, 400))
    }
  }

  #count(what: string): void {
    this.#counts[what] = (this.#counts[what] ?? 0) + 1
  }
}

interface Offer {
  readonly eventId: string
  readonly market: string
  readonly selection: string
}

async function offersOf(sql: PoolGuard): Promise<readonly Offer[]> {
  const { rows } = await sql.query<{ event_id: string; market: string; selection: string }>(
    `select event_id, market, selection from odds join sport_events on sport_events.id = event_id
     where status = 'scheduled' and starts_at between clock_timestamp() + $1 * interval '1 second'
       and clock_timestamp() + $2 * interval '1 second'`,
    [OFFERED.fromSeconds, OFFERED.toSeconds],
  )
  return rows.map(({ event_id, market, selection }) => ({ eventId: String(event_id), market, selection }))
}

async function botsOf(sql: PoolGuard, user: string): Promise<readonly string[]> {
  const { rows } = await sql.query<{ id: string }>(
    `select bots.id from bots join users on users.id = user_id join tenants on tenants.id = tenant_id
     where slug || '/' || email = $1 order by bots.id`,
    [user],
  )
  return rows.map(({ id }) => String(id))
}
