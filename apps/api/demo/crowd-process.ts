// The process of the users: thousands of keep-alive connections, told what to do by the demonstration, to which it tells
// what they saw, once in a second. A process of its own, so that nobody waits for anybody but the service.

import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { KeepAliveConnection, type SeededRandom, seededRandom } from '@holdfast/test-kit'
import { type AnswerClass, classOf, type Kind, noCounts } from './answer-class.ts'
import type { BetName, CrowdPlan, FromCrowd, Gathering, Offered, ToCrowd } from './crowd-protocol.ts'
import { bet, get } from './crowd-requests.ts'
import { DemoUser, type UserWorld } from './demo-user.ts'
import { newHistogram, record } from './latency-histogram.ts'
import type { KindSecond } from './timeline.ts'

const SECOND_MS = 1000
/** `HANDLER_TIMEOUT` is 30 s; this is for machines that have other things to do. */
const LONGEST_MS = 60_000
const FINISH_MS = 180_000
const TICK_MS = 20
/** Who come in one tick: what a backlog of 511 takes in its stride. */
const MAX_AT_ONCE = 50
/** A flood comes from so many addresses, so that no limit of addresses stops it. */
const FLOOD_ADDRESSES = 4000
const FLOOD_FIRST_ADDRESS = 60_000
const MAX_ODDITIES = 20
/** An hour of them. */
const MAX_BETS = 1_000_000

class Crowd implements UserWorld {
  port = 0
  thinkMs = 5000
  offers: readonly Offered[] = []
  finishing = false
  random: SeededRandom = seededRandom(1)
  readonly #lateness = monitorEventLoopDelay({ resolution: 10 })
  #users: DemoUser[] = []
  #plan: CrowdPlan | undefined
  #wanted = 0
  #present = 0
  #arrivalsPerSecond = 0
  /** Of those who may come or go by now; a part of one is carried on. */
  #arrivals = 0
  #flooding = 0
  #floodPauseMs = 0
  #kinds = new Map<Kind, KindSecond>()
  #sentAgain = 0
  readonly #acknowledged: BetName[] = []
  readonly #abandoned: BetName[] = []
  readonly #oddities = new Map<string, number>()

  begin(plan: CrowdPlan): void {
    this.#plan = plan
    this.random = seededRandom(plan.seed)
    const { cookies, tenants } = plan
    this.#users = cookies.map(
      (cookie, number) => new DemoUser(number, cookie, tenants[number % tenants.length] ?? '', this),
    )
    this.#lateness.enable()
    setInterval(() => this.#arrive(), TICK_MS)
    setInterval(() => this.#second(), SECOND_MS)
  }

  gather({ users, thinkMs, arrivalsPerSecond }: Gathering): void {
    this.#wanted = users
    this.thinkMs = thinkMs
    this.#arrivalsPerSecond = arrivalsPerSecond
  }

  saw(kind: Kind, answer: AnswerClass, tookMs: number, what: string): void {
    let seen = this.#kinds.get(kind)
    if (seen === undefined) {
      seen = { classes: noCounts(), latencies: newHistogram() }
      this.#kinds.set(kind, seen)
    }
    ;(seen.classes as Record<AnswerClass, number>)[answer] += 1
    record(seen.latencies, tookMs)
    const isOdd = answer === 'none' || answer === 'error'
    if (isOdd && (this.#oddities.has(what) || this.#oddities.size < MAX_ODDITIES))
      this.#oddities.set(what, (this.#oddities.get(what) ?? 0) + 1)
  }

  sentAgain(): void {
    this.#sentAgain += 1
  }

  acknowledged(name: BetName): void {
    if (this.#acknowledged.length < MAX_BETS) this.#acknowledged.push(name)
  }

  /** Closed loops without end, of themes and of bots. */
  flood(connections: number, pauseMs: number): void {
    const before = this.#flooding
    this.#flooding = connections
    this.#floodPauseMs = pauseMs
    for (let number = before; number < connections; number += 1) void this.#flooder(number)
  }

  async hangUp(clients: number, withinMs: number): Promise<void> {
    const cookies = this.#plan?.cookies ?? []
    await Promise.all(
      Array.from({ length: clients }, async (_, client) => {
        const number = client % cookies.length
        const cookie = cookies[number] ?? ''
        const key = `gone-${client}-${this.random.int(0, 1e9)}`
        const [offer] = this.offers
        const isBet = client % 2 === 0 && offer !== undefined
        // From other addresses: nobody else is to be blocked for that.
        const address = FLOOD_FIRST_ADDRESS + client
        await sleep(this.random.int(0, withinMs))
        const connection = await KeepAliveConnection.open(this.port).catch(() => undefined)
        if (connection === undefined) return
        connection.use({ onAnswer() {}, onBroken() {} })
        connection.send(isBet ? bet(address, cookie, key, offer, 1) : get('/api/bot/status', address, cookie))
        if (isBet && this.#abandoned.length < MAX_BETS) this.#abandoned.push(`${number} ${key}`)
        await sleep(this.random.int(0, 8))
        connection.close()
      }),
    )
    tell({ say: 'hung up' })
  }

  async finish(): Promise<void> {
    this.finishing = true
    this.#wanted = 0
    this.flood(0, 0)
    const endMs = performance.now() + FINISH_MS
    const owed = () => this.#users.filter(({ isOwed }) => isOwed)
    while (owed().length > 0 && performance.now() < endMs) await sleep(100)
    const unresolved = owed().length
    await sleep(SECOND_MS)
    this.#second()
    tell({
      say: 'finished',
      account: {
        acknowledged: this.#acknowledged,
        abandoned: this.#abandoned,
        unresolved,
        oddities: [...this.#oddities].map(([what, times]) => `${times} x ${what}`),
      },
    })
    process.disconnect()
    process.exit(0)
  }

  #arrive(): void {
    this.#arrivals = Math.min(this.#arrivals + (this.#arrivalsPerSecond * TICK_MS) / SECOND_MS, MAX_AT_ONCE)
    for (; this.#arrivals >= 1 && this.#present !== this.#wanted; this.#arrivals -= 1) {
      if (this.#present < this.#wanted) {
        this.#users[this.#present]?.come()
        this.#present += 1
      } else {
        this.#present -= 1
        this.#users[this.#present]?.leave()
      }
    }
  }

  #second(): void {
    const nowMs = performance.now()
    let connected = 0
    let waitingMs = 0
    for (const user of this.#users) {
      if (user.isConnected) connected += 1
      waitingMs = Math.max(waitingMs, user.waitingMs(nowMs))
      user.lookAt(nowMs, LONGEST_MS)
    }
    tell({
      say: 'second',
      second: {
        atMs: Date.now(),
        connected,
        kinds: Object.fromEntries(this.#kinds),
        sentAgain: this.#sentAgain,
        lateMs: Math.max(0, this.#lateness.max / 1e6 - 10),
        waitingMs,
      },
    })
    this.#kinds = new Map()
    this.#sentAgain = 0
    this.#lateness.reset()
  }

  async #flooder(number: number): Promise<void> {
    const { floodTenant = '', floodCookie = '' } = this.#plan ?? {}
    let connection: KeepAliveConnection | undefined
    for (let turn = number; number < this.#flooding; turn += this.#flooding) {
      const kind = turn % 2 === 0 ? 'flood theme' : 'flood status'
      const address = FLOOD_FIRST_ADDRESS + (turn % FLOOD_ADDRESSES)
      const request =
        kind === 'flood theme'
          ? get(`/${floodTenant}/api/public/load-theme`, address)
          : get('/api/bot/status', address, floodCookie)
      const startMs = performance.now()
      try {
        if (connection?.isOpen !== true) connection = await KeepAliveConnection.open(this.port)
        const { status, head } = await answerOf(connection, request)
        if (head.includes('\r\nconnection: close')) connection.close()
        this.saw(kind, classOf(status, head), performance.now() - startMs, `${kind}: ${status}`)
      } catch (error) {
        connection = undefined
        this.saw(kind, 'none', performance.now() - startMs, `${kind}: ${String(error)}`)
      }
      await sleep(this.#floodPauseMs)
    }
    connection?.close()
  }
}

function answerOf(
  connection: KeepAliveConnection,
  request: Buffer,
): Promise<{ status: number; head: string }> {
  return new Promise((resolve, reject) => {
    connection.use({
      onAnswer: (status, head) => resolve({ status, head }),
      onBroken: (what) => reject(new Error(what)),
    })
    connection.send(request)
  })
}

function tell(message: FromCrowd): void {
  if (process.connected) process.send?.(message)
}

const crowd = new Crowd()
process.on('message', (message: ToCrowd) => {
  switch (message.say) {
    case 'plan':
      crowd.begin(message.plan)
      return tell({ say: 'ready' })
    case 'users':
      return crowd.gather(message.gathering)
    case 'port':
      crowd.port = message.port
      return
    case 'offers':
      crowd.offers = message.offers
      return
    case 'flood':
      return crowd.flood(message.connections, message.pauseMs)
    case 'hang up':
      return void crowd.hangUp(message.clients, message.withinMs)
    case 'finish':
      return void crowd.finish()
  }
})
// Whoever has started it is gone.
process.on('disconnect', () => process.exit(0))
