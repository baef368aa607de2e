/*
 * One connection that is made again and again, for ever, until it is closed. Each attempt is a new client, which is
 * thrown away, socket and all, when it is not usable in time, when it ends, or when its owner says that it no
 * longer answers. A client that has been thrown away can tell nothing any more.
 */
import type { Clock } from '@holdfast/footing'
import { reconnectDelayMs } from './backoff.ts'
import type { RawClient } from './client.ts'

export interface ConnectionSettings {
  /** Makes a client that is not connected yet; `attempt` counts the failures since the last success. */
  readonly open: (attempt: number) => Promise<RawClient>
  /** Finds out whether a client that has connected is usable; rejects with the reason when it is not. */
  readonly check: (client: RawClient) => Promise<unknown>
  /** What has to be done with a usable client before it is up; bounds itself, and does not reject. Default: nothing. */
  readonly prepare?: (client: RawClient) => Promise<void>
  readonly onUp: (client: RawClient) => void
  /** The connection that was up has ended. */
  readonly onDown: (reason: string) => void
  /** An attempt has failed. */
  readonly onFailed: (reason: string) => void
  readonly attemptTimeoutMs: number
  readonly firstDelayMs: number
  readonly maxDelayMs: number
  readonly clock: Clock
  readonly random: () => number
}

interface Attempt {
  client: RawClient | undefined
  up: boolean
  over: boolean
  /** What the client said about its trouble; its promise only says that the connection is closed. */
  trouble: string | undefined
  cancelTimer: () => void
}

export class Connection {
  readonly #settings: ConnectionSettings
  #current: Attempt | undefined
  #failures = 0
  #cancelRetry: () => void = () => {}
  #closed = false
  /** The clients that are closing. */
  readonly #ending = new Set<Promise<void>>()

  constructor(settings: ConnectionSettings) {
    this.#settings = settings
  }

  /** The client, while it is usable. */
  get client(): RawClient | undefined {
    return this.#current?.up ? this.#current.client : undefined
  }

  start(): void {
    if (this.#closed || this.#current !== undefined) return
    this.#cancelRetry()
    const { clock, attemptTimeoutMs } = this.#settings
    const attempt: Attempt = {
      client: undefined,
      up: false,
      over: false,
      trouble: undefined,
      cancelTimer: clock.schedule(attemptTimeoutMs, () => {
        this.#end(attempt, attempt.trouble ?? `no usable connection within ${attemptTimeoutMs} ms`)
      }),
    }
    this.#current = attempt
    this.#run(attempt).catch((error: unknown) => this.#end(attempt, attempt.trouble ?? textOf(error)))
  }

  /** Throws the client away and makes another one. Does nothing when that is not the present one. */
  replace(client: RawClient, reason: string): void {
    const attempt = this.#current
    if (attempt !== undefined && attempt.client === client) this.#end(attempt, reason)
  }

  /**
   * Throws the client away, whether it is up or on its way, and connects at once, when `isWrong` says so of it: it
   * leads to another server than it should. Answers whether it did.
   */
  redirect(isWrong: (client: RawClient) => boolean, reason: string): boolean {
    const attempt = this.#current
    if (attempt?.client === undefined || !isWrong(attempt.client)) return false
    this.#end(attempt, reason)
    this.start()
    return true
  }

  /** Ends the connection for good. Resolves when its socket is closed. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancelRetry()
    const attempt = this.#current
    if (attempt !== undefined) this.#end(attempt, 'closed')
    await Promise.all(this.#ending)
  }

  async #run(attempt: Attempt): Promise<void> {
    const { open, check, prepare, onUp } = this.#settings
    const client = await open(this.#failures)
    // The listener stays when the client is thrown away: without one ioredis writes to the console.
    client.on('error', (error) => {
      attempt.trouble = textOf(error)
    })
    if (attempt.over) return this.#discard(client)
    attempt.client = client
    client.on('end', () => this.#end(attempt, attempt.trouble ?? 'the connection ended'))
    await client.connect()
    await check(client)
    if (attempt.over) return
    attempt.cancelTimer()
    await prepare?.(client)
    if (attempt.over) return
    attempt.up = true
    attempt.trouble = undefined
    this.#failures = 0
    onUp(client)
  }

  #end(attempt: Attempt, reason: string): void {
    if (attempt.over) return
    attempt.over = true
    attempt.cancelTimer()
    this.#current = undefined
    if (attempt.client !== undefined) this.#discard(attempt.client)
    const { onDown, onFailed, clock, firstDelayMs, maxDelayMs, random } = this.#settings
    if (!this.#closed) {
      if (!attempt.up) this.#failures += 1
      const delayMs = reconnectDelayMs(this.#failures + 1, firstDelayMs, maxDelayMs, random)
      this.#cancelRetry = clock.schedule(delayMs, () => this.start())
    }
    if (attempt.up) onDown(reason)
    else onFailed(reason)
  }

  #discard(client: RawClient): void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#ending.add(promise)
    const ended = () => {
      cancel()
      this.#ending.delete(promise)
      resolve()
    }
    // A cluster whose nodes never connected does not say that it has ended.
    const cancel = this.#settings.clock.schedule(MAX_END_MS, ended)
    client.on('end', ended)
    client.disconnect()
  }
}

/** ioredis destroys a socket after 100 ms when it does not close in order. */
const MAX_END_MS = 300

function textOf(error: unknown): string {
  const text =
    error instanceof Error ? error.message || String((error as { code?: unknown }).code) : String(error)
  return text.slice(0, 200)
}
