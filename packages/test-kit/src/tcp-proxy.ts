import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { freePort } from './free-port.ts'
import { type Pace, PacedStream } from './paced-stream.ts'

/** Where a `TcpProxy` leads to. */
export interface TcpProxyOptions {
  readonly targetPort: number
  /** Default `127.0.0.1`. */
  readonly targetHost?: string
}

/** A client's connection through a proxy. */
export interface ProxiedConnection {
  /** Counts from 1. */
  readonly number: number
}

interface Connection extends ProxiedConnection {
  readonly client: Socket
  /** Absent while the connection came in during a black hole. */
  upstream?: Socket
  streams: readonly PacedStream[]
}

const unhindered: Pace = { latencyMs: 0, bytesPerSecond: Number.POSITIVE_INFINITY }
const maxConnections = 10_000
const maxPortAttempts = 5

/**
 * A TCP proxy on a private port of 127.0.0.1 that can behave like a bad network.
 *
 * It does not keep the process alive. When the target refuses, its client sees a reset rather than a
 * refusal, because the proxy has accepted before it can know: use the server's direct port where that
 * difference matters, or `refuse()`.
 */
export class TcpProxy {
  /** The proxy's port. It never changes. */
  readonly port: number
  /** Sees every chunk that a client sends. */
  onClientData: ((chunk: Buffer, connection: ProxiedConnection) => void) | undefined

  readonly #target: { readonly port: number; readonly host: string }
  readonly #server: Server
  readonly #open = new Set<Connection>()
  #pace: Pace = unhindered
  #blackhole = false
  #connections = 0
  #bytesFromClient = 0
  #bytesFromServer = 0

  /** Listens on a free port. */
  static async start(options: TcpProxyOptions): Promise<TcpProxy> {
    for (let attempt = 1; ; attempt += 1) {
      const proxy = new TcpProxy(await freePort(), options)
      try {
        await proxy.#listen()
        return proxy
      } catch (error) {
        if (attempt === maxPortAttempts) throw error
      }
    }
  }

  private constructor(port: number, options: TcpProxyOptions) {
    this.port = port
    this.#target = { port: options.targetPort, host: options.targetHost ?? '127.0.0.1' }
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true })
    this.#server.maxConnections = maxConnections
    this.#server.on('connection', (client) => this.#accept(client))
  }

  /** Connections accepted so far. */
  get connections(): number {
    return this.#connections
  }

  /** Connections open at this moment. */
  get openConnections(): number {
    return this.#open.size
  }

  /** Bytes that clients sent so far. */
  get bytesFromClient(): number {
    return this.#bytesFromClient
  }

  /** Bytes that the target sent so far. */
  get bytesFromServer(): number {
    return this.#bytesFromServer
  }

  /** Accepts and never answers: new connections stay silent, and the open ones fall silent. */
  blackhole(): void {
    this.#blackhole = true
    for (const { streams } of this.#open) for (const stream of streams) stream.hold()
  }

  /** Refuses new connections (ECONNREFUSED). Open ones stay: `reset()` ends them. */
  refuse(): void {
    this.#server.close()
  }

  /** Ends every open connection by RST (ECONNRESET) on both sides. New ones are accepted. */
  reset(): void {
    for (const connection of this.#open) resetBoth(connection)
  }

  /** Every byte arrives `ms` later, in each direction. */
  latency(ms: number): void {
    if (!(ms >= 0 && ms < 2 ** 31)) throw new RangeError(`latency is 0 to 2^31 milliseconds, received ${ms}`)
    this.#setPace({ ...this.#pace, latencyMs: ms })
  }

  /** At most so many bytes per second, for each connection and direction. */
  slow(bytesPerSecond: number): void {
    if (!(bytesPerSecond > 0))
      throw new RangeError(`a line carries bytes, received ${bytesPerSecond} per second`)
    this.#setPace({ ...this.#pace, bytesPerSecond })
  }

  /**
   * Undoes `blackhole`, `refuse`, `latency` and `slow`. What was held back is delivered, as by a network
   * that works again. Resolves when new connections are accepted.
   */
  async heal(): Promise<void> {
    this.#setPace(unhindered)
    this.#blackhole = false
    for (const connection of this.#open) {
      if (connection.upstream === undefined) this.#lead(connection)
      for (const stream of connection.streams) stream.release()
    }
    if (!this.#server.listening) await this.#listen()
  }

  /** Ends every connection and stops listening. */
  async close(): Promise<void> {
    this.reset()
    if (!this.#server.listening) return
    this.#server.close()
    await once(this.#server, 'close')
  }

  #listen(): Promise<unknown> {
    this.#server.listen({ port: this.port, host: '127.0.0.1', backlog: 1024 }).unref()
    return once(this.#server, 'listening')
  }

  #setPace(pace: Pace): void {
    this.#pace = pace
    for (const { streams } of this.#open) for (const stream of streams) stream.setPace(pace)
  }

  #accept(client: Socket): void {
    client.unref()
    this.#connections += 1
    const connection: Connection = { number: this.#connections, client, streams: [] }
    this.#open.add(connection)
    this.#watch(connection, client)
    if (!this.#blackhole) this.#lead(connection)
  }

  /** Connects an accepted client with the target. */
  #lead(connection: Connection): void {
    const { client } = connection
    const upstream = connect({ ...this.#target, allowHalfOpen: true, noDelay: true }).unref()
    connection.upstream = upstream
    this.#watch(connection, upstream)
    connection.streams = [
      new PacedStream(client, upstream, this.#pace, (bytes) => {
        this.#bytesFromClient += bytes.length
        this.onClientData?.(bytes, connection)
      }),
      new PacedStream(upstream, client, this.#pace, (bytes) => {
        this.#bytesFromServer += bytes.length
      }),
    ]
    client.resume()
  }

  /** A socket that fails takes the other side with it; one that ends in order has said so by its end. */
  #watch(connection: Connection, socket: Socket): void {
    socket.on('error', () => resetBoth(connection))
    socket.on('close', () => {
      const { client, upstream } = connection
      if (client.destroyed && (upstream === undefined || upstream.destroyed)) this.#open.delete(connection)
    })
  }
}

function resetBoth({ client, upstream }: Connection): void {
  reset(client)
  if (upstream !== undefined) reset(upstream)
}

/**
 * Ends a socket by RST, if it can be: one that still connects would wait for its connection, and one that is
 * just sending its end refuses and would then never be closed (Node 24: the process spins at its exit).
 */
function reset(socket: Socket): void {
  const ending = socket.writableEnded && !socket.writableFinished
  if (socket.connecting || ending) socket.destroy()
  else socket.resetAndDestroy()
}
