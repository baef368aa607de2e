import type { BotOperation } from '../src/routes/bots/bot.ts'

/** An answer of a bot route. */
export interface BotReply {
  readonly status: number
  readonly headers: Headers
  readonly body: Readonly<Record<string, unknown>> & { readonly items?: readonly Record<string, unknown>[] }
}

/** A user of acme, as the demo data has them, who asks for bots. */
export class BotClient {
  readonly #url: string
  readonly #headers: Readonly<Record<string, string>>

  /** `user` is `<tenant>/<e-mail>`; without one nobody is named. */
  constructor(url: string, user?: string, headers: Readonly<Record<string, string>> = {}) {
    this.#url = url
    this.#headers = { ...headers, ...(user !== undefined && { 'x-development-user': user }) }
  }

  post(operation: BotOperation, body: unknown): Promise<BotReply> {
    return this.#ask(`/api/bot/${operation}`, {
      method: 'POST',
      headers: { ...this.#headers, 'content-type': 'application/json' },
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
    return this.#ask(`/api/bot/status${query}`, { headers: this.#headers })
  }

  async #ask(path: string, init: RequestInit): Promise<BotReply> {
    const answer = await fetch(this.#url + path, init)
    return {
      status: answer.status,
      headers: answer.headers,
      body: (await answer.json()) as BotReply['body'],
    }
  }
}
