// A bot that a user wants, and how the routes tell it and what happened to it.

import { minorOf } from '../../db/minor-units.ts'
import type { MarketSymbol } from '../../market/symbols.ts'
import type { BotStatus } from './bot.ts'

/** One user has no more. */
export const MAX_BOTS_OF_USER = 50
/** What a bot begins with, in minor units. */
export const OPENING_CASH_MINOR = 1_000_000

/** What somebody wants. */
export interface BotWish {
  readonly userId: string
  readonly name: string
  readonly symbol: MarketSymbol
  /** That of the language. */
  readonly strategy: string
  readonly idempotencyKey: string
  /** Of the request; 32 bytes. */
  readonly digest: Buffer
}

/** A bot as it was created. Nothing of it ever changes. */
export interface CreatedBot {
  readonly id: string
  readonly name: string
  readonly symbol: string
  readonly strategy: string
  readonly currency: string
  readonly createdAt: Date
}

/** A bot, and where it stands. */
export interface BotDetails extends CreatedBot {
  readonly status: BotStatus
  readonly cashMinor: string
  readonly position: string
  readonly changedAt: Date
}

/** Something that happened to a bot. */
export interface BotEvent {
  readonly id: string
  readonly kind: string
  readonly from: string
  readonly to: string
  /** Why it holds, trades again or has failed; null for everything else. */
  readonly reason: string | null
  readonly at: Date
}

/** What `POST /api/bots` answers: only what never changes, so that a repeat is answered with the same bytes. */
export function createdAnswer({ id, name, symbol, strategy, currency, createdAt }: CreatedBot) {
  return {
    bot_id: id,
    name,
    symbol,
    strategy,
    opening_cash_minor: OPENING_CASH_MINOR,
    currency,
    created_at: createdAt.toISOString(),
  }
}

/** An item of what `GET /api/bots` answers. */
export function detailsItem({ id, name, status, symbol, strategy, currency, ...bot }: BotDetails) {
  return {
    bot_id: id,
    name,
    status,
    symbol,
    strategy,
    cash_minor: minorOf(bot.cashMinor),
    currency,
    position: minorOf(bot.position),
    changed_at: bot.changedAt.toISOString(),
    created_at: bot.createdAt.toISOString(),
  }
}

/** An item of what `GET /api/bots/:id/events` answers. */
export function eventItem({ id, kind, from, to, reason, at }: BotEvent) {
  return { event_id: id, kind, from, to, reason, at: at.toISOString() }
}
