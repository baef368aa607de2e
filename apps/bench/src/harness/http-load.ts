/**
 * A closed-loop HTTP/1.1 load: every connection has exactly one request in flight and sends the next as soon
 * as the answer is complete. It writes prepared bytes to plain sockets and parses only what it must (status,
 * length), because a load generator that costs more than the server would measure itself.
 *
 * It guarantees that every answer was counted by status and read to its last byte, and that no connection is
 * opened while it drives. It speaks to loopback, without TLS, and refuses chunked answers: none of the measured
 * routes streams.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** One kind of request, and the only status that counts as an answer to it. */
export interface LoadTarget {
  readonly port: number
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly expectStatus: number
  readonly durationMs: number
}

export interface LoadResult {
  /** Answers with the expected status. */
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

/** The connections to all servers of a row, kept open between slices. */
export class HttpLoad {
  readonly #connections = new Map<number, Connection[]>()

  /** Sees to it that `count` connections to `port` are open. Rejects when the server does not accept them. */
  async open(port: number, count: number): Promise<void> {
    const open = (this.#connections.get(port) ?? []).filter((connection) => connection.isOpen)
    const missing = Array.from({ length: count - open.length }, () => Connection.open(port))
    this.#connections.set(port, [...open, ...(await Promise.all(missing))])
  }

  /** Drives one target for `durationMs` and lets the requests in flight finish. Never rejects. */
  async drive(target: LoadTarget): Promise<LoadResult> {
    const request = requestBytes(target)
    const latencies: number[] = []
    let failures = 0
    let firstFailure: string | undefined
    const fail = (what: string): void => {
      failures += 1
      firstFailure ??= what
    }

    // The loop is kept turning: a sender has to wake a receiver that sleeps, and on a virtual machine that costs
    // the measured server several microseconds per answer which no real network would charge it with.
    let driving = true
    const turn = (): void => {
      if (driving) setImmediate(turn)
    }
    turn()

    const connections = this.#connections.get(target.port) ?? []
    const startedAt = performance.now()
    const endsAt = startedAt + target.durationMs
    let lastAnswerAt = startedAt
    const driveOne = (connection: Connection): Promise<void> =>
      new Promise((resolve) => {
        let sentAt = startedAt
        connection.use({
          onAnswer(status) {
            const now = performance.now()
            lastAnswerAt = now
            if (status === target.expectStatus) latencies.push(now - sentAt)
            else fail(`status ${status} instead of ${target.expectStatus} from ${target.path}`)
            if (now >= endsAt) {
              resolve()
              return
            }
            sentAt = now
            connection.send(request)
          },
          onBroken(what) {
            fail(what)
            resolve()
          },
        })
        connection.send(request)
      })
    const drain = setTimeout(() => {
      for (const connection of connections)
        connection.giveUp(`no answer within ${DRAIN_MS} ms after the slice`)
    }, target.durationMs + DRAIN_MS)
    await Promise.all(connections.map(driveOne))
    clearTimeout(drain)
    driving = false

    latencies.sort((left, right) => left - right)
    return {
      answers: latencies.length,
      failures,
      firstFailure,
      elapsedMs: lastAnswerAt - startedAt,
      p50Ms: at(latencies, 0.5),
      p99Ms: at(latencies, 0.99),
      maxMs: at(latencies, 1),
    }
  }

  close(): void {
    for (const connections of this.#connections.values()) {
      for (const connection of connections) connection.close()
    }
    this.#connections.clear()
  }
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

/** Who is told what a connection brings. */
export interface ConnectionUser {
  /** `head` is the head of the answer in small letters. */
  onAnswer(status: number, head: string): void
  /** The connection is of no use any more, and a request is without an answer. */
  onBroken(what: string): void
}

/** One socket, and the end of one answer at a time in its bytes. */
export class Connection {
  readonly #socket: Socket
  #user: ConnectionUser | undefined
  #awaitsAnswer = false
  #partialHead: Buffer | undefined
  #bodyBytesLeft = 0
  #status = 0
  #head = ''

  private constructor(port: number) {
    this.#socket = connect({
      host: '127.0.0.1',
      port,
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafe(READ_BUFFER_BYTES),
        callback: (count, buffer) => {
          this.#read(Buffer.from(buffer.buffer, buffer.byteOffset, count))
          return true
        },
      },
    })
    this.#socket.on('error', (error) => this.giveUp(`connection error: ${error.message}`))
    this.#socket.on('close', () => this.giveUp('the server closed a connection with a request in flight'))
  }

  static async open(port: number): Promise<Connection> {
    const connection = new Connection(port)
    await once(connection.#socket, 'connect')
    return connection
  }

  get isOpen(): boolean {
    return this.#socket.readyState === 'open'
  }

  use(user: ConnectionUser): void {
    this.#user = user
  }

  send(request: Buffer): void {
    this.#awaitsAnswer = true
    this.#socket.write(request)
  }

  giveUp(what: string): void {
    this.#socket.destroy()
    if (!this.#awaitsAnswer) return
    this.#awaitsAnswer = false
    this.#user?.onBroken(what)
  }

  close(): void {
    this.#awaitsAnswer = false
    this.#socket.destroy()
  }

  #read(chunk: Buffer): void {
    if (!this.#awaitsAnswer) {
      this.#socket.destroy()
      return
    }
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
    this.#head = head
    const length = /\r\ncontent-length: *(\d+)/.exec(head)?.[1]
    const bodiless = this.#status === 304 || this.#status === 204
    if (length === undefined && !bodiless) {
      this.giveUp(`an answer (${this.#status}) without content-length`)
      return
    }
    this.#bodyBytesLeft = bodiless ? 0 : Number(length)
    this.#takeBody(bytes.length - headEnd - HEAD_END.length)
  }

  #takeBody(bytes: number): void {
    this.#bodyBytesLeft -= bytes
    if (this.#bodyBytesLeft > 0) return
    if (this.#bodyBytesLeft < 0) {
      this.giveUp(`${-this.#bodyBytesLeft} bytes more than announced`)
      return
    }
    this.#awaitsAnswer = false
    this.#user?.onAnswer(this.#status, this.#head)
  }
}
