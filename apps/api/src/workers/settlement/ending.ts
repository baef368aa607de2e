// What becomes of a bet when its event is over. Pure.
//
// Guarantees: a bet is decided by what the event says and by its own terms alone, so that whoever decides it, and however
// often, comes to the same. What the result does not name, and what nobody can read there, is void.

import type { BetStatus } from '../../routes/bets/bet.ts'
import { payoutOf } from '../../routes/bets/bet.ts'

/** What the provider says of an event. */
export interface EventState {
  readonly status: 'scheduled' | 'live' | 'finished' | 'void'
  /** The selection that won in each market; null until it is finished. */
  readonly result: Readonly<Record<string, unknown>> | null
}

/** An event that is over. */
export type EndedEvent = EventState & { readonly status: 'finished' | 'void' }

/** The terms of a bet. */
export interface BetTerms {
  readonly market: string
  readonly selection: string
  readonly stakeMinor: bigint
  readonly oddsMilli: number
}

/** How a bet ends, and what its user gets. */
export interface Ending {
  readonly status: Exclude<BetStatus, 'open'>
  readonly payoutMinor: bigint
}

export function isOver(event: EventState): event is EndedEvent {
  return event.status === 'finished' || event.status === 'void'
}

export function endingOf({ status, result }: EndedEvent, bet: BetTerms): Ending {
  const winner = status === 'finished' ? winnerIn(result, bet.market) : undefined
  if (winner === undefined) return { status: 'void', payoutMinor: bet.stakeMinor }
  if (winner !== bet.selection) return { status: 'lost', payoutMinor: 0n }
  return { status: 'won', payoutMinor: payoutOf(bet.stakeMinor, bet.oddsMilli) }
}

/** A market may be called `constructor`. */
function winnerIn(result: EventState['result'], market: string): string | undefined {
  const winner = result !== null && Object.hasOwn(result, market) ? result[market] : undefined
  return typeof winner === 'string' ? winner : undefined
}
