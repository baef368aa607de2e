/*
 * The token bucket in Redis: the Lua twin of `token-bucket.ts`, operation for operation, so that both agree to the
 * tick on every trace. `now` is the server's TIME.
 *
 * A bucket is one text: 16 digits for the whole microseconds at which it will be full, 6 for the picoseconds after
 * them, then the `toleranceUs` of the terms by which it was reckoned. Its key expires when the bucket is full. A text
 * that is no bucket, or of one that is full too late, counts as a bucket that was just emptied; whoever takes writes
 * that down, also when it refuses. Otherwise the bucket would be just emptied for ever.
 */
import type { RedisScript } from '@holdfast/redis-guard'
import { MAX_CLAIMS } from './claim.ts'

/**
 * Local functions for scripts that work with buckets; runs once for all calls that travel together.
 * `now`: microseconds. `used_of(text, tolerance, ticks, tolerance_us)`: what is used of a bucket, in ticks, of what
 * GET answered, and whether that is broken. `store(key, used, ticks, tolerance_us)`: sets a bucket of which so much is used.
 */
export const bucketLua = `
local call, sub, format, floor, ceil = redis.call, string.sub, string.format, math.floor, math.ceil
local tonumber = tonumber
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local function used_of(text, tolerance, ticks, tolerance_us)
  if not text then return 0 end
  local full_us, full_ps = tonumber(sub(text, 1, 16)), tonumber(sub(text, 17, 22))
  if not full_us or not full_ps then return tolerance, true end
  local left_us = full_us - now
  if left_us < 0 then return 0 end
  local stored_us = sub(text, 23)
  local used
  if stored_us == tolerance_us then
    used = left_us * ticks + ceil(full_ps * ticks / 1000000)
  else
    used = ceil((left_us + full_ps / 1000000) / (tonumber(stored_us) or 0) * tolerance)
  end
  if used <= tolerance then return used end
  return tolerance, true
end
local function store(key, used, ticks, tolerance_us)
  local used_us = floor(used / ticks)
  local text = format('%016.0f%06.0f', now + used_us, (used % ticks) * (1000000 / ticks)) .. tolerance_us
  call('SET', key, text, 'PX', floor(used_us / 1000) + 2)
end
`

/** One bucket: KEYS it. ARGV the ticks of the cost, toleranceTicks, ticksPerUs, toleranceUs. Answers what was used. */
const one = (write: boolean) => `
local tolerance, ticks = tonumber(ARGV[2]), tonumber(ARGV[3])
local used, broken = used_of(call('GET', KEYS[1]), tolerance, ticks, ARGV[4])
${
  write
    ? `local after = used + ARGV[1]
if after <= tolerance and ARGV[1] ~= '0' then
  store(KEYS[1], after, ticks, ARGV[4])
elseif broken then
  store(KEYS[1], used, ticks, ARGV[4])
end`
    : ''
}
return used
`

/**
 * Several buckets: KEYS them. ARGV for each the ticks of the cost, toleranceTicks, ticksPerUs, toleranceUs, and 1 for a
 * shadow policy. Takes all, or none. Answers what was used of each before; of one that is named twice, the second time
 * with the first cost.
 */
const several = (write: boolean) => `
local texts = call('MGET', unpack(KEYS))
local used, after, last, pass = {}, {}, {}, true
for i = 1, #KEYS do
  local at, key = i * 5 - 4, KEYS[i]
  local tolerance = tonumber(ARGV[at + 1])
  local before = last[key]
  if not before then
    local ticks, broken = tonumber(ARGV[at + 2])
    before, broken = used_of(texts[i], tolerance, ticks, ARGV[at + 3])${
      write
        ? `
    if broken then store(key, before, ticks, ARGV[at + 3]) end`
        : ''
    }
  end
  local sum = before + ARGV[at]
  used[i] = before
  if sum <= tolerance then
    after[i] = sum
    last[key] = sum
  else
    last[key] = before
    if ARGV[at + 4] ~= '1' then pass = false end
  end
end
${
  write
    ? `if pass then
  for i = 1, #KEYS do
    local at = i * 5 - 4
    if after[i] and ARGV[at] ~= '0' then store(KEYS[i], after[i], tonumber(ARGV[at + 2]), ARGV[at + 3]) end
  end
end`
    : ''
}
return used
`

function script(keys: number, write: boolean): RedisScript<readonly number[]> {
  return {
    name: `rate-limit-${write ? 'take' : 'peek'}-${keys}`,
    keys,
    batch: true,
    prelude: bucketLua,
    lua: keys === 1 ? one(write) : several(write),
    decode: (reply) => (Array.isArray(reply) ? reply.map(Number) : [Number(reply)]),
  }
}

const counts = Array.from({ length: MAX_CLAIMS }, (_, at) => at + 1)

/** By the number of buckets, less one: takes what is claimed, all or nothing. */
export const takeScripts = counts.map((keys) => script(keys, true))
/** By the number of buckets, less one: answers the same, and takes nothing. */
export const peekScripts = counts.map((keys) => script(keys, false))

/**
 * KEYS a bucket. ARGV the ticks to give back, toleranceTicks, ticksPerUs, toleranceUs. The bucket gets at most full.
 * Answers what is used now.
 */
export const refundScript: RedisScript<number> = {
  name: 'rate-limit-refund',
  keys: 1,
  batch: true,
  prelude: bucketLua,
  lua: `
local tolerance, ticks = tonumber(ARGV[2]), tonumber(ARGV[3])
local text = call('GET', KEYS[1])
local used = used_of(text, tolerance, ticks, ARGV[4]) - ARGV[1]
if used > 0 then
  store(KEYS[1], used, ticks, ARGV[4])
  return used
end
if text then call('DEL', KEYS[1]) end
return 0
`,
  decode: Number,
}
