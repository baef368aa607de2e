// A provider of odds for tests, demonstrations and development: an HTTP server that tells events, odds and results of
// sports out of a seed and a clock, and misbehaves on demand. It counts what it is asked, so that whoever asks can be
// held to what was agreed: how often in a minute, and never before the end of a pause that it wished for.

import { createServer, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { type Clock, systemClock } from '@holdfast/footing'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifySchemaValidationError } from 'fastify'
import { SPORT } from '../provider-feed.ts'
import {
  DEFAULT_FIXTURE,
  type FixtureFeed,
  type FixtureOptions,
  feedAt,
  MAX_FIXTURE_EVENTS,
} from './fixture.ts'
import { type Behaviour, documentOf, hugeBody, MODE_NAMES, type Mode, WELL } from './mode.ts'

/** What is simulated, and where. */
export interface SimulatorOptions {
  readonly sports?: readonly string[]
  readonly fixture?: Partial<FixtureOptions>
  readonly behaviour?: Partial<Behaviour>
  /** More requests than that in a minute are answered 429. Default: as many as come. */
  readonly limitPerMinute?: number
  readonly host?: string
  /** Default 0: a free one. */
  readonly port?: number
  /** Where it is told how to behave, on loopback alone. Default 0: a free one. */
  readonly controlPort?: number
  readonly clock?: Clock
  /** Called when a request has come, before anything is answered. */
  readonly onRequest?: (sport: string) => void
}

/** What it was asked. */
export interface SimulatorCounts {
  readonly requests: number
  readonly bySport: Readonly<Record<string, number>>
  readonly byMode: Readonly<Partial<Record<Mode, number>>>
  /** Most requests within any minute. */
  readonly mostInAMinute: number
  /** Requests before the end of a pause that it had asked for. */
  readonly early: number
  /** Requests that were answered 429 for being too many. */
  readonly overLimit: number
}

export const DEFAULT_SPORTS = ['football', 'tennis', 'basketball', 'chess'] as const
const MINUTE_MS = 60_000
/** Of those within a minute, for counting; more than anybody sends here. */
const MAX_REMEMBERED = 100_000

export class ProviderSimulator {
  readonly #sports: ReadonlySet<string>
  readonly #fixture: FixtureOptions
  readonly #clock: Clock
  readonly #limitPerMinute: number
  readonly #host: string
  readonly #onRequest: (sport: string) => void
  readonly #app: FastifyInstance
  readonly #control: FastifyInstance
  readonly #server: Server
  readonly #delays = new Set<() => void>()
  #behaviour: Behaviour
  #port = 0
  #requests = 0
  readonly #bySport = new Map<string, number>()
  readonly #byMode = new Map<Mode, number>()
  #recentMs: number[] = []
  #mostInAMinute = 0
  #notBeforeMs = Number.NEGATIVE_INFINITY
  #early = 0
  #overLimit = 0

  private constructor(options: SimulatorOptions) {
    const { sports = DEFAULT_SPORTS, fixture, behaviour, clock = systemClock } = options
    const wrong = sports.find((sport) => !SPORT.test(sport))
    if (wrong !== undefined) throw new RangeError(`a sport is a word in small letters, received "${wrong}"`)
    this.#sports = new Set(sports)
    this.#fixture = { ...DEFAULT_FIXTURE, ...fixture }
    const { openMs, lastsMs, keptMs, everyMs } = this.#fixture
    if ((openMs + lastsMs + keptMs) / everyMs > MAX_FIXTURE_EVENTS - 1) {
      throw new RangeError(
        `there would be more than ${MAX_FIXTURE_EVENTS} events at once: let them come less often`,
      )
    }
    this.#behaviour = { ...WELL, ...behaviour }
    this.#clock = clock
    this.#limitPerMinute = options.limitPerMinute ?? Number.POSITIVE_INFINITY
    this.#host = options.host ?? '127.0.0.1'
    this.#onRequest = options.onRequest ?? (() => {})
    this.#app = this.#feedApp()
    this.#control = this.#controlApp()
    this.#server = createServer((request, response) => this.#app.routing(request, response))
    this.#server.on('connection', (socket: Socket) => socket.on('error', () => {}))
  }

  /** Resolves when it listens. */
  static async start(options: SimulatorOptions = {}): Promise<ProviderSimulator> {
    const simulator = new ProviderSimulator(options)
    try {
      await simulator.#app.ready()
      simulator.#port = options.port ?? 0
      await simulator.#listen()
      await simulator.#control.listen({ host: '127.0.0.1', port: options.controlPort ?? 0 })
      if (simulator.#behaviour.mode === 'refused') await simulator.#refuse()
    } catch (error) {
      // One port may be open already.
      await simulator.close()
      throw error
    }
    return simulator
  }

  /** For `ODDS_PROVIDER_URL`. */
  get url(): string {
    return `http://${this.#host}:${this.#port}`
  }

  /** `GET /control` and `PUT /control` are there. */
  get controlUrl(): string {
    const { port } = this.#control.server.address() as AddressInfo
    return `http://127.0.0.1:${port}`
  }

  get behaviour(): Behaviour {
    return this.#behaviour
  }

  /** Behaves like this from now on; what is left out is as in the beginning. */
  async behave(behaviour: Partial<Behaviour>): Promise<void> {
    this.#behaviour = { ...WELL, ...behaviour }
    if (this.#behaviour.mode === 'refused') await this.#refuse()
    else if (!this.#server.listening) await this.#listen()
  }

  /** What is true about a sport, whatever is told. */
  truth(sport: string): FixtureFeed {
    return feedAt(this.#fixture, sport, this.#clock.wallMs())
  }

  counts(): SimulatorCounts {
    return {
      requests: this.#requests,
      bySport: Object.fromEntries(this.#bySport),
      byMode: Object.fromEntries(this.#byMode),
      mostInAMinute: this.#mostInAMinute,
      early: this.#early,
      overLimit: this.#overLimit,
    }
  }

  async close(): Promise<void> {
    for (const cancel of this.#delays) cancel()
    this.#delays.clear()
    await Promise.all([this.#refuse(), this.#control.close(), this.#app.close()])
  }

  #listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ host: this.#host, port: this.#port }, () => {
        this.#server.removeListener('error', reject)
        this.#port = (this.#server.address() as AddressInfo).port
        resolve()
      })
    })
  }

  #refuse(): Promise<void> {
    if (!this.#server.listening) return Promise.resolve()
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#server.closeAllConnections()
    return closed
  }

  #feedApp(): FastifyInstance {
    const app = Fastify()
    app.get<{ Params: { sport: string } }>(
      '/v1/sports/:sport/feed',
      { schema: { params: { type: 'object', properties: { sport: { type: 'string', maxLength: 40 } } } } },
      async ({ params: { sport }, raw }, reply) => {
        if (!this.#sports.has(sport)) return reply.code(404).send({ error: 'there is no such sport' })
        const behaviour = this.#behaviour
        const isOver = this.#count(sport, behaviour.mode)
        this.#onRequest(sport)
        if (isOver) {
          this.#overLimit += 1
          return this.#askToWait(reply, 429, MINUTE_MS / 1000)
        }
        return this.#answer(reply, raw.socket, sport, behaviour)
      },
    )
    return app
  }

  async #answer(reply: FastifyReply, socket: Socket, sport: string, behaviour: Behaviour): Promise<unknown> {
    const { mode, delayMs, retryAfterSeconds } = behaviour
    if (mode === 'limited') return this.#askToWait(reply, 429, retryAfterSeconds)
    if (mode === 'unavailable') return this.#askToWait(reply, 503, retryAfterSeconds)
    if (mode === 'slow') await this.#delay(delayMs)
    const feed = this.truth(sport)
    if (mode === 'huge') return reply.type('application/json').send(hugeBody(feed))
    if (mode === 'wrong_type')
      return reply.type('text/html; charset=utf-8').send('<!doctype html><title>Odds</title>')
    const text = JSON.stringify(documentOf(mode, feed))
    if (mode === 'not_json') {
      return reply.type('application/json').send(text.slice(0, Math.floor(text.length / 2)))
    }
    if (mode === 'reset' || mode === 'black_hole' || mode === 'truncated' || mode === 'drip') {
      reply.hijack()
      if (mode === 'reset') socket.resetAndDestroy()
      if (mode === 'truncated') truncate(reply, text)
      if (mode === 'drip') this.#drip(reply, text, delayMs)
      return reply
    }
    return reply.type('application/json; charset=utf-8').send(text)
  }

  #askToWait(reply: FastifyReply, status: 429 | 503, seconds: number): FastifyReply {
    if (seconds > 0) {
      this.#notBeforeMs = Math.max(this.#notBeforeMs, this.#clock.nowMs() + seconds * 1000)
      reply.header('retry-after', seconds)
    }
    return reply.code(status).send({ error: status === 429 ? 'too many requests' : 'not at the moment' })
  }

  /** Whether it is one too many. */
  #count(sport: string, mode: Mode): boolean {
    const nowMs = this.#clock.nowMs()
    this.#requests += 1
    this.#bySport.set(sport, (this.#bySport.get(sport) ?? 0) + 1)
    this.#byMode.set(mode, (this.#byMode.get(mode) ?? 0) + 1)
    if (nowMs < this.#notBeforeMs) this.#early += 1
    this.#recentMs = this.#recentMs.filter((ms) => ms > nowMs - MINUTE_MS).slice(-MAX_REMEMBERED)
    this.#recentMs.push(nowMs)
    this.#mostInAMinute = Math.max(this.#mostInAMinute, this.#recentMs.length)
    return this.#recentMs.length > this.#limitPerMinute
  }

  #drip(reply: FastifyReply, text: string, delayMs: number): void {
    const { raw } = reply
    raw.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
    const bytes = Buffer.from(text)
    const sendFrom = async (at: number): Promise<void> => {
      if (raw.destroyed || at >= bytes.length) return void raw.end()
      raw.write(bytes.subarray(at, at + 1))
      await this.#delay(delayMs)
      return sendFrom(at + 1)
    }
    void sendFrom(0)
  }

  /** Never resolves once it is closed: nobody is left to be answered. */
  #delay(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#clock.schedule(ms, () => {
        this.#delays.delete(cancel)
        resolve()
      })
      this.#delays.add(cancel)
    })
  }

  #controlApp(): FastifyInstance {
    const app = Fastify({
      ajv: { customOptions: { removeAdditional: false, coerceTypes: false } },
      schemaErrorFormatter: wrongBehaviour,
    })
    const state = () => {
      const { mode, delayMs, retryAfterSeconds } = this.#behaviour
      const { requests, bySport, byMode, mostInAMinute, early, overLimit } = this.counts()
      return {
        mode,
        delay_ms: delayMs,
        retry_after_seconds: retryAfterSeconds,
        requests,
        by_sport: bySport,
        by_mode: byMode,
        most_in_a_minute: mostInAMinute,
        early,
        over_limit: overLimit,
      }
    }
    app.get('/control', async () => state())
    app.put<{ Body: { mode: Mode; delay_ms?: number; retry_after_seconds?: number } }>(
      '/control',
      {
        schema: {
          body: {
            type: 'object',
            additionalProperties: false,
            required: ['mode'],
            properties: {
              mode: { type: 'string', enum: MODE_NAMES },
              delay_ms: { type: 'integer', minimum: 0, maximum: 600_000 },
              retry_after_seconds: { type: 'integer', minimum: 0, maximum: 1_000_000_000 },
            },
          },
        },
      },
      async ({ body: { mode, delay_ms, retry_after_seconds } }) => {
        await this.behave({
          mode,
          ...(delay_ms !== undefined && { delayMs: delay_ms }),
          ...(retry_after_seconds !== undefined && { retryAfterSeconds: retry_after_seconds }),
        })
        return state()
      },
    )
    return app
  }
}

/** What is wrong about what it was told. */
function wrongBehaviour([first]: readonly FastifySchemaValidationError[]): Error {
  const { instancePath = '', keyword, message = 'is not what it should be', params } = first ?? {}
  const member = instancePath.slice(1)
  if (keyword === 'enum') return new RangeError(`${member} is none of ${MODE_NAMES.join(', ')}`)
  if (keyword === 'additionalProperties') {
    return new RangeError(`there is no ${JSON.stringify(params?.['additionalProperty'])}`)
  }
  return new RangeError(`${member === '' ? 'the body' : member} ${message}`)
}

/** Promises the whole, sends half. */
function truncate({ raw }: FastifyReply, text: string): void {
  const bytes = Buffer.from(text)
  raw.writeHead(200, { 'content-type': 'application/json', 'content-length': bytes.length })
  raw.write(bytes.subarray(0, Math.floor(bytes.length / 2)), () => raw.destroy())
}
