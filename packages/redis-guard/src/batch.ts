/*
 * Many calls of one script as one EVALSHA. The source becomes the body of a Lua function that runs once for each
 * row under pcall, so that a row that fails does not fail the others. All rows run in one go, in the order they
 * came; each has its own verdict: { 1, reply } or { 0, error }.
 *
 * ARGV holds, for each row, how many arguments it has and then these; KEYS the keys of all rows, one after the other.
 */
import type { RedisArgument } from './redis-guard.ts'

/** Beyond this a batch keeps Redis, which does one thing at a time, from everybody else for too long. */
export const MAX_BATCH_ROWS = 128

/** How one row ended. */
export type Verdict = { readonly reply: unknown } | { readonly error: string }

/** The text of a script whose source is run for many rows of `keys` keys. */
export function batchedLua(lua: string, keys: number): string {
  return `local function row(KEYS, ARGV)
${lua}
end
local verdicts, key, at = {}, 0, 1
while at <= #ARGV do
  local count = tonumber(ARGV[at])
  local keys, args = {}, {}
  for i = 1, ${keys} do keys[i] = KEYS[key + i] end
  for i = 1, count do args[i] = ARGV[at + i] end
  key = key + ${keys}
  at = at + count + 1
  local ok, reply = pcall(row, keys, args)
  local failed = not ok and reply or (type(reply) == 'table' and reply.err)
  if failed then
    if type(failed) == 'table' then failed = failed.err end
    verdicts[#verdicts + 1] = { 0, tostring(failed) }
  else
    if reply == nil then reply = false end
    verdicts[#verdicts + 1] = { 1, reply }
  end
end
return verdicts
`
}

/** Adds a row to the arguments of a batch. */
export function packRow(
  batch: { readonly keys: string[]; readonly args: RedisArgument[] },
  keys: readonly string[],
  args: readonly RedisArgument[],
): void {
  for (const key of keys) batch.keys.push(key)
  batch.args.push(args.length)
  for (const argument of args) batch.args.push(argument)
}

/** The verdict of row `index` in the reply of a batch. */
export function verdictOf(reply: unknown, index: number): Verdict {
  const verdict: unknown = Array.isArray(reply) ? reply[index] : undefined
  if (!Array.isArray(verdict)) return { error: 'the reply has no verdict for this call' }
  return verdict[0] === 1 ? { reply: verdict[1] } : { error: String(verdict[1]) }
}
