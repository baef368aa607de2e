/*
 * Hears from the sentinels when another server has become the master.
 *
 * After a failover on purpose the old master goes on answering as one until a Sentinel has told it, 8 s and more
 * later; what is written there meanwhile is lost. So the sentinels are listened to, each on a connection of its own:
 * the one that leads the failover is the last to tell when there are several replicas, and any of them may be frozen.
 *
 * Only what changes counts: a message, and, for what was missed while a connection was away, the view of a sentinel
 * that knows of a later failover than any before. A sentinel that lags behind moves nobody. Nothing here is needed:
 * when no sentinel can be heard, a failover is noticed when the old master fails or says that it is none.
 */
import type { Clock } from '@holdfast/footing'
import type { RawClient } from './client.ts'
import { Connection } from './connection.ts'
import { Pulse } from './pulse.ts'
import { readMasterView, readSwitch } from './sentinel-words.ts'

export interface SentinelWatchSettings {
  /** What the sentinels call the master. */
  readonly masterName: string
  /** How many sentinels there are; the first `MAX_WATCHED` are listened to. */
  readonly sentinels: number
  /** Makes a client of one sentinel, from 0, that is not connected yet. */
  readonly open: (sentinel: number) => Promise<RawClient>
  /** This is the master now, by the word of a sentinel. Every sentinel that can be heard tells of a failover. */
  readonly onMaster: (address: string) => void
  readonly attemptTimeoutMs: number
  readonly firstDelayMs: number
  readonly heartbeatMs: number
  readonly clock: Clock
  readonly random: () => number
}

/** Three or five sentinels are usual; the others tell nothing new. */
export const MAX_WATCHED = 5
const CHANNEL = '+switch-master'
/** The longest pause before a sentinel that is away is tried again; meanwhile the others are heard. */
const MAX_DELAY_MS = 5000

export class SentinelWatch {
  readonly #settings: SentinelWatchSettings
  readonly #connections: readonly Connection[]
  readonly #listeners = new Set<() => void>()
  #epoch = -1
  /** The sentinel that spoke last: the others may still have to learn it. */
  #newest = 0

  constructor(settings: SentinelWatchSettings) {
    this.#settings = settings
    const { sentinels } = settings
    this.#connections = Array.from({ length: Math.min(sentinels, MAX_WATCHED) }, (_, at) => this.#watch(at))
  }

  /** How many sentinels are listened to at present. */
  get listening(): number {
    return this.#connections.filter(({ client }) => client !== undefined).length
  }

  /** The sentinel that should be asked first: one that answers, and if possible the one with the latest news. */
  get first(): number {
    if (this.#connections[this.#newest]?.client !== undefined) return this.#newest
    return Math.max(
      0,
      this.#connections.findIndex(({ client }) => client !== undefined),
    )
  }

  start(): void {
    for (const connection of this.#connections) connection.start()
  }

  /** Resolves when a sentinel is listened to, and after `timeoutMs` in any case. */
  async heard(timeoutMs: number): Promise<void> {
    if (this.listening > 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = this.#settings.clock.schedule(timeoutMs, resolve)
    this.#listeners.add(resolve)
    await promise
    this.#listeners.delete(resolve)
    cancel()
  }

  async close(): Promise<void> {
    for (const resolve of this.#listeners) resolve()
    await Promise.all(this.#connections.map((connection) => connection.close()))
  }

  #watch(sentinel: number): Connection {
    const { open, attemptTimeoutMs: timeoutMs, heartbeatMs, clock } = this.#settings
    const connection = new Connection({
      ...this.#settings,
      maxDelayMs: MAX_DELAY_MS,
      open: () => open(sentinel),
      check: (client) => this.#listen(sentinel, client),
      onUp: () => {
        pulse.start()
        for (const resolve of this.#listeners) resolve()
      },
      onDown: () => pulse.stop(),
      onFailed: () => {},
    })
    const pulse = new Pulse(connection, { everyMs: heartbeatMs, timeoutMs, clock })
    return connection
  }

  async #listen(sentinel: number, client: RawClient): Promise<void> {
    const { masterName } = this.#settings
    client.on('message', (_channel, message) => {
      const address = readSwitch(String(message), masterName)
      if (address !== undefined) this.#tell(sentinel, address)
    })
    // In one packet: Sentinel answers both before it does anything else, so that no failover falls between them.
    client.stream?.cork()
    const replies = Promise.all([
      client.callBuffer('SENTINEL', ['MASTER', masterName]),
      client.subscribe(CHANNEL),
    ])
    client.stream?.uncork()
    const [reply] = await replies
    const view = readMasterView(reply)
    if (view === undefined || view.epoch <= this.#epoch) return
    this.#epoch = view.epoch
    this.#tell(sentinel, view.address)
  }

  #tell(sentinel: number, address: string): void {
    this.#newest = sentinel
    this.#settings.onMaster(address)
  }
}
