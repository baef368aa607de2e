// Prices that nobody has to be asked for: a random walk that every process walks alike.
//
// The walk of a symbol is cut into segments of 256 ticks. Where a segment begins is a sum of slow random movements, each
// with a bound; inside it goes on by random steps, bent so that they lead to where the next one begins. Everything is drawn
// by a hash of the seed, the symbol and the place, in whole numbers, so that a price is the same in every process, whatever
// was asked before, and costs one segment to find, however far from the beginning it is.
//
// Guarantees: a price is a whole number of minor units, from 8 % to 192 % of what the symbol costs on the average.
// Does not guarantee that anybody could not know it in advance: whoever has the seed does.

import { MAX_WINDOW } from '../strategy/language.ts'
import { type MarketSymbol, SYMBOL_NAMES, SYMBOLS } from './symbols.ts'

const SEED = 0x48_46_58_01
const PPM = 1_000_000
const SEGMENT_TICKS = 256
/** In millionths of the usual price: what the price moves by at one tick at most, before it is bent. */
const MAX_STEP_PPM = 4000
/**
 * The slow movements: after so many segments each draws another place to go to, so far from the usual price at most.
 * Together they reach 400,000; bent steps 512,000 more (half a segment of the largest step, there and back).
 */
const MOVEMENTS = [
  { segments: 1, reachPpm: 20_000 },
  { segments: 8, reachPpm: 40_000 },
  { segments: 64, reachPpm: 80_000 },
  { segments: 512, reachPpm: 120_000 },
  { segments: 4096, reachPpm: 140_000 },
] as const
const STEPS_STREAM = MOVEMENTS.length
/** For each symbol those that the longest window touches, and one more. */
const MAX_SEGMENTS = SYMBOL_NAMES.length * 4
/** The most prices that are asked for at once. */
export const MAX_PRICES = MAX_WINDOW + 1

/** Which tick of the market it is. */
export function tickAt(wallMs: number, tickMs: number): number {
  return Math.floor(wallMs / tickMs)
}

/** The prices of all symbols at all ticks from 0 on. */
export class MarketFeed {
  readonly #seed: number
  /** Those that were not asked for the longest come first. */
  readonly #segments = new Map<string, Int32Array>()

  /** Other seeds are other markets: all processes must have the same. */
  constructor(seed: number = SEED) {
    this.#seed = seed
  }

  /** Segments that are remembered. */
  get remembered(): number {
    return this.#segments.size
  }

  /** The price at a tick, in minor units. */
  priceAt(symbol: MarketSymbol, tick: number): number {
    checkTick(tick)
    const segment = Math.floor(tick / SEGMENT_TICKS)
    return this.#segment(symbol, segment)[tick - segment * SEGMENT_TICKS] ?? 0
  }

  /** The prices of the last `count` ticks, that of `tick` last; fewer where the market is younger. At most MAX_PRICES. */
  pricesUntil(symbol: MarketSymbol, tick: number, count: number): number[] {
    checkTick(tick)
    if (!Number.isInteger(count) || count < 1 || count > MAX_PRICES) {
      throw new RangeError(`prices are asked for 1 to ${MAX_PRICES} at a time, received ${count}`)
    }
    const from = Math.max(0, tick - count + 1)
    const prices: number[] = []
    for (let segment = Math.floor(from / SEGMENT_TICKS); segment * SEGMENT_TICKS <= tick; segment += 1) {
      const first = segment * SEGMENT_TICKS
      prices.push(...this.#segment(symbol, segment).subarray(Math.max(0, from - first), tick - first + 1))
    }
    return prices
  }

  #segment(symbol: MarketSymbol, segment: number): Int32Array {
    const key = `${symbol} ${segment}`
    const known = this.#segments.get(key)
    const prices = known ?? walk(SYMBOLS[symbol], seedOf(this.#seed, symbol), segment)
    this.#segments.delete(key)
    this.#segments.set(key, prices)
    const oldest = this.#segments.keys().next()
    if (this.#segments.size > MAX_SEGMENTS && !oldest.done) this.#segments.delete(oldest.value)
    return prices
  }
}

function checkTick(tick: number): void {
  if (!Number.isSafeInteger(tick) || tick < 0) {
    throw new RangeError(`a tick is a whole number from 0 on, received ${tick}`)
  }
}

function walk(usual: number, seed: number, segment: number): Int32Array {
  const begin = beginOf(seed, segment)
  const drift = beginOf(seed, segment + 1) - begin
  const steps = Array.from({ length: SEGMENT_TICKS }, (_, at) =>
    drawn(seed, STEPS_STREAM, segment * SEGMENT_TICKS + at, MAX_STEP_PPM),
  )
  // Where the steps lead by themselves; the way there is bent by so much.
  const astray = steps.reduce((sum, step) => sum + step, 0)
  const prices = new Int32Array(SEGMENT_TICKS)
  let walked = 0
  for (let at = 0; at < SEGMENT_TICKS; at += 1) {
    const straight = Math.trunc(((drift - astray) * at) / SEGMENT_TICKS)
    prices[at] = Math.floor((usual * (PPM + begin + straight + walked)) / PPM)
    walked += steps[at] ?? 0
  }
  return prices
}

/** How far from the usual price a segment begins, in millionths of it. */
function beginOf(seed: number, segment: number): number {
  return MOVEMENTS.reduce((sum, { segments, reachPpm }, stream) => {
    const turn = Math.floor(segment / segments)
    const from = drawn(seed, stream, turn, reachPpm)
    const to = drawn(seed, stream, turn + 1, reachPpm)
    return sum + from + Math.trunc(((to - from) * (segment - turn * segments)) / segments)
  }, 0)
}

/** A whole number from -`reach` to `reach`. */
function drawn(seed: number, stream: number, at: number, reach: number): number {
  const word = mixed(mixed(mixed(seed ^ stream) ^ Math.floor(at / 2 ** 32)) ^ (at >>> 0))
  return (word % (2 * reach + 1)) - reach
}

function seedOf(seed: number, symbol: MarketSymbol): number {
  return [...symbol].reduce((word, letter) => mixed(word ^ letter.charCodeAt(0)), mixed(seed))
}

/** 32 bits of which each depends on each of the given ones (the finalizer of splitmix32). */
function mixed(given: number): number {
  let word = (given + 0x9e3779b9) | 0
  word = Math.imul(word ^ (word >>> 16), 0x21f0aaad)
  word = Math.imul(word ^ (word >>> 15), 0x735a2d97)
  return (word ^ (word >>> 15)) >>> 0
}
