/*
 * The state in Redis, in one slot. Times are of Redis, in ms since 1970.
 *
 * KEYS 1 state: a hash with `version` and `text`
 *      2 seen: a sorted set, process -> when it last looked
 *      3 reports: a hash, process -> what it said; `since`, which is no name of a process: when the first one spoke
 *
 * Whoever is not told looks all the same, so that a message that cannot be sent (`pcall`) fails nothing.
 *
 * Bounded: who has not looked for `FORGET_MS` is taken out, up to 50 at a time, by whoever looks. The second and third
 * key expire when nobody looks any more.
 */
import type { RedisScript } from '@holdfast/redis-guard'
import { FORGET_MS, MAX_MEMBERS, type Members, type Reading, type Written } from './store.ts'

const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(number) return string.format('%.0f', number) end
`

/** ARGV 1 the version that is known   2 process   3 its report. Replies version, now, and the text of a later version. */
export const syncScript: RedisScript<Reading> = {
  name: 'maintenance.sync',
  keys: 3,
  lua: `${NOW}
redis.call('HSETNX', KEYS[3], 'since', text(now))
redis.call('ZADD', KEYS[2], text(now), ARGV[2])
redis.call('HSET', KEYS[3], ARGV[2], ARGV[3])
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', text(now - ${FORGET_MS}), 'LIMIT', 0, 50)) do
  redis.call('ZREM', KEYS[2], gone)
  redis.call('HDEL', KEYS[3], gone)
end
redis.call('PEXPIRE', KEYS[2], ${2 * FORGET_MS})
redis.call('PEXPIRE', KEYS[3], ${2 * FORGET_MS})
local version = redis.call('HGET', KEYS[1], 'version') or '0'
if tonumber(version) > tonumber(ARGV[1]) then return { version, text(now), redis.call('HGET', KEYS[1], 'text') } end
return { version, text(now) }
`,
  decode: (reply) => {
    const [version, nowMs, text] = reply as [Buffer, Buffer, Buffer?]
    return { version: Number(version), nowMs: Number(nowMs), text: text?.toString() }
  },
}

/**
 * KEYS the first   ARGV 1 the version that is to be replaced   2 text   3 channel. Replies 1, the new version and now; or
 * 0, the version that is there, and its text.
 */
export const writeScript: RedisScript<Written> = {
  name: 'maintenance.write',
  keys: 1,
  lua: `${NOW}
local stored = tonumber(redis.call('HGET', KEYS[1], 'version')) or 0
local expected = tonumber(ARGV[1])
if stored > expected then return { 0, text(stored), redis.call('HGET', KEYS[1], 'text') } end
local version = math.max(expected + 1, now)
redis.call('HSET', KEYS[1], 'version', text(version), 'text', ARGV[2])
redis.pcall('PUBLISH', ARGV[3], text(version))
return { 1, text(version), text(now) }
`,
  decode: (reply) => {
    const [written, version, rest] = reply as [number, Buffer, Buffer | null]
    return written === 1
      ? { written: true, version: Number(version), nowMs: Number(rest) }
      : { written: false, version: Number(version), text: String(rest) }
  },
}

/** KEYS the first   ARGV 1 version   2 text   3 channel. Replies 1 when it was put back. */
export const restoreScript: RedisScript<number> = {
  name: 'maintenance.restore',
  keys: 1,
  lua: `
local stored = tonumber(redis.call('HGET', KEYS[1], 'version')) or 0
if stored >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'text', ARGV[2])
redis.pcall('PUBLISH', ARGV[3], ARGV[1])
return 1
`,
  decode: Number,
}

/** KEYS the second and third. Replies since when, now, and of each process its name, when it last looked and its report. */
export const membersScript: RedisScript<Members> = {
  name: 'maintenance.members',
  keys: 2,
  lua: `${NOW}
local reply = { redis.call('HGET', KEYS[2], 'since') or text(now), text(now) }
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. text(now - ${FORGET_MS}), '+inf', 'LIMIT', 0, ${MAX_MEMBERS})) do
  reply[#reply + 1] = member
  reply[#reply + 1] = redis.call('ZSCORE', KEYS[1], member)
  reply[#reply + 1] = redis.call('HGET', KEYS[2], member) or ''
end
return reply
`,
  decode: (reply) => {
    const [since, now, ...rows] = (reply as Buffer[]).map(String)
    const nowMs = Number(now)
    const members: Members['members'][number][] = []
    for (let at = 0; at + 3 <= rows.length; at += 3) {
      const [id = '', seen, text = ''] = rows.slice(at, at + 3)
      members.push({ id, text, seenMsAgo: Math.max(0, nowMs - Number(seen)) })
    }
    return { heardForMs: nowMs - Number(since), members }
  },
}

/** KEYS the second and third   ARGV 1 process. */
export const leaveScript: RedisScript<number> = {
  name: 'maintenance.leave',
  keys: 2,
  lua: `
redis.call('HDEL', KEYS[2], ARGV[1])
return redis.call('ZREM', KEYS[1], ARGV[1])
`,
  decode: Number,
}
