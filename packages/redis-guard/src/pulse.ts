/*
 * Looks after a connection on which nobody waits for an answer: a PING now and then notices one that only looks
 * alive, and has it replaced.
 */
import type { Clock } from '@holdfast/footing'
import type { Connection } from './connection.ts'
import { within } from './probe.ts'

export interface PulseSettings {
  readonly everyMs: number
  /** How long the answer may take. */
  readonly timeoutMs: number
  readonly clock: Clock
}

export class Pulse {
  readonly #connection: Connection
  readonly #settings: PulseSettings
  #cancel: () => void = () => {}

  constructor(connection: Connection, settings: PulseSettings) {
    this.#connection = connection
    this.#settings = settings
  }

  /** The connection is up: the next beat is due. */
  start(): void {
    this.stop()
    const { clock, everyMs } = this.#settings
    this.#cancel = clock.schedule(everyMs, () => this.beat())
  }

  stop(): void {
    this.#cancel()
  }

  /** Asks at once. */
  async beat(): Promise<void> {
    const client = this.#connection.client
    if (client === undefined) return
    this.stop()
    const { clock, timeoutMs } = this.#settings
    try {
      await within(timeoutMs, clock, client.callBuffer('PING'))
      if (client === this.#connection.client) this.start()
    } catch (error) {
      this.#connection.replace(client, (error as Error).message)
    }
  }
}
