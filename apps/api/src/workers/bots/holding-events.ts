import type { Tell } from './notice.ts'

/** Kinds of notices that are events of the bot, too. */
const EVENTS: Readonly<Record<string, string>> = {
  'bot.holding': 'holding',
  'bot.trading_again': 'trading_again',
}

/** Of a reason, as much as the table takes. */
const MAX_REASON = 1000

/**
 * Writes the event together with the notice: whoever looks at his bot finds why it does not trade, whether or not there is
 * a way to tell him. Of a bot that runs no more, or that another process (`owner` is this one) has by now, there is none.
 */
export function withEvents(tell: Tell, owner: string): Tell {
  return async (tx, notice) => {
    const kind = EVENTS[notice.kind]
    const { bot_id: id, reason } = notice.payload
    if (kind !== undefined) {
      await tx.query(
        `insert into bot_events (bot_id, user_id, kind, from_status, to_status, fence, reason, at)
         select id, user_id, $2, status, status, nextval('lease_fences'), $3, clock_timestamp()
         from bots where id = $1 and status = 'running'
           and exists (select from leases where name = 'bot/' || bots.id and owner = $4)`,
        [id, kind, String(reason).slice(0, MAX_REASON), owner],
      )
    }
    await tell(tx, notice)
  }
}
