/*
 * Channels and who wants their messages.
 *
 * A channel is subscribed to once, whoever else wants it, on a connection of its own. When that ends, everybody is
 * told that messages may be missing, at once and again when the new one is subscribed. A handler that throws is
 * counted; the others get their message.
 */
import type { RawClient } from './client.ts'
import { FullError } from './errors.ts'
import { reportHandlerError } from './events.ts'
import type { ChannelHandlers } from './redis-guard.ts'

interface Channel {
  readonly name: string
  /** Replaced and never changed, so that a handler may come and go while a message is handed over. */
  handlers: readonly ChannelHandlers[]
  listening: boolean
  /** Whether it has ever been subscribed: only then can something have been missed. */
  stood: boolean
}

/** Channels in one SUBSCRIBE. */
const MAX_PER_COMMAND = 500

export class Subscriptions {
  messages = 0
  gaps = 0
  handlerErrors = 0
  handlers = 0
  readonly #channels = new Map<string, Channel>()
  readonly #maximum: number
  readonly #onBroken: (client: RawClient, reason: string) => void
  #client: RawClient | undefined

  /** `onBroken`: this client could not subscribe. */
  constructor(maximum: number, onBroken: (client: RawClient, reason: string) => void) {
    this.#maximum = maximum
    this.#onBroken = onBroken
  }

  get channels(): number {
    return this.#channels.size
  }

  add(name: string, handlers: ChannelHandlers): () => void {
    if (this.handlers >= this.#maximum) {
      throw new FullError('subscriptions', this.#maximum, 'maxSubscriptions')
    }
    let channel = this.#channels.get(name)
    if (channel === undefined) {
      channel = { name, handlers: [], listening: false, stood: false }
      this.#channels.set(name, channel)
      this.#subscribe([channel])
    }
    // An object of its own, so that the same handlers can be given twice.
    const entry = { onMessage: handlers.onMessage.bind(handlers), onGap: handlers.onGap.bind(handlers) }
    channel.handlers = [...channel.handlers, entry]
    this.handlers += 1
    return () => this.#remove(channel, entry)
  }

  listening(name: string): boolean {
    return this.#channels.get(name)?.listening ?? false
  }

  /** Subscribes to everything over a new connection. */
  use(client: RawClient): void {
    this.#client = client
    client.on('messageBuffer', (name, payload) => {
      const channel = this.#channels.get(String(name))
      if (channel !== undefined) this.#deliver(channel, payload as Buffer)
    })
    const channels = [...this.#channels.values()]
    for (let from = 0; from < channels.length; from += MAX_PER_COMMAND) {
      this.#subscribe(channels.slice(from, from + MAX_PER_COMMAND))
    }
  }

  /** The connection has ended. */
  lose(): void {
    this.#client = undefined
    for (const channel of this.#channels.values()) {
      if (!channel.listening) continue
      channel.listening = false
      this.gaps += 1
      this.#tellGap(channel)
    }
  }

  clear(): void {
    this.#channels.clear()
    this.handlers = 0
  }

  #subscribe(channels: readonly Channel[]): void {
    const client = this.#client
    if (client === undefined) return
    client.subscribe(...channels.map(({ name }) => name)).then(
      () => {
        if (client !== this.#client) return
        for (const channel of channels) {
          // Somebody may have left it, and come back, meanwhile.
          if (this.#channels.get(channel.name) === channel) this.#stands(channel)
        }
      },
      (error: Error) => this.#onBroken(client, `subscribing failed: ${error.message}`),
    )
  }

  #stands(channel: Channel): void {
    const again = channel.stood
    channel.stood = true
    channel.listening = true
    if (again) this.#tellGap(channel)
  }

  #remove(channel: Channel, entry: ChannelHandlers): void {
    if (!channel.handlers.includes(entry)) return
    channel.handlers = channel.handlers.filter((handler) => handler !== entry)
    if (this.#channels.get(channel.name) !== channel) return
    this.handlers -= 1
    if (channel.handlers.length > 0) return
    this.#channels.delete(channel.name)
    const client = this.#client
    client?.unsubscribe(channel.name).catch((error: Error) => {
      this.#onBroken(client, `unsubscribing failed: ${error.message}`)
    })
  }

  #deliver(channel: Channel, payload: Buffer): void {
    this.messages += 1
    for (const { onMessage } of channel.handlers) this.#guarded(channel, () => onMessage(payload))
  }

  #tellGap(channel: Channel): void {
    for (const { onGap } of channel.handlers) this.#guarded(channel, onGap)
  }

  #guarded(channel: Channel, handle: () => unknown): void {
    const failed = (error: unknown) => {
      this.handlerErrors += 1
      reportHandlerError(channel.name, error)
    }
    try {
      const result = handle()
      // An async handler is none of ours, but its rejection must not end the process.
      if (result instanceof Promise) result.catch(failed)
    } catch (error) {
      failed(error)
    }
  }
}
