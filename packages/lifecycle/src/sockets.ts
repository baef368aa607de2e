// Who is connected to a server, and who of them waits for an answer. Node closes neither connections that never sent
// anything nor those that sent half a request, and it ends a keep-alive connection only after the answer that says so.
//
// A request costs one write of a property. In flight is whoever's latest answer has not been handed to the system: with
// pipelining the latest is the last one to be written.

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { afterTurn, pathOf } from '@holdfast/footing'

const latest = Symbol('the latest answer on this connection')
const away = Symbol('the request on this connection was turned away')
const since = Symbol('when this connection was made')

interface Connection extends Socket {
  [away]?: boolean
  [latest]?: ServerResponse
  [since]?: number
}

/** A request without its answer. */
export interface OpenRequest {
  readonly method: string
  /** Without its query, at most 200 characters. */
  readonly path: string
}

const MAX_PATH = 200
const MAX_NAMED = 10
/** Methods of requests without a body, which change nothing. */
const REPEATABLE: ReadonlySet<string> = new Set(['GET', 'HEAD'])
/** A client that has connected is about to ask. */
const YOUNG_MS = 500
/** Some of them are without a new connection, or there is a flood. */
const MAX_TURNS = 1000
const SHORT_TURN_MS = 0.2

/** The connections of one HTTP/1 server. */
export class SocketTable {
  readonly #server: Server
  readonly #nowMs: () => number
  readonly #isProbe: (path: string) => boolean
  readonly #open = new Set<Connection>()
  /** Connections without a TLS handshake so far, by their remote end. */
  readonly #handshaking = new Map<string, Connection>()
  readonly #stopWatching: () => void
  #accepted = 0
  #leaving = false
  #draining = false
  #lastRequestMs = Number.NEGATIVE_INFINITY
  #drained = 0
  #turningAway = false
  #turnedAway = 0

  constructor(server: Server, nowMs: () => number, isProbe: (path: string) => boolean) {
    this.#server = server
    this.#nowMs = nowMs
    this.#isProbe = isProbe
    const secure = isSecure(server)
    const onConnection = (socket: Connection) => this.#add(socket)
    const onRaw = (socket: Connection) => this.#addHandshake(socket)
    const onRequest = (request: IncomingMessage, response: ServerResponse) => this.#note(request, response)
    // First, so that an answer that is given at once already says `Connection: close`.
    server.prependListener('request', onRequest)
    server.on(secure ? 'secureConnection' : 'connection', onConnection)
    if (secure) server.on('connection', onRaw)
    this.#stopWatching = () => {
      server.off('request', onRequest)
      server.off(secure ? 'secureConnection' : 'connection', onConnection)
      server.off('connection', onRaw)
    }
  }

  /** Connections, those in a TLS handshake included. */
  get open(): number {
    return this.#open.size + this.#handshaking.size
  }

  /** Connections that wait for an answer. */
  get inFlight(): number {
    let count = 0
    for (const connection of this.#open) if (isWaiting(connection)) count += 1
    return count
  }

  /** Requests that came since the drain began, probes not counted. */
  get drained(): number {
    return this.#drained
  }

  /** Requests that were turned away. */
  get turnedAway(): number {
    return this.#turnedAway
  }

  /** Whether nobody is connected and nobody can be. */
  get closed(): boolean {
    return !this.#server.listening && this.open === 0
  }

  /** What is in flight, the first of it. */
  openRequests(): OpenRequest[] {
    const requests: OpenRequest[] = []
    for (const connection of this.#open) {
      if (requests.length >= MAX_NAMED) break
      const request = isWaiting(connection) ? connection[latest]?.req : undefined
      if (request !== undefined) requests.push({ method: request.method ?? '', path: shortPath(request) })
    }
    return requests
  }

  /**
   * From now on every answer says `Connection: close`, those under way included whose headers are not out yet; `false`
   * takes that back.
   */
  sendAway(leaving: boolean): void {
    this.#leaving = leaving
    if (!leaving) return
    for (const connection of this.#open) {
      const response = isWaiting(connection) ? connection[latest] : undefined
      if (response?.headersSent === false) response.shouldKeepAlive = false
    }
  }

  /** Begins to count who still comes. */
  drain(): void {
    this.#draining = true
    this.sendAway(true)
  }

  /** From now on the connection of a GET or HEAD is destroyed without an answer; `false` takes that back. */
  turnAway(turning: boolean): void {
    this.#turningAway = turning
  }

  /** Whether that became of this request, so that nobody is to execute it. */
  turnedThisAway(request: IncomingMessage): boolean {
    const connection: Connection = request.socket
    return connection[away] === true
  }

  /**
   * When somebody last came since the drain began: a request that is no probe, or a connection that has not asked yet and
   * may be a client that a balancer still sends here.
   */
  lastArrivalMs(): number {
    let last = this.#lastRequestMs
    for (const connection of this.#open) {
      const atMs = connection[latest] === undefined ? (connection[since] ?? 0) : 0
      if (atMs > last) last = atMs
    }
    return last
  }

  /**
   * Stops listening, right after a short turn of the event loop in which nobody connected: who has connected and was
   * not accepted when a listener closes is reset, and may have sent a request already. Never rejects.
   */
  stopListening(): Promise<void> {
    return new Promise((resolve) => {
      let turns = 0
      let accepted = -1
      let beganMs = 0
      // Node calls it when a server closes, wherever in a turn that is: a request that has come may not have been read.
      this.#server.closeIdleConnections = () => {}
      // Fastify calls it where it is to close by force: requests under way have their time here, and are cut after it.
      this.#server.closeAllConnections = () => {}
      const look = () => {
        turns += 1
        const nowMs = this.#nowMs()
        const isQuiet = accepted === this.#accepted && nowMs - beganMs <= SHORT_TURN_MS
        if (!isQuiet && turns < MAX_TURNS) {
          accepted = this.#accepted
          beganMs = nowMs
          afterTurn(look)
          return
        }
        if (this.#server.listening) this.#server.close()
        resolve()
      }
      look()
    })
  }

  /**
   * Destroys the connections on which nobody waits for an answer: idle, silent, half a request. One that is so young that
   * its request may be under way is spared.
   */
  sweep(): void {
    const nowMs = this.#nowMs()
    for (const connection of [...this.#open, ...this.#handshaking.values()]) {
      const { [latest]: answer, [since]: madeMs = 0 } = connection
      const isYoung = answer === undefined && nowMs - madeMs < YOUNG_MS
      // One that is at its end already has its last bytes to send.
      if (!isYoung && !connection.writableEnded && !isWaiting(connection)) connection.destroy()
    }
  }

  /** Destroys all connections; answers how many waited for an answer. */
  cut(): number {
    const { inFlight } = this
    for (const connection of this.#open) connection.destroy()
    for (const socket of this.#handshaking.values()) socket.destroy()
    return inFlight
  }

  /** Takes its listeners off the server. */
  dispose(): void {
    this.#stopWatching()
  }

  #add(socket: Connection): void {
    const remote = remoteEnd(socket)
    this.#handshaking.delete(remote)
    this.#open.add(socket)
    this.#accepted += 1
    socket[since] = this.#nowMs()
    socket.once('close', () => this.#open.delete(socket))
  }

  #addHandshake(socket: Connection): void {
    const remote = remoteEnd(socket)
    this.#accepted += 1
    socket[since] = this.#nowMs()
    this.#handshaking.set(remote, socket)
    socket.once('close', () => {
      // A port can be in use again.
      if (this.#handshaking.get(remote) === socket) this.#handshaking.delete(remote)
    })
  }

  #note(request: IncomingMessage, response: ServerResponse): void {
    const connection: Connection = request.socket
    const isNext = this.#turningAway && isWaiting(connection)
    connection[latest] = response
    if (!this.#leaving) return
    response.shouldKeepAlive = false
    if (!this.#draining) return
    if (this.#isProbe(shortPath(request))) return
    this.#lastRequestMs = this.#nowMs()
    // The one before on this connection, sent without waiting, is answered.
    if (this.#turningAway && !isNext && REPEATABLE.has(request.method ?? '')) {
      this.#turnedAway += 1
      connection[away] = true
      connection.destroy()
      return
    }
    this.#drained += 1
  }
}

/** Whether the server speaks HTTP/1: of HTTP/2 a connection carries many requests, and has no `Connection` header. */
export function speaksHttp1(server: object): server is Server {
  return !('updateSettings' in server)
}

function isSecure(server: object): boolean {
  return 'setSecureContext' in server
}

function isWaiting(connection: Connection): boolean {
  const response = connection[latest]
  return response !== undefined && !response.writableFinished && !response.destroyed
}

function remoteEnd({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}

function shortPath({ url = '' }: IncomingMessage): string {
  return pathOf(url).slice(0, MAX_PATH)
}
