// What the machine has time for: users, service and servers share its cores, and whoever asks for more than they can do
// measures the machine. Pure.

import type { Gathering } from './crowd-protocol.ts'

/** Of what the machine has time for, by everybody together: the rest is for servers, workers and bursts. */
const SHARE = 0.4
/** New connections of a second: what a backlog of 511 takes in its stride. */
const MAX_ARRIVALS = 1000
const MIN_ARRIVALS = 50
/** Longer, and the service ends connections for their silence, as it should. */
const MAX_THINK_MS = 25_000

/** `perSecond` are the answers that the machine has been seen to give. */
export class Pace {
  readonly perSecond: number

  constructor(perSecond: number) {
    this.perSecond = Math.max(1, perSecond)
  }

  /** So many users, who think for so long, or for longer where the machine could not keep up. */
  gathering(users: number, thinkMs: number): Gathering {
    const longEnoughMs = (users * 1000) / (this.perSecond * SHARE)
    return {
      users,
      thinkMs: Math.round(Math.min(MAX_THINK_MS, Math.max(thinkMs, longEnoughMs))),
      arrivalsPerSecond: Math.min(MAX_ARRIVALS, Math.max(MIN_ARRIVALS, this.perSecond * SHARE)),
    }
  }

  /** Over how much time so many requests have to be spread that come besides those of users. */
  spreadMs(requests: number): number {
    return Math.ceil((requests * 1000) / (this.perSecond * SHARE))
  }
}
