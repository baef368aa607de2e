/**
 * A closed-loop HTTP/1.1 load: every connection has exactly one request in flight and sends the next as soon
 * as the answer is complete. It writes prepared bytes to plain sockets and parses only what it must (status,
 * length), because a load generator that costs more than the server would measure itself.
 *
 * It guarantees that every answer was counted by status and read to its last byte. It speaks to one address,
 * without TLS, and refuses chunked answers: none of the measured routes streams.
 */
import { connect, type Socket } from 'node:net'

/** One kind of request, and the only status that counts as an answer to it. */
export interface LoadTarget {
  readonly port: number
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly expectStatus: number
}

export interface LoadOptions extends LoadTarget {
  /** Requests kept in flight, one per connection. */
  readonly connections: number
  readonly durationMs: number
}

export interface LoadResult {
  /** Answers with the expected status, completed inside the slice. */
  readonly answers: number
  /** Answers with another status, and connections that broke. A measurement is valid only when this is 0. */
  readonly failures: number
  /** What the first failure was. */
  readonly firstFailure: string | undefined
  readonly elapsedMs: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

const HEAD_END = Buffer.from('\r\n\r\n')
const READ_BUFFER_BYTES = 64 * 1024
/** A connection that does not answer for this long after the slice is over counts as a failure. */
const DRAIN_MS = 5_000

/** Drives one target for `durationMs`, lets the requests in flight finish, and reports. Never rejects. */
export function drive(options: LoadOptions): Promise<LoadResult> {
  const request = requestBytes(options)
  const latencies: number[] = []
  let failures = 0
  let firstFailure: string | undefined
  let open = 0

  return new Promise((resolve) => {
    const startedAt = performance.now()
    const endsAt = startedAt + options.durationMs
    let lastAnswerAt = startedAt
    const sockets = new Set<Socket>()
    const drain = setTimeout(() => {
      fail(`${open} connections gave no answer within ${DRAIN_MS} ms after the slice`)
      for (const socket of sockets) socket.destroy()
    }, options.durationMs + DRAIN_MS)

    // The loop is kept turning: a sender has to wake a receiver that sleeps, and on a virtual machine that costs
    // the measured server several microseconds per answer which no real network would charge it with.
    let driving = true
    const turn = (): void => {
      if (driving) setImmediate(turn)
    }
    turn()

    const fail = (what: string): void => {
      failures += 1
      firstFailure ??= what
    }
    const finish = (): void => {
      driving = false
      clearTimeout(drain)
      latencies.sort((left, right) => left - right)
      resolve({
        answers: latencies.length,
        failures,
        firstFailure,
        elapsedMs: lastAnswerAt - startedAt,
        p50Ms: at(latencies, 0.5),
        p99Ms: at(latencies, 0.99),
        maxMs: at(latencies, 1),
      })
    }

    for (let index = 0; index < options.connections; index += 1) {
      open += 1
      let sentAt = 0
      let done = false
      const reader = new AnswerReader((status, problem) => {
        const now = performance.now()
        lastAnswerAt = now
        if (problem === undefined && status === options.expectStatus) latencies.push(now - sentAt)
        else fail(problem ?? `status ${status} instead of ${options.expectStatus} from ${options.path}`)
        if (now >= endsAt || problem !== undefined) {
          done = true
          socket.destroy()
          return
        }
        sentAt = now
        socket.write(request)
      })
      const socket = connect({
        host: '127.0.0.1',
        port: options.port,
        noDelay: true,
        onread: {
          buffer: Buffer.allocUnsafe(READ_BUFFER_BYTES),
          callback: (count, buffer) => {
            reader.read(Buffer.from(buffer.buffer, buffer.byteOffset, count))
            return true
          },
        },
      })
      sockets.add(socket)
      socket.on('connect', () => {
        sentAt = performance.now()
        socket.write(request)
      })
      socket.on('error', (error) => {
        if (!done) fail(`connection error: ${error.message}`)
        done = true
      })
      socket.on('close', () => {
        if (!done) fail('the server closed a connection with a request in flight')
        sockets.delete(socket)
        open -= 1
        if (open === 0) finish()
      })
    }
  })
}

/** The value at a quantile of sorted numbers (nearest rank); 0 when there are none. */
function at(sorted: readonly number[], quantile: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * quantile))] ?? 0
}

function requestBytes(target: LoadTarget): Buffer {
  const headers = Object.entries({ host: `127.0.0.1:${target.port}`, ...target.headers })
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.from(`GET ${target.path} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1')
}

/** Finds the end of one answer at a time in the bytes of one connection. */
class AnswerReader {
  readonly #onAnswer: (status: number, problem: string | undefined) => void
  #partialHead: Buffer | undefined
  #bodyBytesLeft = 0
  #status = 0

  constructor(onAnswer: (status: number, problem: string | undefined) => void) {
    this.#onAnswer = onAnswer
  }

  read(chunk: Buffer): void {
    if (this.#bodyBytesLeft > 0) {
      this.#takeBody(chunk.length)
      return
    }
    const bytes = this.#partialHead === undefined ? chunk : Buffer.concat([this.#partialHead, chunk])
    const headEnd = bytes.indexOf(HEAD_END)
    if (headEnd === -1) {
      // The read buffer is used again for the next read, so what is kept must be copied.
      this.#partialHead = Buffer.from(bytes)
      return
    }
    this.#partialHead = undefined
    const head = bytes.toString('latin1', 0, headEnd).toLowerCase()
    this.#status = Number(head.slice(9, 12))
    const length = /\r\ncontent-length: *(\d+)/.exec(head)?.[1]
    const bodiless = this.#status === 304 || this.#status === 204
    if (length === undefined && !bodiless) {
      this.#onAnswer(this.#status, 'an answer without content-length')
      return
    }
    this.#bodyBytesLeft = bodiless ? 0 : Number(length)
    this.#takeBody(bytes.length - headEnd - HEAD_END.length)
  }

  #takeBody(bytes: number): void {
    this.#bodyBytesLeft -= bytes
    if (this.#bodyBytesLeft > 0) return
    const surplus = -this.#bodyBytesLeft
    this.#bodyBytesLeft = 0
    this.#onAnswer(this.#status, surplus > 0 ? `${surplus} bytes more than announced` : undefined)
  }
}
