// How mail leaves. One queue before whatever really sends it, so that nobody who asks for a mail waits for a mail
// server, and nobody can tell by the time of an answer whether there was a mail.
//
// Guarantees: at most 1,000 wait, one is sent at a time, each is tried twice, and neither to whom nor what is in the
// log. What waits is lost with the process; how many that were is logged when it ends in order.

import type { Clock } from '@holdfast/footing'
import type { FastifyBaseLogger } from 'fastify'

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
  /** Not taken, because too many waited or there is nothing to send by; or lost at the end. */
  readonly dropped: number
}

/** What an outbox is made of. */
export interface OutboxParts {
  /** Undefined: no mail can leave. */
  readonly transport: MailTransport | undefined
  readonly clock: Clock
  readonly log: Pick<FastifyBaseLogger, 'warn' | 'error'>
}

const MAX_WAITING = 1000
const ATTEMPTS = 2
const PAUSE_MS = 1000
/** Shorter than a process has to end in order. */
const LAST_MAIL_MS = 4000

/** Mails that are to leave. */
export class Outbox {
  readonly #transport: MailTransport | undefined
  readonly #clock: Clock
  readonly #log: OutboxParts['log']
  readonly #waiting: Mail[] = []
  readonly #counts = { sent: 0, failed: 0, dropped: 0 }
  #sending: Promise<void> | undefined
  #closed = false
  #endPause: () => void = () => {}

  constructor({ transport, clock, log }: OutboxParts) {
    this.#transport = transport
    this.#clock = clock
    this.#log = log
  }

  /** Whether there is anything that mail could leave by. */
  get available(): boolean {
    return this.#transport !== undefined
  }

  /** Takes a mail. Never throws, and never waits. */
  post(mail: Mail): void {
    if (this.#transport === undefined || this.#closed || this.#waiting.length >= MAX_WAITING) {
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

  /** Waits for the mail that is under way, for four seconds; what waits behind it is lost. */
  async close(): Promise<void> {
    this.#closed = true
    const lost = this.#waiting.length
    this.#waiting.length = 0
    this.#counts.dropped += lost
    if (lost > 0) this.#log.error({ lost }, 'mails were lost')
    this.#endPause()
    await this.#withinLastMail(this.#sending)
    this.#transport?.close()
  }

  async #withinLastMail(sending: Promise<void> | undefined): Promise<void> {
    if (sending === undefined) return
    const { promise: late, resolve } = Promise.withResolvers<void>()
    const cancel = this.#clock.schedule(LAST_MAIL_MS, resolve)
    await Promise.race([sending, late])
    cancel()
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
        // Not the message: servers put addresses into it.
        const { code, responseCode } = Object(error) as { code?: unknown; responseCode?: unknown }
        this.#log.warn({ code, response_code: responseCode, attempt }, 'a mail could not be sent')
        // A server that has said no will say it again (RFC 5321, 4.2.1).
        if (this.#closed || attempt === ATTEMPTS || Number(responseCode) >= 500) break
        await this.#pause()
        if (this.#closed) break
      }
    }
    this.#counts.failed += 1
  }

  #pause(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = this.#clock.schedule(PAUSE_MS, resolve)
    this.#endPause = () => {
      cancel()
      resolve()
    }
    return promise
  }
}
