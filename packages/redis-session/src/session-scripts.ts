/*
 * Sessions as Redis knows them. Each write is one script, and so one atomic step; so is a read of named fields, because
 * scripts of one turn of the event loop travel together. A session is a hash:
 *
 *   c created, t touched, i idleMs, a absoluteAtMs, v version, n bytes of the data,
 *   p principal, f authenticated, w device, l the hash of the list it is on, d:<name> a field of the data
 *
 * and a user's list a sorted set of the hashes in the keys of his sessions, by when they end. Both are in one slot, so
 * the key of the one is made from that of the other: ARGV[1] is how the keys of sessions begin there, ARGV[2] how those
 * of lists do, ARGV[3] the hash of the session. Time is that of Redis.
 *
 * A login that happened without Redis is claimed later (`createScript`). Until it can be claimed no more, a text `g:`
 * by the hash of its id says that it was claimed, when, or that it `ended`; and a hash `m:` by that of its user's list
 * which of his may not be claimed: `s:<hash>` that one, `u:<hash>` all of until then but this one.
 *
 * Which sessions ended is published, in the turn in which it happens.
 */
import type { RedisScript } from '@holdfast/redis-guard'

/** For so long a login can be claimed, and what ended is remembered: the longest outage, and what clocks may differ. */
const CLAIM_MS = 1_200_000
/**
 * For so long requests that came together agree on a login that one of them has claimed; longer, when nobody has used
 * what came of it, for then its answer was lost.
 */
const AGREE_MS = 10_000
/** Of one user; with more of them, none that happened until then can be claimed. */
const MAX_MARKS = 64
/** The channel on which a slot tells which sessions ended, by how its keys of sessions begin. */
export function channelOf(keysBegin: string): string {
  return `${keysBegin.slice(0, keysBegin.indexOf('{'))}ended`
}

/**
 * KEYS session. ARGV the names of what is asked for. Answers the values, joined by `SEPARATOR`, empty where there is
 * none. One text: for a client each text of a reply costs far more than its length.
 */
export const readScript: RedisScript<string> = {
  name: 'session-read',
  keys: 1,
  batch: true,
  lua: `
local values = redis.call('HMGET', KEYS[1], unpack(ARGV))
for at = 1, #values do values[at] = values[at] or '' end
return table.concat(values, '\\0')
`,
  decode: String,
}

/** No number has it, no text of JSON, and nothing that is sealed. */
export const SEPARATOR = '\0'

/** Milliseconds are written as whole numbers: Lua would make `1.7e+12` of them. */
const prelude = `
local call = redis.call
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function whole(number) return string.format('%.0f', number) end
local sessions, lists, hash = ARGV[1], ARGV[2], ARGV[3]
local slot = string.sub(sessions, 1, -3)
-- Tells everybody. It must not undo the rest when nobody may publish.
local function tell(why, hashes)
  if #hashes > 0 then
    redis.pcall('PUBLISH', string.match(sessions, '^[^{]*') .. 'ended', why .. ' ' .. table.concat(hashes, ' '))
  end
end
-- What of a user may not be claimed any more.
local function mark(list, name, value)
  local marks = slot .. 'm:' .. list
  if call('HLEN', marks) >= ${MAX_MARKS} then
    call('DEL', marks)
    name, value = 'u:', whole(now)
  end
  call('HSET', marks, name, value)
  call('PEXPIRE', marks, ${CLAIM_MS})
end
-- Notes a use at this moment: the session, and its place on the list, last until it ends.
local function use(key, list, idle, absolute)
  local ends = math.min(now + idle, absolute)
  call('HSET', key, 't', whole(now))
  call('PEXPIREAT', key, whole(ends))
  if list then
    call('ZADD', lists .. list, whole(ends), hash)
    if call('PTTL', lists .. list) < absolute - now then call('PEXPIREAT', lists .. list, whole(absolute)) end
  end
end
`

/** What a script answers instead of a time or a version. */
export const GONE = -1
export const REFUSED = -2
export const CONFLICT = -3
export const CLAIMED = -4

/**
 * KEYS session, the replaced session or the first once more. ARGV[4] the hash of the list or '', then idleMs,
 * absoluteAtMs or '', absoluteMs from now, createdMs or '', the hash of the replaced one or '', '1' when it must be
 * there, the version it must have or '', maxPerUser, '1' to deny when full, '1' when authenticated now, or when, or '',
 * the hash of the login that is claimed or '', then names and values. Answers the time and the hashes of the sessions
 * that ended, or `GONE`, `REFUSED`, `CONFLICT`, or `CLAIMED` when another request has just done so.
 */
export const createScript: RedisScript<readonly unknown[]> = {
  name: 'session-create',
  keys: 2,
  prelude,
  lua: `
local key, old, list, replaced = KEYS[1], KEYS[2], ARGV[4], ARGV[9]
local absolute = ARGV[6] == '' and now + ARGV[7] or tonumber(ARGV[6])
local claimed, grave = ARGV[15], slot .. 'g:' .. ARGV[15]
-- The end of this session overtook its beginning, which a stalled Redis had not run yet.
if call('EXISTS', slot .. 'g:' .. hash) == 1 then return {${GONE}} end
if claimed ~= '' then
  local state = call('GET', grave)
  if state then
    local agrees = tonumber(state) and (now - state <= ${AGREE_MS} or call('HGET', key, 't') == state)
    return {agrees and ${CLAIMED} or ${GONE}}
  end
  local marks = call('HGETALL', slot .. 'm:' .. list)
  for at = 1, #marks, 2 do
    local kind, one = string.sub(marks[at], 1, 2), string.sub(marks[at], 3)
    if kind == 's:' and one == claimed then return {${GONE}} end
    if kind == 'u:' and one ~= claimed and tonumber(ARGV[8]) <= tonumber(marks[at + 1]) then return {${GONE}} end
  end
end
if absolute <= now then return {${GONE}} end
if ARGV[10] == '1' and call('EXISTS', old) == 0 then return {${GONE}} end
if ARGV[11] ~= '' and ARGV[11] ~= call('HGET', old, 'v') then return {${CONFLICT}} end
local ended = {}
if list ~= '' then
  local live = {}
  for _, other in ipairs(call('ZRANGE', lists .. list, 0, -1)) do
    if other ~= replaced then
      if call('EXISTS', sessions .. other) == 1 then live[#live + 1] = other
      else call('ZREM', lists .. list, other) end
    end
  end
  local surplus = #live - ARGV[12] + 1
  if surplus > 0 and ARGV[13] == '1' then return {${REFUSED}} end
  for at = 1, surplus do
    call('DEL', sessions .. live[at])
    call('ZREM', lists .. list, live[at])
    ended[#ended + 1] = live[at]
  end
end
tell('ended', ended)
if claimed ~= '' then call('SET', grave, whole(now), 'PX', ${CLAIM_MS}) end
if replaced ~= '' then
  local before = call('HGET', old, 'l')
  if before then call('ZREM', lists .. before, replaced) end
  if call('DEL', old) == 1 then
    ended[#ended + 1] = replaced
    tell('replaced', {replaced})
  else
    call('SET', slot .. 'g:' .. replaced, 'ended', 'PX', ${CLAIM_MS})
  end
end
local bytes = 0
for at = 16, #ARGV, 2 do
  call('HSET', key, ARGV[at], ARGV[at + 1])
  if string.sub(ARGV[at], 1, 2) == 'd:' then bytes = bytes + #ARGV[at] - 2 + #ARGV[at + 1] end
end
local created = ARGV[8] == '' and whole(now) or ARGV[8]
call('HSET', key, 'c', created, 'i', ARGV[5], 'a', whole(absolute), 'v', 1, 'n', bytes)
if list ~= '' then call('HSET', key, 'l', list) end
if ARGV[14] ~= '' then call('HSET', key, 'f', ARGV[14] == '1' and whole(now) or ARGV[14]) end
use(key, list ~= '' and list, tonumber(ARGV[5]), absolute)
table.insert(ended, 1, whole(now))
return ended
`,
  decode: (reply) => reply as readonly unknown[],
}

/**
 * KEYS session. ARGV[4] the version it must have or '', maxBytes, maxFields, how many fields are removed, these, then
 * names and values. Answers the new version and the time, or `GONE`, `CONFLICT` or `REFUSED` (too large).
 */
export const commitScript: RedisScript<readonly number[]> = {
  name: 'session-commit',
  keys: 1,
  prelude,
  lua: `
local key = KEYS[1]
local kept = call('HMGET', key, 'i', 'a', 'v', 'n', 'l')
if not kept[1] then return {${GONE}} end
if ARGV[4] ~= '' and ARGV[4] ~= kept[3] then return {${CONFLICT}} end
local bytes, more, first = tonumber(kept[4]), 0, 8 + ARGV[7]
for at = 8, first - 1 do
  if call('HEXISTS', key, ARGV[at]) == 1 then
    bytes, more = bytes - #ARGV[at] + 2 - call('HSTRLEN', key, ARGV[at]), more - 1
  end
end
for at = first, #ARGV, 2 do
  if call('HEXISTS', key, ARGV[at]) == 1 then
    bytes = bytes - call('HSTRLEN', key, ARGV[at]) + #ARGV[at + 1]
  else
    bytes, more = bytes + #ARGV[at] - 2 + #ARGV[at + 1], more + 1
  end
end
if bytes > tonumber(ARGV[5]) then return {${REFUSED}} end
if more > 0 then
  local fields = 0
  for _, name in ipairs(call('HKEYS', key)) do if string.sub(name, 1, 2) == 'd:' then fields = fields + 1 end end
  if fields + more > tonumber(ARGV[6]) then return {${REFUSED}} end
end
for at = 8, first - 1 do call('HDEL', key, ARGV[at]) end
for at = first, #ARGV, 2 do call('HSET', key, ARGV[at], ARGV[at + 1]) end
call('HSET', key, 'n', bytes)
use(key, kept[5], tonumber(kept[1]), tonumber(kept[2]))
return {call('HINCRBY', key, 'v', 1), whole(now), bytes}
`,
  decode: (reply) => (reply as readonly unknown[]).map(Number),
}

/** KEYS session. Answers 1, or 0 when it is not there. */
export const touchScript: RedisScript<boolean> = {
  name: 'session-touch',
  keys: 1,
  prelude,
  lua: `
local kept = call('HMGET', KEYS[1], 'i', 'a', 'l')
if not kept[1] then return 0 end
use(KEYS[1], kept[3], tonumber(kept[1]), tonumber(kept[2]))
return 1
`,
  decode: (reply) => Number(reply) === 1,
}

/**
 * KEYS session. ARGV[4] a field, what it has or '', what it shall have or '', maxBytes, maxFields. Answers version, time
 * and bytes; or `GONE`, `REFUSED`, or `CONFLICT` and what it has.
 */
export const swapScript: RedisScript<readonly unknown[]> = {
  name: 'session-swap',
  keys: 1,
  prelude,
  lua: `
local key, name = KEYS[1], ARGV[4]
local kept = call('HMGET', key, 'i', 'a', 'n', 'l', name)
if not kept[1] then return {${GONE}} end
local present = kept[5] or ''
if present ~= ARGV[5] then return {${CONFLICT}, present} end
local bytes = tonumber(kept[3]) + #ARGV[6] - #present
if present == '' and ARGV[6] ~= '' then bytes = bytes + #name - 2 end
if present ~= '' and ARGV[6] == '' then bytes = bytes - #name + 2 end
if bytes > tonumber(ARGV[7]) then return {${REFUSED}} end
if present == '' and ARGV[6] ~= '' then
  local fields = 1
  for _, other in ipairs(call('HKEYS', key)) do if string.sub(other, 1, 2) == 'd:' then fields = fields + 1 end end
  if fields > tonumber(ARGV[8]) then return {${REFUSED}} end
end
if ARGV[6] == '' then call('HDEL', key, name) else call('HSET', key, name, ARGV[6]) end
call('HSET', key, 'n', bytes)
use(key, kept[4], tonumber(kept[1]), tonumber(kept[2]))
return {call('HINCRBY', key, 'v', 1), whole(now), bytes}
`,
  decode: (reply) => reply as readonly unknown[],
}

/**
 * KEYS session. ARGV[4] `ended` or `replaced`, ARGV[5] the version it must have or ''. Answers 1, `CONFLICT`, or 0 when
 * it was not there; then a login by that name cannot be claimed any more.
 */
export const destroyScript: RedisScript<number> = {
  name: 'session-destroy',
  keys: 1,
  prelude,
  lua: `
local kept = call('HMGET', KEYS[1], 'l', 'v')
if kept[2] and ARGV[5] ~= '' and ARGV[5] ~= kept[2] then return ${CONFLICT} end
if kept[1] then call('ZREM', lists .. kept[1], hash) end
if call('DEL', KEYS[1]) == 0 then
  call('SET', slot .. 'g:' .. hash, 'ended', 'PX', ${CLAIM_MS})
  return 0
end
tell(ARGV[4], {hash})
return 1
`,
  decode: Number,
}

/** KEYS session, list. ARGV[4] the hash of the list. Ends it when it is on the list; answers 1, or 0. */
export const revokeScript: RedisScript<boolean> = {
  name: 'session-revoke',
  keys: 2,
  prelude,
  lua: `
if call('ZREM', KEYS[2], hash) == 0 then
  mark(ARGV[4], 's:' .. hash, '1')
  return 0
end
local ended = call('DEL', KEYS[1])
tell('ended', {hash})
return ended
`,
  decode: (reply) => Number(reply) === 1,
}

/** KEYS list. Answers hash, c, t, a, f, w of each of its sessions. */
export const listScript: RedisScript<readonly (readonly unknown[])[]> = {
  name: 'session-list',
  keys: 1,
  lua: `
local found = {}
for _, hash in ipairs(redis.call('ZREVRANGE', KEYS[1], 0, -1)) do
  local kept = redis.call('HMGET', ARGV[1] .. hash, 'c', 't', 'a', 'f', 'w')
  if kept[1] then
    found[#found + 1] = {hash, kept[1], kept[2], kept[3], kept[4], kept[5]}
  else
    redis.call('ZREM', KEYS[1], hash)
  end
end
return found
`,
  decode: (reply) => reply as readonly (readonly unknown[])[],
}

/**
 * KEYS list. ARGV[4] a hash that stays or '', ARGV[5] until when those were made that end or ''. Answers the hashes of
 * those that ended.
 */
export const revokeAllScript: RedisScript<readonly string[]> = {
  name: 'session-revoke-all',
  keys: 1,
  prelude,
  lua: `
local ended, untilMs = {}, ARGV[5] == '' and now or tonumber(ARGV[5])
for _, other in ipairs(call('ZRANGE', KEYS[1], 0, -1)) do
  local created = call('HGET', sessions .. other, 'c')
  if not created then
    call('ZREM', KEYS[1], other)
  elseif other ~= ARGV[4] and (ARGV[5] == '' or tonumber(created) <= untilMs) then
    call('DEL', sessions .. other)
    call('ZREM', KEYS[1], other)
    ended[#ended + 1] = other
  end
end
mark(hash, 'u:' .. ARGV[4], whole(untilMs))
tell('ended', ended)
return ended
`,
  decode: (reply) => (reply as readonly unknown[]).map(String),
}
