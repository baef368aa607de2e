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

/** When a state was read from its source: its version, its fence, and its place in the order of loads and writes. */
export interface Standing {
  readonly version: Version | undefined
  /** Its place in the order of all processes that share a Redis; undefined when it was read without one. */
  readonly fence?: number | undefined
  /** When its reading began. Only needed to compare a state with a fence to one without. */
  readonly asOfMs?: number
  /** A load has the number of its beginning: what it read is at least as old as that. */
  readonly order: number
}

/**
 * Whether `candidate` may replace `held`. Versions decide when both have one and they differ. Otherwise what was
 * read later wins: by the fences where both have one, by the time of reading where one has, and by the order of
 * this process where none has.
 */
export function mayReplace(candidate: Standing, held: Standing): boolean {
  if (candidate.version !== undefined && held.version !== undefined && candidate.version !== held.version) {
    return candidate.version > held.version
  }
  if (candidate.fence === undefined && held.fence === undefined) return candidate.order >= held.order
  if (candidate.fence !== undefined && held.fence !== undefined) return candidate.fence >= held.fence
  const [candidateMs, heldMs] = [candidate.asOfMs ?? 0, held.asOfMs ?? 0]
  return candidateMs === heldMs ? candidate.order >= held.order : candidateMs > heldMs
}
