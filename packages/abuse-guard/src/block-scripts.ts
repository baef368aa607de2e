/*
 * The blocks in Redis, in one slot. Times are of Redis, in ms since 1970; replies hold differences only.
 *
 * KEYS 1 head: a hash with `epoch` (made once; another one means that the data was lost) and `version`
 *      2 records: a hash, address -> "<until> <offences> <since> <origin> <reason>"
 *      3 changes: a sorted set, address -> the version of its last change
 *      4 ends: a sorted set, address -> when nothing of its record counts any more
 *
 * Bounded: every write takes out up to 50 records that have ended, and the one that ends first when there are more than
 * the maximum. The keys expire when nobody writes for so long that no record counts any more.
 */
import type { RedisScript } from '@holdfast/redis-guard'
import type { BlockOrigin } from './blocks.ts'
import { MAX_OFFENCES } from './escalation.ts'
import type { Changes, StoredBlock } from './store.ts'

/** The time of Redis, and how a record is read; a value that nobody could have written does no harm for long. */
export const clockLua = `local function nowMs()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
`

const readLua = `local now = nowMs()
local longest = 2147483647
local function read(address)
  local text = redis.call('HGET', KEYS[2], address)
  if not text then return nil end
  local till, offences, since, origin, reason = string.match(text, '^(%d+) (%d+) (%d+) (%a+) (.*)$')
  if not till then return nil end
  till, offences, since = tonumber(till), tonumber(offences), tonumber(since)
  return { till = math.min(till, now + longest), offences = math.min(offences, ${MAX_OFFENCES}), since = math.min(since, now), origin = origin, reason = reason }
end
local function push(reply, address, record)
  reply[#reply + 1] = address
  reply[#reply + 1] = math.max(0, record.till - now)
  reply[#reply + 1] = now - record.since
  reply[#reply + 1] = record.offences
  reply[#reply + 1] = record.origin
  reply[#reply + 1] = record.reason
  return reply
end
`

/*
 * ARGV 1 mode: punish, hold, restore or lift   2 address   3 origin   4 reason   5 ms of a hold or restore
 *      6 age in ms of a restore   7 offences of a restore   8 blockMs   9 maxBlockMs   10 decayMs   11 maximum of records
 *      12 channel
 * Replies address, remaining ms, age in ms, offences, origin and reason of the block that holds now; of the one that was
 * lifted.
 */
const writeLua = `local mode, address, origin, reason = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local ms, age, offences = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local blockMs, maxBlockMs, decayMs, most = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
local known = read(address)
-- What is known and ended only after the restored block began was lifted; what ended before is another story.
if mode == 'restore' and known and known.till > now - age then return push({}, address, known) end
if mode == 'punish' and known and known.till > now then return push({}, address, known) end
local before = 0
if known then
  before = math.max(0, known.offences - math.floor(math.max(0, now - known.till) / decayMs))
end
local record
if mode == 'punish' then
  record = { till = now + math.min(maxBlockMs, blockMs * 2 ^ before), offences = math.min(${MAX_OFFENCES}, before + 1), since = now }
elseif mode == 'hold' then
  record = { till = now + ms, offences = before, since = now }
elseif mode == 'restore' then
  record = { till = now + ms, offences = offences, since = now - age }
else
  record = { till = now, offences = 0, since = now }
end
record.origin, record.reason = origin, reason
-- What was lifted is remembered for a while, so that nobody restores it.
local forgotten = record.till + math.max(1, record.offences) * decayMs
redis.call('HSETNX', KEYS[1], 'epoch', string.format('%.0f', now))
local version = redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('HSET', KEYS[2], address, string.format('%.0f %d %.0f %s %s', record.till, record.offences, record.since, origin, reason))
redis.call('ZADD', KEYS[3], version, address)
redis.call('ZADD', KEYS[4], forgotten, address)
local gone = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now, 'LIMIT', 0, 50)
if redis.call('ZCARD', KEYS[4]) - #gone > most then
  gone[#gone + 1] = redis.call('ZRANGE', KEYS[4], #gone, #gone)[1]
end
for _, old in ipairs(gone) do
  redis.call('HDEL', KEYS[2], old)
  redis.call('ZREM', KEYS[3], old)
  redis.call('ZREM', KEYS[4], old)
end
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, string.format('%.0f', longest + ${MAX_OFFENCES + 1} * decayMs))
end
redis.call('PUBLISH', ARGV[12], version)
if mode == 'lift' and known then
  known.offences = before
  return push({}, address, known)
end
return push({}, address, record)
`

/*
 * ARGV 1 epoch, empty at the start   2 version   3 the most rows
 * Replies epoch, version up to which this reads, 1 when it reads from the start, 1 when there is more, and the rows.
 */
const changesLua = `local epoch = redis.call('HGET', KEYS[1], 'epoch') or ''
local version = tonumber(redis.call('HGET', KEYS[1], 'version') or 0)
local since, most = tonumber(ARGV[2]), tonumber(ARGV[3])
local start = 0
if epoch ~= ARGV[1] or since > version then
  since = 0
  start = 1
end
if since == version then return { epoch, version, start, 0 } end
local rows = redis.call('ZRANGEBYSCORE', KEYS[3], '(' .. since, '+inf', 'WITHSCORES', 'LIMIT', 0, most)
local more = #rows == 2 * most and 1 or 0
local reply = { epoch, version, start, more }
for i = 1, #rows, 2 do
  local record = read(rows[i])
  if record then push(reply, rows[i], record) end
  if more == 1 then reply[2] = tonumber(rows[i + 1]) end
end
return reply
`

/*
 * KEYS 1 counts: a hash, number of a slot of 5 s -> requests   ARGV 1 requests
 * Replies the sum of the present slot and the ten before it: 50 to 55 s. What is told is up to 4 s old, so nothing in
 * the sum is older than a minute.
 */
const countLua = `local slot = math.floor(now / 5000)
redis.call('HINCRBY', KEYS[1], slot, ARGV[1])
local sum = 0
local slots = redis.call('HGETALL', KEYS[1])
for i = 1, #slots, 2 do
  if tonumber(slots[i]) > slot - 11 and tonumber(slots[i]) <= slot then
    sum = sum + tonumber(slots[i + 1])
  else
    redis.call('HDEL', KEYS[1], slots[i])
  end
end
redis.call('PEXPIRE', KEYS[1], 60000)
return sum
`

/** The source of the script that writes, over any clock: tests bring their own. */
export function writeSource(clock: string): string {
  return clock + readLua + writeLua
}

/** The source of the script that reads. */
export function changesSource(clock: string): string {
  return clock + readLua + changesLua
}

const FIELDS = 6

/** Writes one record. */
export const writeScript: RedisScript<StoredBlock> = {
  name: 'abuse-guard.write',
  keys: 4,
  lua: writeSource(clockLua),
  decode: (reply) => {
    const [block] = blocksOf(reply as unknown[])
    if (block === undefined) throw new TypeError('the reply holds no block')
    return block
  },
}

/** Reads what changed. */
export const changesScript: RedisScript<Changes> = {
  name: 'abuse-guard.changes',
  keys: 4,
  lua: changesSource(clockLua),
  decode: (reply) => {
    const [epoch, version, start, more, ...rows] = reply as unknown[]
    return {
      cursor: { epoch: String(epoch), version: Number(version) },
      fromTheStart: Number(start) === 1,
      more: Number(more) === 1,
      blocks: blocksOf(rows),
    }
  },
}

/** Counts what all processes saw of one address. Calls of one tick travel together. */
export const countScript: RedisScript<number> = {
  name: 'abuse-guard.count',
  keys: 1,
  batch: true,
  prelude: `${clockLua}local now = nowMs()`,
  lua: countLua,
  decode: Number,
}

/** Forgets what all processes counted of one address. */
export const forgetScript: RedisScript<number> = {
  name: 'abuse-guard.forget',
  keys: 1,
  lua: `return redis.call('DEL', KEYS[1])`,
  decode: Number,
}

function blocksOf(rows: readonly unknown[]): StoredBlock[] {
  const blocks: StoredBlock[] = []
  for (let at = 0; at + FIELDS <= rows.length; at += FIELDS) {
    const [address, remaining, age, offences, origin, reason] = rows.slice(at, at + FIELDS)
    blocks.push({
      address: String(address),
      remainingMs: Number(remaining),
      ageMs: Number(age),
      offences: Number(offences),
      origin: originOf(String(origin)),
      reason: String(reason),
    })
  }
  return blocks
}

function originOf(text: string): BlockOrigin {
  return text === 'manual' ? 'manual' : 'automatic'
}
