/*
 * Many calls of one script as one EVALSHA. The source becomes the body of a Lua function that runs once for each
 * row under pcall, so that a row that fails does not fail the others. All rows run in one go, in the order they
 * came; each has its own reply, which is an error reply where the row failed.
 *
 * ARGV holds, for each row, how many arguments it has and then these; KEYS the keys of all rows, one after the other.
 */
import type { RedisArgument } from './redis-guard.ts'

/** Beyond this a batch keeps Redis, which does one thing at a time, from everybody else for too long. */
export const MAX_BATCH_ROWS = 128

/** Beyond this, Lua's stack is too small for `unpack`. */
const MAX_UNPACKED = 100

/** The text of a script whose source is run for many rows of `keys` keys, after its prelude, which runs once. */
export function batchedLua(lua: string, keys: number, prelude: string): string {
  const rowKeys = Array.from({ length: keys }, (_, at) => `KEYS[key + ${at + 1}]`)
  return `${prelude}local function row(KEYS, ARGV)
${lua}
end
local pcall, type, tonumber, tostring, unpack = pcall, type, tonumber, tostring, unpack
local KEYS, ARGV = KEYS, ARGV
local replies, rows, key, at, last = {}, 0, 0, 1, #ARGV
while at <= last do
  local count = tonumber(ARGV[at])
  local args
  if count <= ${MAX_UNPACKED} then
    args = { unpack(ARGV, at + 1, at + count) }
  else
    args = {}
    for i = 1, count do args[i] = ARGV[at + i] end
  end
  local ok, reply = pcall(row, { ${rowKeys.join(', ')} }, args)
  key = key + ${keys}
  at = at + count + 1
  rows = rows + 1
  if not ok then
    replies[rows] = { err = type(reply) == 'table' and reply.err or tostring(reply) }
  elseif reply == nil then
    replies[rows] = false
  else
    replies[rows] = reply
  end
end
return replies
`
}

/** What a batch brings along. */
export interface PackedRows {
  readonly keys: string[]
  readonly args: RedisArgument[]
}

/** Adds a row. */
export function packRow(rows: PackedRows, keys: readonly string[], args: readonly RedisArgument[]): void {
  for (const key of keys) rows.keys.push(key)
  rows.args.push(args.length)
  for (const argument of args) rows.args.push(argument)
}

/** The rows that `keeps` says yes to, of `keys` keys each. */
export function keepRows(rows: PackedRows, keys: number, keeps: (row: number) => boolean): PackedRows {
  const kept: PackedRows = { keys: [], args: [] }
  for (let row = 0, at = 0; at < rows.args.length; row += 1) {
    const end = at + 1 + Number(rows.args[at])
    if (keeps(row)) packRow(kept, rows.keys.slice(row * keys, (row + 1) * keys), rows.args.slice(at + 1, end))
    at = end
  }
  return kept
}

/** The reply of row `index` in the reply of a batch; an `Error` where the row failed. */
export function replyOfRow(reply: unknown, index: number): unknown {
  if (!Array.isArray(reply) || index >= reply.length) return new Error('the reply of the batch is too short')
  return reply[index]
}
