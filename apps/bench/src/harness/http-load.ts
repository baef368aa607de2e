/**
 * A closed-loop HTTP/1.1 load: every connection has exactly one request in flight and sends the next as soon
 * as the answer is complete. It writes prepared bytes to plain sockets and parses only what it must (status,
 * length), because a load generator that costs more than the server would measure itself.
 *
 * It guarantees that every answer was counted by status and read to its last byte, and that no connection is
 * opened while it drives. It speaks to loopback, without TLS, and refuses chunked answers: none of the measured
 * routes streams.
 */
import { KeepAliveConnection } from '@holdfast/test-kit'

/** One kind of request, and the only status that counts as an answer to it. */
export interface LoadTarget {
  readonly port: number
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly expectStatus: number
  readonly durationMs: number
  /** Instead of a GET. */
  readonly posting?: Posting | undefined
}

/** Requests with a body, of several people in turn, each with a key. */
export interface Posting {
  readonly body: string
  /** Of each person: who it is. */
  readonly people: readonly Readonly<Record<string, string>>[]
  /** What the keys begin with. */
  readonly keys: string
  /** Whether everybody has one key and repeats it; else every request has one of its own. */
  readonly repeats: boolean
  /** What the head of a right answer has, in small letters; undefined: whatever it is. */
  readonly expectHead?: string | undefined
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

/** A connection that does not answer for this long after the slice is over counts as a failure. */
const DRAIN_MS = 5_000

/** The connections to all servers of a row, kept open between slices. */
export class HttpLoad {
  readonly #connections = new Map<number, KeepAliveConnection[]>()

  /** Sees to it that `count` connections to `port` are open. Rejects when the server does not accept them. */
  async open(port: number, count: number): Promise<void> {
    const open = (this.#connections.get(port) ?? []).filter((connection) => connection.isOpen)
    const missing = Array.from({ length: count - open.length }, () => KeepAliveConnection.open(port))
    this.#connections.set(port, [...open, ...(await Promise.all(missing))])
  }

  /** Drives one target for `durationMs` and lets the requests in flight finish. Never rejects. */
  async drive(target: LoadTarget): Promise<LoadResult> {
    const nextRequest = requestsOf(target)
    const expectHead = target.posting?.expectHead ?? ''
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
    const driveOne = (connection: KeepAliveConnection): Promise<void> =>
      new Promise((resolve) => {
        let sentAt = startedAt
        connection.use({
          onAnswer(status, head) {
            const now = performance.now()
            lastAnswerAt = now
            if (status !== target.expectStatus)
              fail(`status ${status} instead of ${target.expectStatus} from ${target.path}`)
            else if (!head.includes(expectHead)) fail(`an answer without ${expectHead} from ${target.path}`)
            else latencies.push(now - sentAt)
            if (now >= endsAt) {
              resolve()
              return
            }
            sentAt = now
            connection.send(nextRequest())
          },
          onBroken(what) {
            fail(what)
            resolve()
          },
        })
        connection.send(nextRequest())
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

/** The bytes of one request after the other. */
function requestsOf(target: LoadTarget): () => Buffer {
  const { path, posting } = target
  const host = { host: `127.0.0.1:${target.port}`, ...target.headers }
  if (posting === undefined) {
    const request = Buffer.from(`GET ${path} HTTP/1.1\r\n${headerLines(host)}\r\n`, 'latin1')
    return () => request
  }
  const { body, people, keys, repeats } = posting
  const sized = { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }
  const heads = people.map(
    (person) =>
      `POST ${path} HTTP/1.1\r\n${headerLines({ ...host, ...sized, ...person })}idempotency-key: ${keys}`,
  )
  let sent = 0
  return () => {
    const person = sent % heads.length
    const key = repeats ? person : sent
    sent += 1
    return Buffer.from(`${heads[person]}${key}\r\n\r\n${body}`)
  }
}

function headerLines(headers: Readonly<Record<string, string>>): string {
  return Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')
}
