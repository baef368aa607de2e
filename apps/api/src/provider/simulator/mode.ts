// How the simulated provider behaves, and what it sends then.

import { Readable } from 'node:stream'
import type { FixtureEvent, FixtureFeed } from './fixture.ts'

/** What each is like. */
export const MODES = {
  well: 'answers at once',
  slow: 'answers after delay_ms',
  drip: 'sends one byte each delay_ms',
  invalid: 'every other event breaks a rule',
  stale: 'tells what it told ten versions ago',
  unknown_fields: 'tells more than anybody knows about',
  huge: 'sends 16 MiB',
  truncated: 'ends in the middle of the body',
  wrong_type: 'sends a page in HTML',
  not_json: 'sends half of a document as a whole one',
  limited: 'answers 429 with Retry-After',
  unavailable: 'answers 503',
  refused: 'listens no more',
  reset: 'breaks the connection',
  black_hole: 'takes requests and answers none',
} as const

export type Mode = keyof typeof MODES
export const MODE_NAMES = Object.keys(MODES) as readonly Mode[]

/** How it behaves now. */
export interface Behaviour {
  readonly mode: Mode
  /** Of `slow` and `drip`. */
  readonly delayMs: number
  /** Of `limited`, and of `unavailable` where it is more than 0. */
  readonly retryAfterSeconds: number
}

export const WELL: Behaviour = { mode: 'well', delayMs: 2000, retryAfterSeconds: 30 }

const HUGE_BYTES = 16 * 1024 * 1024
const CHUNK_BYTES = 65_536
const STALE_VERSIONS = 10

/** The document as the mode has it. */
export function documentOf(mode: Mode, feed: FixtureFeed): unknown {
  if (mode === 'invalid') {
    return { ...feed, events: feed.events.map((event, at) => (at % 2 === 0 ? broken(event, at / 2) : event)) }
  }
  if (mode === 'stale') {
    const events = feed.events.map((event) => ({
      ...event,
      name: `${event.name} (old)`,
      version: Math.max(0, event.version - STALE_VERSIONS),
    }))
    return { ...feed, events }
  }
  if (mode === 'unknown_fields') {
    const more = { venue: { roof: 'open' }, constructor: 'no', toString: null }
    return {
      ...feed,
      ...more,
      events: feed.events.map(({ odds, ...event }) => ({
        ...event,
        ...more,
        ...(odds !== undefined && { odds: odds.map((offer) => ({ ...offer, ...more })) }),
      })),
    }
  }
  return feed
}

/** A document that is right, after more white space than anybody should read. */
export function hugeBody(feed: FixtureFeed): Readable {
  const blank = Buffer.alloc(CHUNK_BYTES, ' ')
  return Readable.from(
    (function* () {
      for (let sent = 0; sent < HUGE_BYTES; sent += CHUNK_BYTES) yield blank
      yield Buffer.from(JSON.stringify(feed))
    })(),
  )
}

const FAULTS: readonly ((event: FixtureEvent) => unknown)[] = [
  ({ id: _, ...event }) => event,
  (event) => ({ ...event, id: '' }),
  (event) => ({ ...event, id: 'x'.repeat(101) }),
  (event) => ({ ...event, id: 7 }),
  (event) => ({ ...event, name: '' }),
  (event) => ({ ...event, name: 'a\u0000b' }),
  (event) => ({ ...event, name: 'n'.repeat(201) }),
  (event) => ({ ...event, starts_at: 'tomorrow' }),
  (event) => ({ ...event, starts_at: '2026-02-30T25:00:00Z' }),
  (event) => ({ ...event, status: 'cancelled' }),
  (event) => ({ ...event, version: -1 }),
  (event) => ({ ...event, version: '9' }),
  (event) => ({ ...event, version: 1.5 }),
  (event) => ({ ...event, status: 'live', odds: 'many' }),
  (event) => ({ ...event, status: 'live', odds: [{ market: 'winner', selection: 'home', odds: 0 }] }),
  (event) => ({ ...event, status: 'live', odds: [{ market: '__proto__', selection: 'home', odds: 2 }] }),
  (event) => ({ ...event, status: 'finished', result: 'home' }),
  (event) => ({ ...event, status: 'live', result: { winner: 'home' } }),
  () => null,
  () => [],
]

function broken(event: FixtureEvent, at: number): unknown {
  return FAULTS[at % FAULTS.length]?.(event)
}
