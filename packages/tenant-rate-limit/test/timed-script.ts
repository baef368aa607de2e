import type { RedisScript } from '@holdfast/redis-guard'

/** Where a trace puts the time, in microseconds. */
export const TIME_KEY = 'the time'

/** The same script, with a time that the trace sets, in which no key expires. */
export function timedScript<Result>(script: RedisScript<Result>): RedisScript<Result> {
  let prelude = script.prelude ?? ''
  for (const [own, ours] of [
    ["call('TIME')", `{ 0, call('GET', '${TIME_KEY}') }`],
    ["'PX', floor(used_us / 1000) + 2", "'PX', 3600000"],
  ] as const) {
    if (!prelude.includes(own)) throw new Error(`the script has no ${own}`)
    prelude = prelude.replace(own, ours)
  }
  return { ...script, prelude }
}
