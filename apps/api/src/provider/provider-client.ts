// Asks a provider of odds over HTTP: one request for a sport, and one of its own kind of error for everything that can
// go wrong with it.
//
// Guarantees: a request ends in time, whoever stops sending at whatever point; no more than `maxBodyBytes` of an answer
// are held; no redirect is followed, and nothing is unpacked; what is answered has been looked over. Asks once: when to
// ask again is decided by whoever asks, who is told by `retryAfterMs` of an error what the provider wishes.

import { type Clock, systemClock, withRetryAfter } from '@holdfast/footing'
import { type Dispatcher, Pool } from 'undici'
import {
  ApiProviderLimitedError,
  ApiProviderTimeoutError,
  ApiProviderUnavailableError,
  ApiProviderUnreadableError,
} from '../errors.ts'
import { reasonOf } from '../reason.ts'
import { type ProviderFeed, readFeed } from './provider-feed.ts'

/** How a provider is asked. */
export interface ProviderClientOptions {
  /** Where it is, with the path that all of its addresses begin with. */
  readonly url: string
  /** Longest time for one answer, to its last byte, in ms. Default 5,000. */
  readonly timeoutMs?: number
  /** Most bytes of an answer. Default 4 MiB. */
  readonly maxBodyBytes?: number
  readonly clock?: Clock
}

/** What a worker needs of a provider. */
export interface OddsProvider {
  /**
   * All events of the sport that the provider tells about.
   * Rejects with `HOLDFAST_ERR_API_PROVIDER_` + `UNAVAILABLE`, `TIMEOUT`, `LIMITED`, `UNREADABLE`, the first and the
   * third with `retryAfterMs` where the provider says so; and with the reason of the signal.
   */
  feed(sport: string, context: { readonly signal: AbortSignal }): Promise<ProviderFeed>
}

const DEFAULT_TIMEOUT_MS = 5000
const DEFAULT_MAX_BODY_BYTES = 4 * 1024 * 1024
const CONNECTIONS = 4
const MAX_HEADER_BYTES = 16_384
const IDLE_MS = 10_000
/** Who asks for a longer pause gets this one: a provider that is wrong must not end the odds for good. */
export const MAX_RETRY_AFTER_MS = 3_600_000
const TIMEOUT_CODES: ReadonlySet<unknown> = new Set([
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
])

export class ProviderClient implements OddsProvider {
  readonly #pool: Pool
  readonly #basePath: string
  readonly #timeoutMs: number
  readonly #maxBodyBytes: number
  readonly #clock: Clock

  constructor({
    url,
    timeoutMs = DEFAULT_TIMEOUT_MS,
    maxBodyBytes = DEFAULT_MAX_BODY_BYTES,
    clock = systemClock,
  }: ProviderClientOptions) {
    const { origin, pathname } = new URL(url)
    // Looked for from where a run of them begins, so that it is looked for once.
    this.#basePath = pathname.replace(/(?<!\/)\/+$/, '')
    this.#timeoutMs = timeoutMs
    this.#maxBodyBytes = maxBodyBytes
    this.#clock = clock
    this.#pool = new Pool(origin, {
      connections: CONNECTIONS,
      pipelining: 1,
      // A connection that is being made outlives the request that it is made for.
      connectTimeout: timeoutMs,
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      keepAliveTimeout: IDLE_MS,
      keepAliveMaxTimeout: IDLE_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
    })
  }

  async feed(sport: string, { signal }: { readonly signal: AbortSignal }): Promise<ProviderFeed> {
    signal.throwIfAborted()
    const ended = new AbortController()
    const tooLate = new AbortController()
    const cancel = this.#clock.schedule(this.#timeoutMs, () => tooLate.abort())
    try {
      const document = await this.#ask(sport, AbortSignal.any([signal, tooLate.signal, ended.signal]))
      const feed = readFeed(document, sport, this.#clock.wallMs())
      if (feed === undefined)
        throw new ApiProviderUnreadableError(sport, 'is no list of events of this sport')
      return feed
    } catch (error) {
      signal.throwIfAborted()
      const { code } = Object(error) as { code?: unknown }
      if (tooLate.signal.aborted || TIMEOUT_CODES.has(code)) {
        throw new ApiProviderTimeoutError(sport, this.#timeoutMs, { cause: error })
      }
      if (String(code).startsWith('HOLDFAST_ERR_API_PROVIDER_')) throw error
      throw new ApiProviderUnavailableError(sport, reasonOf(error), { cause: error })
    } finally {
      cancel()
      // What nobody has read is not waited for, and its connection is not used again.
      ended.abort()
    }
  }

  /** Ends what is under way, and every connection. */
  close(): Promise<void> {
    return this.#pool.destroy()
  }

  async #ask(sport: string, signal: AbortSignal): Promise<unknown> {
    const answer = await this.#pool.request({
      method: 'GET',
      path: `${this.#basePath}/v1/sports/${sport}/feed`,
      headers: { accept: 'application/json', 'accept-encoding': 'identity', 'user-agent': 'holdfast' },
      signal,
    })
    // It is told by whoever reads, and where nobody does it means nothing.
    answer.body.on('error', () => {})
    this.#checkHead(sport, answer)
    const bytes = await this.#read(sport, answer)
    try {
      return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    } catch (error) {
      throw new ApiProviderUnreadableError(sport, 'is no JSON', { cause: error })
    }
  }

  #checkHead(sport: string, { statusCode, headers }: Dispatcher.ResponseData): void {
    const { 'content-type': type, 'content-encoding': encoding, 'retry-after': wish } = headers
    const retryAfterMs = retryAfterOf(wish, this.#clock.wallMs())
    if (statusCode === 429) throw patient(new ApiProviderLimitedError(sport), retryAfterMs)
    if (statusCode >= 500) {
      throw patient(new ApiProviderUnavailableError(sport, `it answered ${statusCode}`), retryAfterMs)
    }
    if (statusCode !== 200) throw new ApiProviderUnreadableError(sport, `has the status ${statusCode}`)
    if (typeof type !== 'string' || !/^application\/json\s*(;|$)/i.test(type)) {
      throw new ApiProviderUnreadableError(sport, `is of the type ${JSON.stringify(type)?.slice(0, 80)}`)
    }
    if (encoding !== undefined && encoding !== 'identity') {
      throw new ApiProviderUnreadableError(sport, 'is packed, which was not asked for')
    }
  }

  async #read(sport: string, { body, headers }: Dispatcher.ResponseData): Promise<Buffer> {
    const tooLarge = () => new ApiProviderUnreadableError(sport, `is larger than ${this.#maxBodyBytes} bytes`)
    if (Number(headers['content-length'] ?? 0) > this.#maxBodyBytes) throw tooLarge()
    const chunks: Buffer[] = []
    let byteCount = 0
    for await (const chunk of body as AsyncIterable<Buffer>) {
      byteCount += chunk.length
      if (byteCount > this.#maxBodyBytes) throw tooLarge()
      chunks.push(chunk)
    }
    return Buffer.concat(chunks, byteCount)
  }
}

/** Milliseconds out of a `Retry-After` (RFC 9110, 10.2.3: seconds or a date), at most an hour; undefined: none that can be read. */
export function retryAfterOf(header: string | string[] | undefined, wallMs: number): number | undefined {
  if (typeof header !== 'string') return undefined
  const text = header.trim()
  const ms = /^\d{1,12}$/.test(text)
    ? Number(text) * 1000
    : / GMT$/.test(text)
      ? Date.parse(text) - wallMs
      : Number.NaN
  return Number.isNaN(ms) ? undefined : Math.min(MAX_RETRY_AFTER_MS, Math.max(0, ms))
}

function patient<E extends Error>(error: E, retryAfterMs: number | undefined): E {
  return retryAfterMs === undefined ? error : withRetryAfter(error, retryAfterMs)
}
