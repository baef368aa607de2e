/*
 * A token bucket as the generic cell rate algorithm (GCRA; ITU-T I.371): all it keeps is the time at which the bucket
 * will be full again. What is left of that time, measured in the policy's ticks, is what has been used.
 *
 * Guarantees: in any time t at most `capacity + refill * t` units are taken, whatever the costs; a refusal changes
 * nothing; a stored time that is too far in the future (a clock that was set back, a broken value) counts as a bucket
 * that was just emptied, and a shared store writes that down (`isBroken`), or it would be just emptied for ever; a
 * change of the terms keeps the used fraction.
 *
 * The times are whole microseconds of the store's clock. One tick is a microsecond or a decimal part of it, down to a
 * picosecond: the finest with which the bucket still fits into the whole numbers of a double. The time for one unit
 * is rounded up to a tick. So the rate is never above what was stated, and below it by at most one picosecond a unit
 * (0.1 % at the largest rate, a billion a second) or 0.0003 %, whichever is more; the capacity is exact.
 */

/** The most units a bucket may hold, and the most it may be given in one second. */
export const MAX_UNITS = 1_000_000_000
/** The longest time from empty to full: 366 days. */
export const MAX_TOLERANCE_US = 366 * 86_400 * 1_000_000
/** Picoseconds in a microsecond: the most ticks it can have. */
export const PS_PER_US = 1_000_000

/** The finest tick is chosen so that what is used and one cost more stay exact. */
const MAX_TOLERANCE_TICKS = 2 ** 52

/** What a bucket is filled with: `units` in `us` microseconds, both whole. */
export interface Refill {
  readonly units: number
  readonly us: number
}

/** A bucket, compiled. */
export interface BucketTerms {
  /** Units that can be taken at once from a full bucket. */
  readonly capacity: number
  /** 1, 10, 100, ... 1,000,000. */
  readonly ticksPerUs: number
  /** Ticks in which one unit is refilled. */
  readonly emissionTicks: number
  /** Ticks from empty to full: `capacity * emissionTicks`. */
  readonly toleranceTicks: number
  /** The same in whole microseconds, rounded up. */
  readonly toleranceUs: number
}

/** Compiles a bucket; undefined when it would take more than 366 days to fill. */
export function bucketTerms(capacity: number, refill: Refill): BucketTerms | undefined {
  const [units, us] = [BigInt(refill.units), BigInt(refill.us)]
  for (let ticksPerUs = PS_PER_US; ticksPerUs >= 1; ticksPerUs /= 10) {
    const emission = (us * BigInt(ticksPerUs) + units - 1n) / units
    const tolerance = emission * BigInt(capacity)
    if (tolerance > MAX_TOLERANCE_TICKS) continue
    const toleranceUs = Math.ceil(Number(tolerance) / ticksPerUs)
    if (toleranceUs > MAX_TOLERANCE_US) return undefined
    return {
      capacity,
      ticksPerUs,
      emissionTicks: Number(emission),
      toleranceTicks: Number(tolerance),
      toleranceUs,
    }
  }
  return undefined
}

/**
 * What is used of a bucket, in ticks of `terms`, from 0 (full) to `toleranceTicks` (empty). The bucket will be full
 * at `fullAtUs` and `fullAtPs` picoseconds; `storedToleranceUs` is the `toleranceUs` of the terms that were in force
 * when this was stored.
 */
export function usedTicks(
  terms: BucketTerms,
  nowUs: number,
  fullAtUs: number,
  fullAtPs: number,
  storedToleranceUs: number,
): number {
  const used = storedTicks(terms, nowUs, fullAtUs, fullAtPs, storedToleranceUs)
  return isMore(used, terms) ? terms.toleranceTicks : used
}

/** Whether so much of a bucket is said to be used that it was stored by another clock, or is broken. */
export function isBroken(
  terms: BucketTerms,
  nowUs: number,
  ...stored: readonly [number, number, number]
): boolean {
  return isMore(storedTicks(terms, nowUs, ...stored), terms)
}

function storedTicks(
  { ticksPerUs, toleranceTicks, toleranceUs }: BucketTerms,
  nowUs: number,
  fullAtUs: number,
  fullAtPs: number,
  storedToleranceUs: number,
): number {
  const leftUs = fullAtUs - nowUs
  if (leftUs < 0) return 0
  if (storedToleranceUs === toleranceUs) {
    return leftUs * ticksPerUs + Math.ceil((fullAtPs * ticksPerUs) / PS_PER_US)
  }
  return Math.ceil(((leftUs + fullAtPs / PS_PER_US) / storedToleranceUs) * toleranceTicks)
}

/** Not a number, which a broken value gives, is not at most anything either. */
function isMore(ticks: number, { toleranceTicks }: BucketTerms): boolean {
  return !(ticks <= toleranceTicks)
}

/** When a bucket with so much used will be full: the whole microseconds. */
export function fullAtUs(terms: BucketTerms, nowUs: number, used: number): number {
  return nowUs + Math.floor(used / terms.ticksPerUs)
}

/** When a bucket with so much used will be full: the picoseconds after `fullAtUs`. */
export function fullAtPs(terms: BucketTerms, used: number): number {
  return (used % terms.ticksPerUs) * (PS_PER_US / terms.ticksPerUs)
}

/** Ticks that `cost` units take. */
export function debitTicks(terms: BucketTerms, cost: number): number {
  return cost * terms.emissionTicks
}

/** Whole units that can be taken. */
export function remainingUnits(terms: BucketTerms, used: number): number {
  return Math.floor((terms.toleranceTicks - used) / terms.emissionTicks)
}

/** Ticks until `cost` units can be taken; 0 at once, Infinity never, for more than the capacity. */
export function waitTicks(terms: BucketTerms, used: number, cost: number): number {
  if (cost > terms.capacity) return Number.POSITIVE_INFINITY
  return Math.max(0, used + debitTicks(terms, cost) - terms.toleranceTicks)
}

/** Ticks as whole milliseconds, rounded up. */
export function ticksToMs(terms: BucketTerms, ticks: number): number {
  return Math.ceil(ticks / (terms.ticksPerUs * 1000))
}

/** Milliseconds of a clock as the whole microseconds that the buckets count in, to the nearest. */
export function microseconds(nowMs: number): number {
  return Math.round(nowMs * 1000)
}
