/*
 * The scripts of the second level. All keys of one cache lie in one slot, so that every script works in a Cluster.
 *
 * One hash per key of the cache:
 *   d  the value as text (`shared-entry.ts`), or m = 1 when the source did not know the key
 *   f  the fence of the read that brought it; v its version, when it has one
 *   i  the fence of its last invalidation: what has a smaller fence is outdated
 *   l  the fence of the load that holds the lease, x when the lease ends (ms)
 *   e  why the last load under a lease failed, y until when that counts (ms)
 * One counter per cache: the last fence given. A fence is the server's time in microseconds, or one more than the
 * last one where that is larger; so it also grows when the counter is lost, and the age of a value can be told.
 *
 * Other people may write here, too: a key of another type is removed, and a fence that lies more than a week ahead
 * of the server's clock is none. Believed once, it would be the largest for ever.
 */

import type { RedisScript } from '@holdfast/redis-guard'

/** A script for any number of keys. */
export class SharedScript {
  readonly #name: string
  readonly #lua: string
  /** By their number of keys. The source is the same, so Redis has one script. Bounded by the largest call. */
  readonly #forms: RedisScript[] = []

  constructor(name: string, lua: string) {
    this.#name = name
    this.#lua = lua
  }

  /** As `RedisGuard.run` takes it. */
  of(keys: number): RedisScript {
    this.#forms[keys] ??= { name: this.#name, lua: this.#lua, keys }
    return this.#forms[keys]
  }
}

const time = `
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local nowMs = math.floor(now / 1000)
local function text(n) return string.format('%.0f', n) end
local function number(s) return tonumber(s or '') or 0 end
local function fenceOf(s)
  local n = number(s)
  return n >= 0 and n <= now + 604800000000 and n or 0
end
local function ask(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if type(reply) ~= 'table' or not reply.err then return reply end
  if not string.find(reply.err, 'WRONGTYPE', 1, true) then error(reply.err) end
  redis.call('DEL', key)
  return command == 'HMGET' and {} or false
end
local function keepFor(key, ms)
  ms = math.ceil(ms)
  if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, ms) end
end
local function count(key, fence) redis.call('SET', key, text(fence), 'PX', 86400000) end
`

/**
 * Reads many keys, and takes the lease of those that must be loaded.
 *
 * KEYS: the counter, then the keys. ARGV: leaseMs, freshUs, negativeUs; then per key a mode, the smallest fence
 * that will do (0: any that is fresh; what is not outdated and has it counts, however old), and the fence that the
 * caller holds already. Modes: 'n' answers what is fresh or has that fence, or grants the lease; 'f' grants the
 * lease whatever there is; 'r' reads and grants nothing.
 * Answers: now, the fence granted (0: none), then per key [state, f, i, rest of a foreign lease in ms, d].
 * States: 'h' a value that will do, 'm' known to be missing, 'w' another one loads, 'e' another one has just failed
 * (d says why), 'l' the lease is granted, 's' (mode 'r') what there is. `d` is left out where the caller holds it.
 */
export const readScript: SharedScript = new SharedScript(
  'stale-cache-read',
  `${time}
local leaseMs, freshUs, negativeUs = number(ARGV[1]), number(ARGV[2]), number(ARGV[3])
local rows, granted, floor = {}, {}, 0
for n = 2, #KEYS do
  local mode, since, have = ARGV[n * 3 - 2], fenceOf(ARGV[n * 3 - 1]), number(ARGV[n * 3])
  local h = ask('HMGET', KEYS[n], 'd', 'm', 'f', 'i', 'l', 'x', 'e', 'y')
  local d, m, f, i, l, x = h[1], h[2], fenceOf(h[3]), fenceOf(h[4]), fenceOf(h[5]), number(h[6])
  local failing = h[7] and fenceOf(number(h[8]) * 1000) > now
  local current = (d or m) and f > i and mode ~= 'f'
  local young = now - f < (d and freshUs or negativeUs)
  local state = 'l'
  if mode == 'r' then state = m and f > i and 'm' or 's'
  elseif current and ((since > 0 and f >= since) or (since == 0 and young)) then state = d and 'h' or 'm'
  elseif mode == 'n' and l > 0 and x > nowMs and l >= since and l > i then state = 'w'
  elseif mode == 'n' and failing then state, d = 'e', h[7] end
  if state == 'l' then
    granted[#granted + 1] = KEYS[n]
    floor = math.max(floor, since, i + 1, f + 1)
  end
  if not d or (state ~= 'e' and (f == have or f == 0)) then d = '' end
  rows[#rows + 1] = { state, text(f), text(i), state == 'w' and x - nowMs or 0, d }
end
local fence = 0
if #granted > 0 then
  fence = math.max(now, fenceOf(ask('GET', KEYS[1])) + 1, floor)
  count(KEYS[1], fence)
  for _, key in ipairs(granted) do
    redis.call('HSET', key, 'l', text(fence), 'x', text(nowMs + leaseMs))
    redis.call('HDEL', key, 'e', 'y')
    keepFor(key, leaseMs * 2)
  end
end
return { text(now), text(fence), rows }
`,
)

/**
 * Tells the fleet what has happened to many keys, in Redis and by one message.
 *
 * KEYS: the counter, then the keys (of values, or of a tag's mark). ARGV: channel, ttlMs, largest sum of values in
 * the message, the sender; then per key eight: kind, name (as JSON), fence (0: that of `age`), age in us, the
 * largest fence that the sender knew then, value, version, lease.
 * Kinds: 's' store the value, 'm' the source does not know the key (value: for how many ms), 'i' invalidated,
 * 't' a tag was invalidated, 'e' the load failed (value: why; version: for how many ms), 'l' give the lease back.
 * What happened `age` ago has the server's time then as its fence. When that is not after what its sender knew,
 * the clock was set back (a failover to a slow clock does that, too), and it comes after all that has a fence.
 * Every kind gives back the lease it names. Answers per key [1 when it had an effect, its fence].
 */
export const applyScript: SharedScript = new SharedScript(
  'stale-cache-apply',
  `${time}
local function digits(s) return string.match(s or '', '^(-?)0*(%d+)$') end
local function smaller(a, b)
  local signA, a1 = digits(a)
  local signB, b1 = digits(b)
  if not a1 or not b1 then return (tonumber(a) or 0) < (tonumber(b) or 0) end
  if signA ~= signB then return signA == '-' end
  if #a1 ~= #b1 then return (#a1 < #b1) == (signA == '') end
  return a1 ~= b1 and (a1 < b1) == (signA == '')
end
local channel, ttlMs, room, sender = ARGV[1], number(ARGV[2]), number(ARGV[3]), ARGV[4]
local results, changes = {}, {}
for n = 2, #KEYS do
  local key, at = KEYS[n], n * 8 - 12
  local kind, name, fence, seen, value, version, lease = ARGV[at + 1], ARGV[at + 2],
    number(ARGV[at + 3]), fenceOf(ARGV[at + 5]), ARGV[at + 6], ARGV[at + 7], ARGV[at + 8]
  if fence == 0 then
    fence = math.max(1, now - number(ARGV[at + 4]))
    if fence <= seen then
      fence = math.max(fenceOf(ask('GET', KEYS[1])), seen) + 1
      count(KEYS[1], fence)
    end
  end
  local f, done, inline, outdated = text(fence), false, nil, ''
  if kind == 't' then
    if fence > fenceOf(ask('GET', key)) then
      redis.call('SET', key, f, 'PX', ttlMs)
      done = true
    end
  else
    local h = ask('HMGET', key, 'f', 'v', 'l', 'i')
    local newer = fence > fenceOf(h[1])
    if kind == 's' and h[2] and version ~= '' and h[2] ~= version then newer = smaller(h[2], version) end
    if kind == 's' and newer then
      redis.call('HDEL', key, 'm', 'v')
      redis.call('HSET', key, 'd', value, 'f', f)
      if version ~= '' then redis.call('HSET', key, 'v', version) end
      keepFor(key, ttlMs)
      done = true
      if #value <= room then room, inline = room - #value, value end
      if fence <= fenceOf(h[4]) then outdated = ',"x":1' end
    elseif kind == 'm' and newer then
      redis.call('HDEL', key, 'd', 'v')
      redis.call('HSET', key, 'm', '1', 'f', f)
      redis.call('PEXPIRE', key, math.ceil(number(value)))
      done = true
    elseif kind == 'i' and fence > fenceOf(h[4]) then
      redis.call('HSET', key, 'i', f)
      keepFor(key, ttlMs)
      done = true
    elseif kind == 'e' and h[3] == lease then
      redis.call('HSET', key, 'e', value, 'y', text(nowMs + number(version)))
      keepFor(key, number(version))
      done, inline = true, value
    elseif kind == 'l' and h[3] == lease then
      done = true
    end
    if lease ~= '' and h[3] == lease then redis.call('HDEL', key, 'l', 'x') end
  end
  results[n - 1] = { done and 1 or 0, f }
  if done then
    local data = inline and (',"d":' .. cjson.encode(inline)) or ''
    changes[#changes + 1] = '{"o":"' .. kind .. '","k":' .. name .. ',"f":' .. f .. outdated .. data .. '}'
  end
end
if #changes > 0 then
  redis.call('PUBLISH', channel, '{"v":1,"from":"' .. sender .. '","now":' .. text(now) ..
    ',"changes":[' .. table.concat(changes, ',') .. ']}')
end
return results
`,
)

/**
 * Prolongs leases. KEYS: the keys. ARGV: the fence that holds them, leaseMs. Answers how many are still held.
 */
export const renewScript: SharedScript = new SharedScript(
  'stale-cache-renew',
  `${time}
local held = 0
for _, key in ipairs(KEYS) do
  if ask('HGET', key, 'l') == ARGV[1] then
    redis.call('HSET', key, 'x', text(nowMs + number(ARGV[2])))
    keepFor(key, number(ARGV[2]) * 2)
    held = held + 1
  end
end
return held
`,
)
