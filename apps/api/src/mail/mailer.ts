// How mail leaves. One queue before whatever really sends it, so that nobody who asks for a mail waits for a mail
// server, and nobody can tell by the time of an answer whether there was a mail.

import type { FastifyBaseLogger } from 'fastify'
import { reasonOf } from '../reason.ts'

/** One mail in plain text. */
export interface Mail {
  readonly to: string
  readonly subject: string
  readonly text: string
}

/** Sends a mail, or rejects. */
export interface MailTransport {
  send(mail: Mail): Promise<void>
  close(): void
}

/** What an outbox has done, as plain data. */
export interface OutboxSnapshot {
  readonly waiting: number
  readonly sent: number
  readonly failed: number
  /** Not taken, because too many waited. */
  readonly dropped: number
}

const MAX_WAITING = 1000
const ATTEMPTS = 2

/** Mails that are to leave: at most 1,000, one at a time, each tried twice; they are lost with the process. */
export class Outbox {
  readonly #transport: MailTransport | undefined
  readonly #log: Pick<FastifyBaseLogger, 'warn' | 'error'>
  readonly #waiting: Mail[] = []
  readonly #counts = { sent: 0, failed: 0, dropped: 0 }
  #sending: Promise<void> | undefined

  constructor(transport: MailTransport | undefined, log: Pick<FastifyBaseLogger, 'warn' | 'error'>) {
    this.#transport = transport
    this.#log = log
  }

  /** Whether there is anything that mail could leave by. */
  get available(): boolean {
    return this.#transport !== undefined
  }

  /** Takes a mail. Never throws, and never waits. */
  post(mail: Mail): void {
    if (this.#transport === undefined || this.#waiting.length >= MAX_WAITING) {
      this.#counts.dropped += 1
      this.#log.error({ waiting: this.#waiting.length }, 'a mail was dropped')
      return
    }
    this.#waiting.push(mail)
    this.#sending ??= this.#sendAll(this.#transport).finally(() => {
      this.#sending = undefined
    })
  }

  snapshot(): OutboxSnapshot {
    return { waiting: this.#waiting.length, ...this.#counts }
  }

  /** Waits for the mail that is under way; what waits behind it is lost. */
  async close(): Promise<void> {
    this.#waiting.length = 0
    await this.#sending
    this.#transport?.close()
  }

  async #sendAll(transport: MailTransport): Promise<void> {
    for (let mail = this.#waiting.shift(); mail !== undefined; mail = this.#waiting.shift()) {
      await this.#send(transport, mail)
    }
  }

  async #send(transport: MailTransport, mail: Mail): Promise<void> {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
      try {
        await transport.send(mail)
        this.#counts.sent += 1
        return
      } catch (error) {
        // Neither to whom nor what: both are nobody's business in a log.
        this.#log.warn({ reason: reasonOf(error), attempt }, 'a mail could not be sent')
      }
    }
    this.#counts.failed += 1
  }
}
