// What a bot is, what can be done with it in which state, and how the routes tell it.

/** `failed`: whoever ran it has given up. */
export type BotStatus = 'stopped' | 'running' | 'failed'

/** What a user can do with a bot. */
export type BotOperation = 'start' | 'stop' | 'recover'

/** A bot as the database holds it. */
export interface Bot {
  readonly id: string
  readonly name: string
  readonly status: BotStatus
  readonly changedAt: Date
}

/** An operation that has changed a bot. */
export interface BotChange {
  readonly bot: Bot
  readonly from: BotStatus
  readonly eventId: string
}

interface Step {
  /** The states in which it can be done. */
  readonly from: readonly BotStatus[]
  readonly to: BotStatus
  /** What it is called when it has been done. */
  readonly done: 'started' | 'stopped' | 'recovered'
}

/**
 * The operations. Recovering is for a bot that should run and does not, also when nobody has noticed yet that the
 * process that ran it is gone; so it is no mistake to recover one that is `running`.
 */
export const STEPS: Readonly<Record<BotOperation, Step>> = {
  start: { from: ['stopped'], to: 'running', done: 'started' },
  stop: { from: ['running', 'failed'], to: 'stopped', done: 'stopped' },
  recover: { from: ['running', 'failed'], to: 'running', done: 'recovered' },
}

/** What can be done with a bot in this state. */
export function possibleOperations(status: BotStatus): BotOperation[] {
  return (Object.keys(STEPS) as BotOperation[]).filter((operation) => STEPS[operation].from.includes(status))
}

/** What `GET /api/bot/status` answers for one bot, and an item of a page of all. */
export interface BotAnswer {
  readonly bot_id: string
  readonly name: string
  readonly status: BotStatus
  /** RFC 3339. */
  readonly changed_at: string
}

/** What `POST /api/bot/start`, `stop` and `recover` answer. */
export interface BotChangeAnswer extends BotAnswer {
  readonly success: true
  readonly event_id: string
}

export function botAnswer({ id, name, status, changedAt }: Bot): BotAnswer {
  return { bot_id: id, name, status, changed_at: changedAt.toISOString() }
}

export function changeAnswer({ bot, eventId }: BotChange): BotChangeAnswer {
  return { success: true, ...botAnswer(bot), event_id: eventId }
}
