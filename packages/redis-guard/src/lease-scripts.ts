/*
 * The scripts of the fenced lease: one call a step, all keys of a lease in one slot.
 *
 * A lease key holds `<fence>:<token>` for as long as the lease runs; a fence key holds the last fence that was
 * granted. The fence is the server's TIME in microseconds, or one more than the last fence when that is larger: it
 * grows with every grant, also after a FLUSHALL, a failover that lost the keys, or a clock that was set back by
 * less than the fence key lives. It stays below 2^53 until the year 2255.
 */
import type { RedisScript } from './redis-guard.ts'

/** Milliseconds for which the last fence is remembered when nobody asks for the lease: so far a clock may go back. */
export const FENCE_MEMORY_MS = 86_400_000

/**
 * Lua functions for scripts that grant a lease among other things (KEYS must be declared by the script).
 * `fence_after(fence_key)` answers a fence larger than the last one granted, as text; `next_fence(fence_key,
 * memory_ms)` grants it; `owns(lease_key, token)` answers whether the lease is held with this token;
 * `fence_of(value)` takes the fence out of the value of a lease key.
 */
export const leaseLua = `
local function fence_after(fence_key)
  local time = redis.call('TIME')
  local fence = time[1] * 1000000 + time[2]
  local last = tonumber(redis.call('GET', fence_key) or '0')
  if fence <= last then fence = last + 1 end
  return string.format('%.0f', fence)
end
local function next_fence(fence_key, memory_ms)
  local text = fence_after(fence_key)
  redis.call('SET', fence_key, text, 'PX', memory_ms)
  return text
end
local function fence_of(value)
  return string.sub(value, 1, string.find(value, ':', 1, true) - 1)
end
local function owns(lease_key, token)
  local value = redis.call('GET', lease_key)
  return value and string.sub(value, string.find(value, ':', 1, true) + 1) == token
end
`

/** What ACQUIRE answered. */
export type AcquireReply =
  | { readonly held: true; readonly fence: number }
  | { readonly held: false; readonly fence: number; readonly retryAfterMs: number }

/**
 * KEYS lease, fence. ARGV token, leaseMs, milliseconds to remember the fence.
 * Answers { 1, fence } when granted, also again for the same token, and { 0, fence of the holder, ms left } else.
 */
export const acquireScript: RedisScript<AcquireReply> = {
  name: 'lease-acquire',
  keys: 2,
  lua: `${leaseLua}
local value = redis.call('GET', KEYS[1])
if value then
  if owns(KEYS[1], ARGV[1]) then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    return { 1, fence_of(value) }
  end
  return { 0, fence_of(value), redis.call('PTTL', KEYS[1]) }
end
local fence = next_fence(KEYS[2], ARGV[3])
redis.call('SET', KEYS[1], fence .. ':' .. ARGV[1], 'PX', ARGV[2])
return { 1, fence }
`,
  decode(reply) {
    const [granted, fence, leftMs] = reply as [number, Buffer | string, number?]
    if (granted === 1) return { held: true, fence: Number(fence) }
    return { held: false, fence: Number(fence), retryAfterMs: Math.max(0, Number(leftMs)) }
  },
}

/** KEYS lease. ARGV token, leaseMs. Answers 1 and starts the time anew, or 0 when the lease is not held with it. */
export const renewScript: RedisScript<boolean> = {
  name: 'lease-renew',
  keys: 1,
  batch: true,
  lua: `${leaseLua}
if owns(KEYS[1], ARGV[1]) then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0
`,
  decode: (reply) => reply === 1,
}

/** KEYS lease. ARGV token. Answers 1 and ends the lease, or 0 when it is not held with this token. */
export const releaseScript: RedisScript<boolean> = {
  name: 'lease-release',
  keys: 1,
  lua: `${leaseLua}
if owns(KEYS[1], ARGV[1]) then return redis.call('DEL', KEYS[1]) end
return 0
`,
  decode: (reply) => reply === 1,
}
