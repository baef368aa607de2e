/*
 * The arithmetic of age: how long a value is fresh, how long a failed key rests, and which of two values is
 * the newer one. Pure; time and randomness come in as arguments.
 */

/** What a row's author numbers its states with: only larger replaces smaller. */
export type Version = number | bigint

/** `meanMs` spread evenly over +-`jitter` of it, so that what was stored together does not expire together. */
export function jittered(meanMs: number, jitter: number, random: number): number {
  return meanMs * (1 + jitter * (2 * random - 1))
}

/**
 * The pause after the `failures`-th failure in a row: doubling from `baseMs` to `maxMs`, then 50 to 150 % of
 * it, so that the keys of one failed load do not come back together.
 */
export function backoffMs(failures: number, baseMs: number, maxMs: number, random: number): number {
  // Past 2^30 the product says nothing but "the maximum".
  const meanMs = Math.min(maxMs, baseMs * 2 ** Math.min(failures - 1, 30))
  return meanMs * (0.5 + random)
}

/** When a state was read from its source: its version, and its place in the order of loads and writes. */
export interface Standing {
  readonly version: Version | undefined
  /** A load has the number of its beginning: what it read is at least as old as that. */
  readonly order: number
}

/**
 * Whether `candidate` may replace `held`. Versions decide when both have one and they differ. Otherwise the
 * order decides: what was read later wins.
 */
export function mayReplace(candidate: Standing, held: Standing): boolean {
  if (candidate.version !== undefined && held.version !== undefined && candidate.version !== held.version) {
    return candidate.version > held.version
  }
  return candidate.order >= held.order
}
