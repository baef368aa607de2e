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

export type ToCrowd =
  | { readonly say: 'plan'; readonly plan: CrowdPlan }
  /** So many users, who think for so long between an answer and the next request, on average. */
  | { readonly say: 'users'; readonly active: number; readonly thinkMs: number }
  /** New connections go there. */
  | { readonly say: 'port'; readonly port: number }
  | { readonly say: 'offers'; readonly offers: readonly Offered[] }
  /** How many connections flood; 0 ends it. */
  | { readonly say: 'flood'; readonly connections: number }
  /** So many clients ask, and leave before they are answered. */
  | { readonly say: 'hang up'; readonly clients: number }
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
