// HTTP to servers of others, by an address that an operator has written down and somebody else's name server answers for.
//
// Guarantees: a name is looked up once for each connection, and the connection goes to one of the addresses that were
// looked at then, so that no second answer of a name server counts; where one of them may not be reached, none is. No
// redirect is followed. An answer takes at most so many bytes and so much time, whatever the server does; what it sends
// beyond them is not read.
// Does not guarantee that a name server answers in time: whoever asks has a time-out of its own.

import { lookup } from 'node:dns/promises'
import { isIP, type LookupFunction } from 'node:net'
import { withOutcome } from '@holdfast/circuit-breaker'
import { type Clock, systemClock } from '@holdfast/footing'
import { Agent, buildConnector, type Dispatcher } from 'undici'
import { ApiAddressRefusedError } from '../errors.ts'

/** An address of a name. */
export interface ResolvedAddress {
  readonly address: string
  readonly family: number
}

/** What it is made of. */
export interface OutboundClientOptions {
  /** Which addresses may be reached. */
  readonly mayReach: (address: string) => boolean
  /** All addresses of a name. Default: those that the system knows. */
  readonly resolve?: (hostname: string) => Promise<readonly ResolvedAddress[]>
  /** Longest time for a connection, TLS included. Default 3,000. */
  readonly connectTimeoutMs?: number
  /** Longest wait for the head of an answer. Default 8,000. */
  readonly headersTimeoutMs?: number
  /** Longest time for the rest of an answer, in all: what has come by then is what there is. Default 1,500. */
  readonly bodyTimeoutMs?: number
  /** What is read of an answer. Default 65,536. */
  readonly maxAnswerBytes?: number
  /** Who vouches for servers, as PEM. Default: whom Node believes. */
  readonly ca?: string
  readonly clock?: Pick<Clock, 'schedule'>
}

/** What is sent. */
export interface OutboundRequest {
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly signal: AbortSignal
}

/** What came back. */
export interface OutboundAnswer {
  readonly status: number
  readonly retryAfter: string | undefined
  /** At most `maxAnswerBytes`. */
  readonly text: string
  /** Whether there was more, or the rest did not come. */
  readonly isCut: boolean
}

const MAX_HEADER_BYTES = 16_384
/** Of one server. */
const MAX_CONNECTIONS = 4
const KEEP_ALIVE_MS = 4000
const MAX_KEEP_ALIVE_MS = 30_000

/** Sends requests. */
export class OutboundClient {
  readonly #agent: Agent
  readonly #maxAnswerBytes: number
  readonly #bodyTimeoutMs: number
  readonly #clock: Pick<Clock, 'schedule'>

  constructor(options: OutboundClientOptions) {
    this.#maxAnswerBytes = options.maxAnswerBytes ?? 65_536
    this.#bodyTimeoutMs = options.bodyTimeoutMs ?? 1500
    this.#clock = options.clock ?? systemClock
    this.#agent = new Agent({
      connect: pinning(options),
      connections: MAX_CONNECTIONS,
      pipelining: 1,
      allowH2: false,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: MAX_KEEP_ALIVE_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: options.headersTimeoutMs ?? 8000,
      // The time for all of it is shorter than that for a pause within.
      bodyTimeout: 2 * this.#bodyTimeoutMs,
    })
  }

  /**
   * Posts a body. An answer is an answer, whatever its status.
   * @throws {ApiAddressRefusedError} when the name leads to where nothing may be sent.
   */
  async post({ url, headers, body, signal }: OutboundRequest): Promise<OutboundAnswer> {
    const answer = await this.#agent.request({
      method: 'POST',
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      headers: { ...headers },
      body,
      signal,
    })
    const { statusCode, headers: answered } = answer
    const retryAfter = answered['retry-after']
    const { text, isCut } = await this.#read(answer.body, signal)
    return {
      status: statusCode,
      retryAfter: typeof retryAfter === 'string' ? retryAfter : undefined,
      text,
      isCut,
    }
  }

  /** Ends all connections. */
  close(): Promise<void> {
    return this.#agent.destroy()
  }

  /** The status stands, whatever becomes of the rest. Rejects when the caller leaves. */
  async #read(body: Dispatcher.ResponseData['body'], signal: AbortSignal) {
    // Whoever reads no further is told of that as of an error.
    body.on('error', () => {})
    // One that comes drop by drop would take as long as the caller has, who would not know then what was answered.
    const cancel = this.#clock.schedule(this.#bodyTimeoutMs, () => body.destroy())
    const chunks: Buffer[] = []
    let left = this.#maxAnswerBytes
    let isCut = false
    try {
      for await (const chunk of body as AsyncIterable<Buffer>) {
        chunks.push(chunk.subarray(0, left))
        left -= chunk.length
        if (left < 0) {
          isCut = true
          // Ends the connection, and with it what is still on its way.
          break
        }
      }
    } catch (error) {
      if (signal.aborted) throw error
      isCut = true
    } finally {
      cancel()
    }
    return { text: Buffer.concat(chunks).toString('utf8'), isCut }
  }
}

function pinning({
  mayReach,
  resolve = resolveAll,
  connectTimeoutMs = 3000,
  ca,
}: OutboundClientOptions): buildConnector.connector {
  return (options, callback) => {
    const { hostname } = options
    addressesOf(hostname, resolve).then(
      (addresses) => {
        const refused = addresses.find(({ address }) => !mayReach(address))
        if (refused !== undefined || addresses.length === 0) {
          // The server was not asked: this says nothing about it.
          const error = new ApiAddressRefusedError(hostname, refused?.address ?? 'nowhere')
          callback(withOutcome(error, 'ignored'), null)
          return
        }
        const connect = buildConnector({
          timeout: connectTimeoutMs,
          allowH2: false,
          maxCachedSessions: 0,
          lookup: answering(addresses),
          ...(ca !== undefined && { ca }),
        })
        connect(options, callback)
      },
      (error: Error) => callback(error, null),
    )
  }
}

/** An address that stands in the place of a name is looked up by nobody. */
async function addressesOf(
  hostname: string,
  resolve: (hostname: string) => Promise<readonly ResolvedAddress[]>,
): Promise<readonly ResolvedAddress[]> {
  const family = isIP(hostname)
  return family === 0 ? resolve(hostname) : [{ address: hostname, family }]
}

function resolveAll(hostname: string): Promise<readonly ResolvedAddress[]> {
  return lookup(hostname, { all: true, verbatim: true })
}

/** Answers with what was looked at, in place of another look-up. */
function answering(addresses: readonly ResolvedAddress[]): LookupFunction {
  return (_hostname, { all }, callback) => {
    if (all === true) {
      callback(
        null,
        addresses.map(({ address, family }) => ({ address, family })),
      )
      return
    }
    const [first] = addresses
    callback(null, first?.address ?? '', first?.family)
  }
}
