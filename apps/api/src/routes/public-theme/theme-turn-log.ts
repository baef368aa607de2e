import type { FastifyBaseLogger } from 'fastify'
import { unavailability } from '../../db/unavailable.ts'
import { reasonOf } from '../../reason.ts'
import type { ThemeTurn } from './theme-refresher.ts'

/** Logs what a person wants to know about the refresher: changes, a failure once per reason, and its end. */
export function themeTurnLog(log: FastifyBaseLogger): (turn: ThemeTurn) => void {
  let lastReason: string | undefined
  return (turn) => {
    if (!turn.ok) {
      const { retryInMs, failures } = turn
      const reason = reasonOf(turn.error)
      // Whoever refuses says so himself, once; the next turn is soon.
      if (unavailability(turn.error)?.refused === true) {
        log.debug({ reason, failures, retryInMs }, 'themes wait for the database')
        return
      }
      if (reason === lastReason)
        log.debug({ reason, failures, retryInMs }, 'themes still cannot be refreshed')
      else log.warn({ reason, retryInMs }, 'themes cannot be refreshed; the ones in memory are served')
      lastReason = reason
      return
    }
    const { changed, themes, overLimit } = turn
    if (lastReason !== undefined) log.info({ themes }, 'themes are refreshed again')
    lastReason = undefined
    if (changed > 0) log.info({ changed, themes }, 'themes loaded')
    if (overLimit && changed > 0)
      log.warn({ themes }, 'there are more themes than are kept; the rest get the default')
  }
}
