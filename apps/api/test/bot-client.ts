import type { BotOperation } from '../src/routes/bots/bot.ts'
import { bearerOf } from './bearer-of.ts'

/** An answer of a bot route. */
export interface BotReply {
  readonly status: number
  readonly headers: Headers
  readonly body: Readonly<Record<string, unknown>> & { readonly items?: readonly Record<string, unknown>[] }
}

/** Where a service is, and the database that it has its users in. */
export interface BotPlace {
  readonly url: string
  readonly databaseUrl: string
}

/** A user who asks for bots. */
export class BotClient {
  readonly #place: BotPlace
  readonly #user: string | undefined
  readonly #headers: Readonly<Record<string, string>>

  /** `user` is `<tenant>/<e-mail>`; without one nobody is signed in. */
  constructor(place: BotPlace, user?: string, headers: Readonly<Record<string, string>> = {}) {
    this.#place = place
    this.#user = user
    this.#headers = headers
  }

  post(operation: BotOperation, body: unknown): Promise<BotReply> {
    return this.#ask(`/api/bot/${operation}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
  }

  start(botId: string): Promise<BotReply> {
    return this.post('start', { bot_id: botId })
  }

  stop(botId: string): Promise<BotReply> {
    return this.post('stop', { bot_id: botId })
  }

  recover(botId: string): Promise<BotReply> {
    return this.post('recover', { bot_id: botId })
  }

  status(query = ''): Promise<BotReply> {
    return this.#ask(`/api/bot/status${query}`, {})
  }

  async #ask(path: string, init: RequestInit & { headers?: Record<string, string> }): Promise<BotReply> {
    const { url, databaseUrl } = this.#place
    const token = this.#user === undefined ? undefined : await bearerOf(databaseUrl, this.#user)
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const answer = await fetch(url + path, {
      ...init,
      headers: { ...authorization, ...this.#headers, ...init.headers },
    })
    return {
      status: answer.status,
      headers: answer.headers,
      body: (await answer.json()) as BotReply['body'],
    }
  }
}
