// Whether a bet can be placed on what is on offer. Pure.

import {
  ApiEventClosedError,
  ApiEventUnknownError,
  ApiOddsWorseError,
  ApiSelectionUnknownError,
} from '../../errors.ts'

/** What is on offer for the event, the market and the selection of a bet. */
export interface Offer {
  /** Undefined: there is no such event. */
  readonly event:
    | {
        readonly status: 'scheduled' | 'live' | 'finished' | 'void'
        /** Whether it starts later than now, by the clock of the database. */
        readonly isAhead: boolean
      }
    | undefined
  /** Undefined: nothing is offered for this market and selection. */
  readonly oddsMilli: number | undefined
}

/** Why the bet cannot be placed; undefined: it can. */
export function refusalOf({ event, oddsMilli }: Offer, seenOddsMilli: number | undefined): Error | undefined {
  if (event === undefined) return new ApiEventUnknownError()
  if (event.status !== 'scheduled') return new ApiEventClosedError(event.status)
  if (!event.isAhead) return new ApiEventClosedError('started')
  if (oddsMilli === undefined) return new ApiSelectionUnknownError()
  if (seenOddsMilli !== undefined && oddsMilli < seenOddsMilli) {
    return new ApiOddsWorseError(oddsMilli, seenOddsMilli)
  }
  return undefined
}
