// The status of bots. The database is asked at every request; where it has no room or no answer, what was read last
// stands in, and where there is nothing the request is refused.

import type { FastifyInstance } from 'fastify'
import { type RememberedPage, RememberedPages } from '../../remembered-pages.ts'
import { botAnswer, botList } from './bot.ts'
import type { BotRepository } from './bot-repository.ts'

/** Which bots of a user: one, or a page of all. */
export type BotSelection =
  | { readonly userId: string; readonly botId: bigint }
  | { readonly userId: string; readonly after: bigint; readonly limit: number }

export class BotStatusPages {
  readonly #repository: Pick<BotRepository, 'bot' | 'bots'>
  readonly #remembered: RememberedPages

  constructor(repository: Pick<BotRepository, 'bot' | 'bots'>, caches: FastifyInstance['staleCache']) {
    this.#repository = repository
    this.#remembered = new RememberedPages('bot-status', caches)
  }

  /** The answer, as JSON. Rejects as the repository does. */
  async read(selection: BotSelection): Promise<string> {
    const body = JSON.stringify(await this.#answer(selection))
    // Only users and bots that exist get here, so nobody fills the memory with others.
    this.#remembered.keep(keyOf(selection), body)
    return body
  }

  /** The answer as it was read last; undefined when that was never, or too long ago. */
  remembered(selection: BotSelection): RememberedPage | undefined {
    return this.#remembered.find(keyOf(selection))
  }

  async #answer(selection: BotSelection) {
    const { userId } = selection
    if ('botId' in selection) return botAnswer(await this.#repository.bot(userId, selection.botId))
    const { after, limit } = selection
    // One more than asked for tells whether there is another page.
    return botList(await this.#repository.bots(userId, after, limit + 1), limit)
  }
}

function keyOf(selection: BotSelection): string {
  return 'botId' in selection
    ? `${selection.userId} bot ${selection.botId}`
    : `${selection.userId} all ${selection.limit} ${selection.after}`
}
