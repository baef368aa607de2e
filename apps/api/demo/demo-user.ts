// One user: a keep-alive connection, one request at a time, a pause to think, and bets that are asked for again, with the
// key that they had, until the service has said what became of them.

import { KeepAliveConnection, type SeededRandom } from '@holdfast/test-kit'
import { type AnswerClass, classOf, type Kind } from './answer-class.ts'
import type { BetName, Offered } from './crowd-protocol.ts'
import { bet, get } from './crowd-requests.ts'

/** Shares of 100. Themes are the rest. */
const SHARES: readonly (readonly [Kind, number])[] = [
  ['bet', 5],
  ['bot status', 15],
  ['session', 20],
]
/** A bet without an answer is asked for again after so long. */
const AGAIN_MS = 1000
const MAX_STAKE = 50

/** What a user sees of the world. */
export interface UserWorld {
  readonly port: number
  readonly thinkMs: number
  readonly offers: readonly Offered[]
  readonly random: SeededRandom
  /** Nobody begins anything new. */
  readonly finishing: boolean
  saw(kind: Kind, answer: AnswerClass, tookMs: number, what: string): void
  sentAgain(): void
  acknowledged(name: BetName): void
}

interface PendingBet {
  readonly key: string
  readonly request: Buffer
}

export class DemoUser {
  readonly #number: number
  readonly #cookie: string
  readonly #world: UserWorld
  readonly #theme: Buffer
  readonly #session: Buffer
  readonly #status: Buffer
  #connection: KeepAliveConnection | undefined
  #connecting: Promise<KeepAliveConnection> | undefined
  #timer: NodeJS.Timeout | undefined
  #pending: PendingBet | undefined
  #bets = 0
  #active = false
  #askedMs: number | undefined

  constructor(number: number, cookie: string, tenant: string, world: UserWorld) {
    this.#number = number
    this.#cookie = cookie
    this.#world = world
    this.#theme = get(`/${tenant}/api/public/load-theme`, number)
    this.#session = get('/auth/me', number, cookie)
    this.#status = get('/api/bot/status', number, cookie)
  }

  get isConnected(): boolean {
    return this.#connection?.isOpen === true
  }

  /** Whether a bet of his has no answer yet. */
  get isOwed(): boolean {
    return this.#pending !== undefined
  }

  /** Comes, if he is not there: his first request follows within one pause. */
  come(): void {
    if (this.#active) return
    this.#active = true
    // Connected from the start: a user is there while he thinks, too.
    void this.#connect().catch(() => {})
    this.#next(this.#world.thinkMs * this.#world.random.next())
  }

  /** Leaves once his bets have their answers. */
  leave(): void {
    this.#active = false
    if (this.#pending === undefined && this.#askedMs === undefined) this.#end()
  }

  /** For how long he has been waiting for an answer; 0 when he is not. */
  waitingMs(nowMs: number): number {
    return this.#askedMs === undefined ? 0 : nowMs - this.#askedMs
  }

  /** Gives up what has not been answered for so long. */
  lookAt(nowMs: number, longestMs: number): void {
    if (this.#askedMs !== undefined && nowMs - this.#askedMs > longestMs)
      this.#connection?.giveUp(`no answer within ${longestMs} ms`)
  }

  #end(): void {
    clearTimeout(this.#timer)
    this.#connection?.close()
    this.#connection = undefined
  }

  #next(afterMs: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#turn(), afterMs)
  }

  /** One connection, however many times it is asked for while it is being opened. */
  #connect(): Promise<KeepAliveConnection> {
    if (this.#connection?.isOpen === true) return Promise.resolve(this.#connection)
    this.#connecting ??= KeepAliveConnection.open(this.#world.port)
      .then((connection) => {
        // Who has left meanwhile keeps none.
        if (this.#active || this.#askedMs !== undefined) this.#connection = connection
        else connection.close()
        return connection
      })
      .finally(() => {
        this.#connecting = undefined
      })
    return this.#connecting
  }

  async #turn(): Promise<void> {
    const { random, finishing } = this.#world
    if (this.#askedMs !== undefined) return
    if (this.#pending !== undefined) return this.#ask('bet', this.#pending.request)
    if (!this.#active || finishing) return this.#end()
    let place = random.int(0, 99)
    const kind = SHARES.find(([, share]) => {
      place -= share
      return place < 0
    })?.[0]
    if (kind === 'bet' && this.#world.offers.length > 0) {
      this.#bets += 1
      const key = `${this.#number}-${this.#bets}`
      const offer = random.pick(this.#world.offers)
      const request = bet(this.#number, this.#cookie, key, offer, random.int(1, MAX_STAKE))
      this.#pending = { key, request }
      return this.#ask('bet', request)
    }
    if (kind === 'bot status') return this.#ask(kind, this.#status)
    if (kind === 'session') return this.#ask(kind, this.#session)
    return this.#ask('theme', this.#theme)
  }

  /** A connection that ends while a request is on its way may have ended before: it is sent once more, on a new one. */
  async #ask(kind: Kind, request: Buffer, isAgain = false): Promise<void> {
    const startMs = performance.now()
    this.#askedMs = startMs
    const isReused = this.isConnected
    let connection: KeepAliveConnection
    try {
      connection = await this.#connect()
    } catch (error) {
      this.#answered(kind, 'none', startMs, 'no connection', String(error))
      return
    }
    connection.use({
      onAnswer: (status, head) => {
        if (head.includes('\r\nconnection: close')) connection.close()
        this.#answered(kind, classOf(status, head), startMs, String(status))
      },
      onBroken: (what) => {
        if (isReused && !isAgain) {
          this.#world.sentAgain()
          this.#connection = undefined
          void this.#ask(kind, request, true)
        } else this.#answered(kind, 'none', startMs, what)
      },
    })
    connection.send(request)
  }

  #answered(kind: Kind, answer: AnswerClass, startMs: number, what: string, detail = ''): void {
    this.#askedMs = undefined
    const { world, pending } = { world: this.#world, pending: this.#pending }
    world.saw(kind, answer, performance.now() - startMs, `${kind}: ${what} ${detail}`.trim())
    const isFinal = answer === 'fresh' || answer === 'stale' || answer === 'refused'
    if (kind === 'bet' && pending !== undefined && isFinal) {
      if (answer !== 'refused') world.acknowledged(`${this.#number} ${pending.key}`)
      this.#pending = undefined
    }
    if (this.#pending !== undefined) this.#next(AGAIN_MS * (0.5 + world.random.next()))
    else if (this.#active) this.#next(world.thinkMs * (0.5 + world.random.next()))
    else this.#end()
  }
}
