import type { FastifyInstance } from 'fastify'
import { pageOf } from '../../cursor.ts'
import { ListPages } from '../../list-pages.ts'
import { botAnswer } from './bot.ts'
import type { BotRepository } from './bot-repository.ts'

/** Which bots of a user: one, or a page of all. */
export type BotSelection =
  | { readonly userId: string; readonly botId: bigint }
  | { readonly userId: string; readonly after: bigint; readonly limit: number }

/** The status of a bot, and pages of that of all bots of a user. */
export function botStatusPages(
  repository: Pick<BotRepository, 'bot' | 'bots'>,
  caches: FastifyInstance['staleCache'],
): ListPages<BotSelection> {
  return new ListPages(
    {
      name: 'bot-status',
      keyOf: (selection) =>
        'botId' in selection
          ? `${selection.userId} bot ${selection.botId}`
          : `${selection.userId} all ${selection.limit} ${selection.after}`,
      read: async (selection) => {
        const { userId } = selection
        if ('botId' in selection) return botAnswer(await repository.bot(userId, selection.botId))
        const { after, limit } = selection
        // One more than asked for tells whether there is another page.
        return pageOf(await repository.bots(userId, after, limit + 1), limit, botAnswer)
      },
    },
    caches,
  )
}
