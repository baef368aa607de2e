/*
 * The Lua of a flight across processes, one script a step. The keys of one id share a slot:
 *   lease   <fence>:<token>             while somebody leads
 *   fence   <fence>                     the last one granted
 *   result  <fence>:<bytes>             for handoffMs after a success
 *   failure <fence>:<f or a><bytes>     for errorTtlMs after a failure (f), or for a value that is not shared (a)
 *
 * A message is <kind><fence>:<bytes of the id>:<id><payload>, with the kinds v (value), l (landed, too large to send
 * along), f (failure), a (alone), r (released), x (forgotten).
 */
import { leaseLua, type RedisScript } from '@holdfast/redis-guard'
import type { Acquired, FleetMessage, Stored } from './fleet-store.ts'

/**
 * Milliseconds for which a fence is remembered: so far the server's clock may be set back without a fence being
 * repeated. Short, because there is one key for each id that ever flew.
 */
export const FENCE_MEMORY_MS = 60_000

const tellLua = `
local function tell(channel, kind, fence, id, payload)
  redis.call('PUBLISH', channel, kind .. fence .. ':' .. #id .. ':' .. id .. payload)
end
local function bytes_of(value)
  return string.sub(value, string.find(value, ':', 1, true) + 1)
end
`

/**
 * KEYS lease, fence, result, failure. ARGV token, leaseMs, minFence, minIntervalMs, milliseconds to remember the fence.
 * Answers { kind, fence, ms left, bytes, fence of the bytes }, as far as the kind has them.
 */
export const acquireScript: RedisScript<Acquired> = {
  name: 'flight-acquire',
  keys: 4,
  batch: true,
  lua: `${leaseLua}${tellLua}
local stale, stale_fence = '', ''
local result = redis.call('GET', KEYS[3])
if result then
  local fence = fence_of(result)
  if tonumber(fence) >= tonumber(ARGV[3]) then return { 'value', fence, 0, bytes_of(result) } end
  stale, stale_fence = bytes_of(result), fence
end
local failure = redis.call('GET', KEYS[4])
if failure then
  local bytes = bytes_of(failure)
  local kind = string.sub(bytes, 1, 1) == 'a' and 'alone' or 'failure'
  return { kind, fence_of(failure), 0, string.sub(bytes, 2) }
end
local lease = redis.call('GET', KEYS[1])
if lease then
  if owns(KEYS[1], ARGV[1]) then return { 'lead', fence_of(lease) } end
  return { 'wait', fence_of(lease), redis.call('PTTL', KEYS[1]), stale, stale_fence }
end
local interval_ms = tonumber(ARGV[4])
if interval_ms > 0 then
  local last = redis.call('GET', KEYS[2])
  if last then
    local time = redis.call('TIME')
    local left_ms = interval_ms - math.floor((time[1] * 1000000 + time[2] - tonumber(last)) / 1000)
    -- A last fence far ahead of a clock that was set back must not hold anybody longer than one interval.
    if left_ms > 0 then return { 'wait', last, math.min(left_ms, interval_ms), stale, stale_fence } end
  end
end
local fence = next_fence(KEYS[2], math.max(ARGV[5], interval_ms))
redis.call('SET', KEYS[1], fence .. ':' .. ARGV[1], 'PX', ARGV[2])
return { 'lead', fence }
`,
  decode(reply) {
    const [kind, fence, leftMs, bytes, bytesFence] = reply as [Text, Text, number?, Text?, Text?]
    return acquired(String(kind), Number(fence), { leftMs, bytes, bytesFence })
  },
}

/**
 * KEYS lease, result, failure. ARGV token, kind (v, f or a), ttlMs, payload, channel, id, longest inline payload.
 * Answers 1, or 0 when the lease is not held with this token; then nothing has changed.
 */
export const publishScript: RedisScript<boolean> = {
  name: 'flight-publish',
  keys: 3,
  lua: `${leaseLua}${tellLua}
if not owns(KEYS[1], ARGV[1]) then return 0 end
local fence = fence_of(redis.call('GET', KEYS[1]))
local kind, ttl_ms, payload = ARGV[2], tonumber(ARGV[3]), ARGV[4]
if kind == 'v' then
  redis.call('SET', KEYS[2], fence .. ':' .. payload, 'PX', ttl_ms)
  redis.call('DEL', KEYS[3])
elseif ttl_ms > 0 then
  redis.call('SET', KEYS[3], fence .. ':' .. kind .. payload, 'PX', ttl_ms)
end
redis.call('DEL', KEYS[1])
if #payload <= tonumber(ARGV[7]) then tell(ARGV[5], kind, fence, ARGV[6], payload)
else tell(ARGV[5], 'l', fence, ARGV[6], '') end
return 1
`,
  decode: (reply) => reply === 1,
}

/** KEYS lease. ARGV token, channel, id. Answers 1, or 0 when the lease is not held with this token. */
export const releaseScript: RedisScript<boolean> = {
  name: 'flight-release',
  keys: 1,
  lua: `${leaseLua}${tellLua}
if not owns(KEYS[1], ARGV[1]) then return 0 end
local fence = fence_of(redis.call('GET', KEYS[1]))
redis.call('DEL', KEYS[1])
tell(ARGV[2], 'r', fence, ARGV[3], '')
return 1
`,
  decode: (reply) => reply === 1,
}

/**
 * KEYS lease, fence, result, failure. ARGV channel, id. Its fence divides the flights of before from those of after;
 * it is not stored, lest `minIntervalMs` take it for a start of the work.
 */
export const forgetScript: RedisScript<void> = {
  name: 'flight-forget',
  keys: 4,
  lua: `${leaseLua}${tellLua}
redis.call('DEL', KEYS[1], KEYS[3], KEYS[4])
tell(ARGV[1], 'x', fence_after(KEYS[2]), ARGV[2], '')
return 1
`,
  decode: () => undefined,
}

const NOTHING = Buffer.alloc(0)
const COLON = 0x3a
const messageKinds: Readonly<Record<string, FleetMessage['kind']>> = {
  v: 'value',
  l: 'landed',
  f: 'failure',
  a: 'alone',
  r: 'released',
  x: 'forgotten',
}

/** Reads a message; undefined when it is none, for example from a future version. */
export function readMessage(bytes: Buffer): FleetMessage | undefined {
  const kind = messageKinds[bytes.toString('latin1', 0, 1)]
  const fenceEnd = bytes.indexOf(COLON)
  const lengthEnd = bytes.indexOf(COLON, fenceEnd + 1)
  const fence = Number(bytes.toString('latin1', 1, fenceEnd))
  const idStart = lengthEnd + 1
  const idEnd = idStart + Number(bytes.toString('latin1', fenceEnd + 1, lengthEnd))
  const fits = lengthEnd > 0 && idEnd >= idStart && idEnd <= bytes.length
  if (kind === undefined || !fits || !Number.isSafeInteger(fence)) return undefined
  return { kind, fence, id: bytes.toString('latin1', idStart, idEnd), payload: bytes.subarray(idEnd) }
}

type Text = Buffer | string

function acquired(
  kind: string,
  fence: number,
  rest: {
    readonly leftMs?: number | undefined
    readonly bytes?: Text | undefined
    readonly bytesFence?: Text | undefined
  },
): Acquired {
  const payload = rest.bytes === undefined ? NOTHING : Buffer.from(rest.bytes as Buffer)
  switch (kind) {
    case 'lead':
    case 'alone':
      return { kind, fence }
    case 'value':
    case 'failure':
      return { kind, fence, payload }
  }
  const staleFence = Number(rest.bytesFence ?? 0)
  const stale: Stored | undefined = staleFence > 0 ? { fence: staleFence, payload } : undefined
  return { kind: 'wait', fence, leftMs: Math.max(0, rest.leftMs ?? 0), stale }
}
