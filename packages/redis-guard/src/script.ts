import { createHash } from 'node:crypto'
import { batchedLua } from './batch.ts'
import { ScriptError } from './errors.ts'
import type { RedisScript } from './redis-guard.ts'

/** A script as it is sent. */
export interface PreparedScript {
  readonly name: string
  /** What `EVAL` sends: the source, or its form for batches. */
  readonly text: string
  /** The SHA-1 of the text, by which Redis keeps it. */
  readonly sha: string
  readonly keys: number
  readonly batched: boolean
}

/** Computes what a script needs, once for each declaration. */
export class Scripts {
  readonly #prepared = new WeakMap<RedisScript<unknown>, PreparedScript>()

  prepare(script: RedisScript<unknown>): PreparedScript {
    const known = this.#prepared.get(script)
    if (known !== undefined) return known
    const prepared = prepareScript(script)
    this.#prepared.set(script, prepared)
    return prepared
  }
}

/** Raises `HOLDFAST_ERR_REDIS_GUARD_SCRIPT` for a declaration that cannot work. */
export function prepareScript(script: RedisScript<unknown>): PreparedScript {
  const { name, lua, keys, batch = false, prelude = '' } = script
  if (typeof lua !== 'string' || lua === '') throw new ScriptError(name, 'lua must be the source')
  if (!Number.isSafeInteger(keys) || keys < 0) {
    throw new ScriptError(name, `keys must be the number of keys of each call, received ${String(keys)}`)
  }
  if (typeof prelude !== 'string') throw new ScriptError(name, 'prelude must be source, too')
  if ((batch || prelude !== '') && [prelude, lua].some((source) => source.startsWith('#!'))) {
    throw new ScriptError(
      name,
      'a source that is batched or has a prelude is put together, and has no shebang',
    )
  }
  const opening = prelude === '' ? '' : `${prelude}\n`
  const text = batch ? batchedLua(lua, keys, opening) : opening + lua
  const sha = createHash('sha1').update(text).digest('hex')
  return { name, text, sha, keys, batched: batch }
}
