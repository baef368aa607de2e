/*
 * Limits as people write them into a configuration:
 *
 *     10/minute                            10 at once, refilled with 10 per minute
 *     100 per 60s burst 20                 20 at once, refilled with 100 per 60 s
 *     100 per 60s burst 100 refill 2/s     100 at once, refilled with 2 per second; the window says 60 s
 *     5 per 15m strict                     never more than 5 in any 15 minutes
 *     10/minute shadow                     decides and tells, and refuses nobody
 */

/** A limit in numbers. */
export interface Limit {
  /** Units that can be taken at once. */
  readonly capacity: number
  /** What comes back: `units` in `us` microseconds. Both whole. */
  readonly refill: { readonly units: number; readonly us: number }
  /** The window that headers speak of, in microseconds. */
  readonly windowUs: number
  /** No window of `windowUs` ever sees more than the quota. */
  readonly strict: boolean
  readonly shadow: boolean
}

const SECOND_US = 1_000_000

const unitsUs: Readonly<Record<string, number>> = {
  ms: 1000,
  millisecond: 1000,
  milliseconds: 1000,
  s: SECOND_US,
  sec: SECOND_US,
  second: SECOND_US,
  seconds: SECOND_US,
  m: 60 * SECOND_US,
  min: 60 * SECOND_US,
  minute: 60 * SECOND_US,
  minutes: 60 * SECOND_US,
  h: 3600 * SECOND_US,
  hour: 3600 * SECOND_US,
  hours: 3600 * SECOND_US,
  d: 86_400 * SECOND_US,
  day: 86_400 * SECOND_US,
  days: 86_400 * SECOND_US,
}

const amount = String.raw`(\d{1,10}(?:\.\d{1,6})?)`
const period = String.raw`(\d{1,10})?\s*([a-z]{1,12})`
const quotaPattern = new RegExp(String.raw`^${amount}\s*(?:/|\s+per\s+)\s*${period}(?=\s|$)`)
const wordPattern = new RegExp(
  String.raw`^\s+(?:(burst)\s+(\d{1,10})|(refill)\s+${amount}\s*(?:/|\s+per\s+)\s*${period}|(strict)|(shadow))(?=\s|$)`,
)

/** What is expected, for errors. */
export const LIMIT_FORM =
  "a limit such as '10/minute', '100 per 60s', '100 per 60s burst 100 refill 2/s', '5 per 15m strict'"

/** Reads a limit; undefined when the text is none. The numbers are checked by whoever compiles it. */
export function parseLimit(text: string): Limit | undefined {
  let rest = text.trim().toLowerCase()
  const quota = quotaPattern.exec(rest)
  const windowUs = periodUs(quota?.[2], quota?.[3])
  if (quota === null || windowUs === undefined) return undefined
  const stated = rateOf(quota[1], windowUs)
  rest = rest.slice(quota[0].length)
  const given = new Set<string>()
  let burst: number | undefined
  let refill: Limit['refill'] | undefined
  while (rest !== '') {
    const word = wordPattern.exec(rest)
    if (word === null) return undefined
    const name = word[1] ?? word[3] ?? word[7] ?? word[8] ?? ''
    if (given.has(name)) return undefined
    given.add(name)
    if (name === 'burst') burst = Number(word[2])
    if (name === 'refill') {
      const us = periodUs(word[5], word[6])
      if (us === undefined) return undefined
      refill = rateOf(word[4], us)
    }
    rest = rest.slice(word[0].length)
  }
  const strict = given.has('strict')
  // Strict computes the refill, and needs whole units to compute with.
  if (strict && (refill !== undefined || stated.us !== windowUs)) return undefined
  const shadow = given.has('shadow')
  if (strict) return { ...strictLimit(stated.units, windowUs, burst), shadow }
  const capacity = burst ?? Math.max(1, Math.floor(Number(quota[1])))
  return { capacity, refill: refill ?? stated, windowUs, strict, shadow }
}

/**
 * A limit by which no window of `windowUs` (from its first instant up to, but not including, its last) ever sees more
 * than `quota`. Whoever takes c1 + c2 + ... units between the instants a and z has taken at most
 * `capacity + (z - a) / emission`; with z - a < window this is less than `capacity + refill`, so that
 * `capacity + refill = quota + 1` keeps it at `quota`. Half of it, rounded up, can be taken at once unless `burst`
 * says otherwise.
 */
export function strictLimit(quota: number, windowUs: number, burst?: number): Omit<Limit, 'shadow'> {
  const capacity = Math.min(quota, burst ?? Math.ceil(quota / 2))
  return { capacity, refill: { units: quota + 1 - capacity, us: windowUs }, windowUs, strict: true }
}

function periodUs(count: string | undefined, unit: string | undefined): number | undefined {
  const us = Object.hasOwn(unitsUs, unit ?? '') ? unitsUs[unit ?? ''] : undefined
  return us === undefined ? undefined : us * Number(count ?? 1)
}

/** `0.5` in a second is 5 in ten seconds: whole numbers only. */
function rateOf(text: string | undefined, us: number): Limit['refill'] {
  const [whole = '', decimals = ''] = (text ?? '').split('.')
  return { units: Number(whole + decimals), us: us * 10 ** decimals.length }
}
