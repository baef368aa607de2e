import type { Tell } from './notice.ts'

/** Kinds of notices that are events of the bot, too. */
const EVENTS: Readonly<Record<string, string>> = {
  'bot.holding': 'holding',
  'bot.trading_again': 'trading_again',
}

/** Of a reason, as much as the table takes. */
const MAX_REASON = 1000

/**
 * Writes the event together with the notice: who looks at his bot finds why it does not trade, whether or not anybody was
 * told. A bot that runs no more has none.
 */
export function withEvents(tell: Tell): Tell {
  return async (tx, notice) => {
    const kind = EVENTS[notice.kind]
    const { bot_id: id, reason } = notice.payload
    if (kind !== undefined) {
      await tx.query(
        `insert into bot_events (bot_id, user_id, kind, from_status, to_status, fence, reason, at)
         select id, user_id, $2, status, status, nextval('lease_fences'), $3, clock_timestamp()
         from bots where id = $1 and status = 'running'`,
        [id, kind, String(reason).slice(0, MAX_REASON)],
      )
    }
    await tell(tx, notice)
  }
}
