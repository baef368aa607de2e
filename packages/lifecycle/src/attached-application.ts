// The application that a lifecycle has in its care, and what else is known of it.

import type { ResolvedLifecycle } from './options.ts'
import { SocketTable, speaksHttp1 } from './sockets.ts'

/** What a lifecycle needs of an application; Fastify fits. */
export interface ServedApplication {
  readonly server: object & {
    readonly listening: boolean
    once(event: 'close', listener: () => void): unknown
  }
  close(): PromiseLike<unknown>
}

/** What `@holdfast/health` offers, as far as it is asked here. */
export interface HealthPort {
  drain(): void
  cordon?(): void
  uncordon?(): void
  confirmed(): Promise<void>
}

/** What else is known of an application, each looked up when it is needed. */
export interface Surroundings {
  readonly health: () => HealthPort | undefined
  /** What the first line of the way down tells, such as the states of breakers. */
  readonly report: () => object
}

/** An application, watched from its attachment on. */
export class AttachedApplication {
  /** Its connections; undefined where they cannot be seen, as with HTTP/2. */
  readonly sockets: SocketTable | undefined
  readonly #app: ServedApplication
  readonly #surroundings: Surroundings
  #serverClosed = false

  constructor(
    app: ServedApplication,
    surroundings: Surroundings,
    { clock, isProbe }: Pick<ResolvedLifecycle, 'clock' | 'isProbe'>,
  ) {
    this.#app = app
    this.#surroundings = surroundings
    app.server.once('close', () => {
      this.#serverClosed = true
    })
    if (speaksHttp1(app.server)) this.sockets = new SocketTable(app.server, () => clock.nowMs(), isProbe)
  }

  get health(): HealthPort | undefined {
    return this.#surroundings.health()
  }

  /** Whether nobody is connected any more, and nobody can be. */
  get serverClosed(): boolean {
    return this.sockets?.closed ?? this.#serverClosed
  }

  /** Readiness says no, and answers say `Connection: close`. */
  cordon(): void {
    this.health?.cordon?.()
    this.sockets?.sendAway(true)
  }

  /** Undoes `cordon()`. */
  uncordon(): void {
    this.health?.uncordon?.()
    this.sockets?.sendAway(false)
  }

  /** The same as `cordon()`, for good; who still comes is counted. */
  drain(): void {
    this.health?.drain()
    this.sockets?.drain()
  }

  /** Never throws: a report must not keep a service from ending. */
  report(): object {
    try {
      return this.#surroundings.report()
    } catch {
      return {}
    }
  }

  /** Closes the server and all plugins. Rejects when one of them fails to close. */
  async close(): Promise<void> {
    // Before Fastify does it, in the middle of a turn.
    await this.sockets?.stopListening()
    await this.#app.close()
  }
}
