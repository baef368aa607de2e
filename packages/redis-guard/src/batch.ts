/*
 * Many calls of one script as one EVALSHA. The source becomes the body of a function that runs once for each row
 * under pcall, so that a row that fails does not fail the others. All rows run in one go, in the order they came;
 * each has its own reply, which is an error reply where the row failed.
 *
 * KEYS holds the keys of all rows, one after the other. ARGV holds runs of rows with the same arguments, as those of
 * one limit have: how many rows, how many arguments, and these once. What an argument costs both ends and Redis's Lua
 * to bring along is more than what Lua takes for the row around it. Every row gets lists of its own all the same.
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
  local calls, count = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  local first, final = at + 2, at + 1 + count
  for call = 1, calls do
    local args
    if count <= ${MAX_UNPACKED} then
      args = { unpack(ARGV, first, final) }
    else
      args = {}
      for i = first, final do args[i - first + 1] = ARGV[i] end
    end
    local ok, reply = pcall(row, { ${rowKeys.join(', ')} }, args)
    key = key + ${keys}
    rows = rows + 1
    if not ok then
      replies[rows] = { err = type(reply) == 'table' and reply.err or tostring(reply) }
    elseif reply == nil then
      replies[rows] = false
    else
      replies[rows] = reply
    end
  end
  at = final + 1
end
return replies
`
}

/** Calls with the same arguments, one after the other. */
interface Run {
  calls: number
  readonly args: readonly RedisArgument[]
}

/** The keys and arguments of the rows of one batch, copied, so that their owner may use the lists again. */
export class PackedRows {
  readonly #keys: string[] = []
  readonly #runs: Run[] = []

  add(keys: readonly string[], args: readonly RedisArgument[]): void {
    for (const key of keys) this.#keys.push(key)
    const run = this.#runs.at(-1)
    if (run !== undefined && sameArguments(run.args, args)) run.calls += 1
    else this.#runs.push({ calls: 1, args: args.slice() })
  }

  /** What EVALSHA is given behind the name of the script: the number of keys, the keys and the arguments. */
  toArguments(): RedisArgument[] {
    const list: RedisArgument[] = [this.#keys.length, ...this.#keys]
    for (const { calls, args } of this.#runs) {
      list.push(calls, args.length)
      // One by one: a call cannot have as many arguments as a list.
      for (const argument of args) list.push(argument)
    }
    return list
  }

  /** Those of the rows that `keeps` says yes to, of `keys` keys each. */
  only(keys: number, keeps: (row: number) => boolean): PackedRows {
    const kept = new PackedRows()
    let row = 0
    for (const { calls, args } of this.#runs) {
      for (const end = row + calls; row < end; row += 1) {
        if (keeps(row)) kept.add(this.#keys.slice(row * keys, (row + 1) * keys), args)
      }
    }
    return kept
  }
}

function sameArguments(one: readonly RedisArgument[], other: readonly RedisArgument[]): boolean {
  return one.length === other.length && one.every((argument, at) => argument === other[at])
}

/** The reply of row `index` in the reply of a batch; an `Error` where the row failed. */
export function replyOfRow(reply: unknown, index: number): unknown {
  if (!Array.isArray(reply) || index >= reply.length) return new Error('the reply of the batch is too short')
  return reply[index]
}
