/*
 * Lending in Redis: the Lua twin of `loanUnits` and `returnedTicks` in `lease-terms.ts`, on the buckets of
 * `bucket-script.ts` and by the server's TIME.
 */
import type { RedisScript } from '@holdfast/redis-guard'
import { bucketLua } from './bucket-script.ts'

/** What was lent. */
export interface Loan {
  /** Whole units; 0 for none. */
  readonly units: number
  /** What is used of the bucket now, in ticks of the policy, what is lent included. */
  readonly usedTicks: number
  /** When, in microseconds of the store's clock. */
  readonly atUs: number
}

/**
 * KEYS a bucket. ARGV the units that are wanted, those held, the portion of what is available that may be held,
 * emissionTicks, toleranceTicks, ticksPerUs, toleranceUs, the least loan. Answers the units that were lent and are
 * taken, what is used now, and the time.
 */
export const lendScript: RedisScript<Loan> = {
  name: 'rate-limit-lend',
  keys: 1,
  batch: true,
  prelude: bucketLua,
  lua: `
local emission, tolerance, ticks = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local used = used_of(call('GET', KEYS[1]), tolerance, ticks, ARGV[7])
local loan = floor(floor((tolerance - used) / emission) * tonumber(ARGV[3])) - ARGV[2]
if loan > tonumber(ARGV[1]) then loan = tonumber(ARGV[1]) end
if loan < tonumber(ARGV[8]) then return { 0, used, now } end
used = used + loan * emission
store(KEYS[1], used, ticks, ARGV[7])
return { loan, used, now }
`,
  decode(reply) {
    const [units, usedTicks, atUs] = (reply as unknown[]).map(Number) as [number, number, number]
    return { units, usedTicks, atUs }
  },
}

/**
 * KEYS a bucket. ARGV the ticks that were not spent, when they were lent in microseconds of this clock, how long ago
 * that is at least, toleranceTicks, ticksPerUs, toleranceUs. Answers the ticks that came back.
 */
export const giveBackScript: RedisScript<number> = {
  name: 'rate-limit-give-back',
  keys: 1,
  batch: true,
  prelude: bucketLua,
  lua: `
local tolerance, ticks = tonumber(ARGV[4]), tonumber(ARGV[5])
local age = now - ARGV[2]
if age < tonumber(ARGV[3]) then age = tonumber(ARGV[3]) end
local back = ARGV[1] - age * ticks
local used = used_of(call('GET', KEYS[1]), tolerance, ticks, ARGV[6])
if back > used then back = used end
if back <= 0 then return 0 end
if back < used then store(KEYS[1], used - back, ticks, ARGV[6]) else call('DEL', KEYS[1]) end
return back
`,
  decode: Number,
}

/**
 * For what was let pass while Redis was away. KEYS a bucket. ARGV the ticks that are known to be used of it, those
 * that were taken since, toleranceTicks, ticksPerUs, toleranceUs. What is known counts when the bucket has forgotten
 * it; what was taken comes on top; the bucket gets at most empty. Answers what is used now.
 */
export const catchUpScript: RedisScript<number> = {
  name: 'rate-limit-catch-up',
  keys: 1,
  batch: true,
  prelude: bucketLua,
  lua: `
local tolerance, ticks = tonumber(ARGV[3]), tonumber(ARGV[4])
local used, known = used_of(call('GET', KEYS[1]), tolerance, ticks, ARGV[5]), tonumber(ARGV[1])
if used < known then used = known end
used = used + ARGV[2]
if used > tolerance then used = tolerance end
if used > 0 then store(KEYS[1], used, ticks, ARGV[5]) end
return used
`,
  decode: Number,
}
