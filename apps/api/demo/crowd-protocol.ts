// What the demonstration and the process of its users tell each other.

import type { Second } from './timeline.ts'

/** Something that can be bet on. */
export interface Offered {
  readonly eventId: string
  readonly market: string
  readonly selection: string
}

/** Who comes. */
export interface CrowdPlan {
  readonly seed: number
  /** The cookie of each user, by which he is signed in. */
  readonly cookies: readonly string[]
  /** Slugs; user n is one of tenant n modulo their number. */
  readonly tenants: readonly string[]
  readonly floodTenant: string
  /** Of a user of that tenant. */
  readonly floodCookie: string
}

/** Who is there from now on. */
export interface Gathering {
  readonly users: number
  /** Between an answer and the next request of a user, on average. */
  readonly thinkMs: number
  /** Most who come or go in a second. */
  readonly arrivalsPerSecond: number
}

export type ToCrowd =
  | { readonly say: 'plan'; readonly plan: CrowdPlan }
  | { readonly say: 'users'; readonly gathering: Gathering }
  /** New connections go there. */
  | { readonly say: 'port'; readonly port: number }
  | { readonly say: 'offers'; readonly offers: readonly Offered[] }
  /** How many connections flood, and for how long each pauses after an answer; 0 connections end it. */
  | { readonly say: 'flood'; readonly connections: number; readonly pauseMs: number }
  /** So many clients ask, in the course of so much time, and leave before they are answered. */
  | { readonly say: 'hang up'; readonly clients: number; readonly withinMs: number }
  /** Nobody begins anything new; bets without an answer are asked for until there is one. */
  | { readonly say: 'finish' }

/** A bet by who placed it and by its key. */
export type BetName = `${number} ${string}`

export interface CrowdAccount {
  /** Answered with 201. */
  readonly acknowledged: readonly BetName[]
  /** Nobody knows, because they were given up by their clients. */
  readonly abandoned: readonly BetName[]
  /** Bets that did not come to an answer in time. */
  readonly unresolved: number
  /** The first answers that were none, or a fault of the service. */
  readonly oddities: readonly string[]
}

export type FromCrowd =
  | { readonly say: 'ready' }
  | { readonly say: 'second'; readonly second: Second }
  | { readonly say: 'hung up' }
  | { readonly say: 'finished'; readonly account: CrowdAccount }
