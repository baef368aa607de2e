/* Calls as they are asked for: what is wrong with one is said before anything is sent. */
import type { Dispatcher } from './dispatcher.ts'
import { CommandError, callError, KeyError, ScriptError } from './errors.ts'
import { checks, MAX_BUDGET_MS } from './options.ts'
import type { CallOptions, RedisArgument, RedisScript } from './redis-guard.ts'
import { whyRefused } from './refused-commands.ts'
import type { Scripts } from './script.ts'
import { shareSlot } from './slot.ts'

export interface CallsSettings {
  readonly dispatcher: Dispatcher
  readonly scripts: Scripts
  /** Raises when nothing may be called any more. */
  readonly requireOpen: (what: string) => void
}

export class Calls {
  readonly #settings: CallsSettings

  constructor(settings: CallsSettings) {
    this.#settings = settings
  }

  run<Result>(
    script: RedisScript<Result>,
    keys: readonly string[],
    args: readonly RedisArgument[],
    options: CallOptions = noOptions,
  ): Promise<Result> {
    const { dispatcher, scripts, requireOpen } = this.#settings
    try {
      requireOpen(script.name)
      if (!Array.isArray(keys) || !Array.isArray(args)) {
        throw new ScriptError(script.name, 'its keys and its arguments must be lists')
      }
      const prepared = scripts.prepare(script)
      if (keys.length !== prepared.keys) {
        throw new ScriptError(script.name, `it takes ${prepared.keys} keys, received ${keys.length}`)
      }
      if (!keys.every((key) => typeof key === 'string')) throw new KeyError('every key must be a text')
      if (!shareSlot(keys)) {
        throw new KeyError(`the keys of "${script.name}" must share a slot: give them one slot tag`)
      }
      if (!args.every(isArgument)) throw new ScriptError(script.name, wrongArgument)
      if (options !== noOptions) checkCallOptions(options)
      return dispatcher.run(prepared, script.decode, keys, args, options) as Promise<Result>
    } catch (error) {
      return Promise.reject(callError(error as Error, false))
    }
  }

  call(command: string, args: readonly RedisArgument[]): Promise<unknown> {
    const { dispatcher, requireOpen } = this.#settings
    try {
      requireOpen(command)
      const why = whyRefused(command, args)
      if (why !== undefined) throw new CommandError(command, why)
      if (!args.every(isArgument)) throw new CommandError(command, wrongArgument)
      return dispatcher.call(command, args)
    } catch (error) {
      return Promise.reject(callError(error as Error, false))
    }
  }
}

const noOptions: CallOptions = {}

function checkCallOptions(options: CallOptions): void {
  const { budgetMs, signal } = checks.object('options', options)
  if (budgetMs !== undefined) checks.count('budgetMs', budgetMs, 1, MAX_BUDGET_MS)
  checks.having('signal', signal, ['addEventListener', 'removeEventListener'])
}

const wrongArgument = 'every argument must be a text, a finite number or a Buffer'

function isArgument(value: unknown): boolean {
  return typeof value === 'string' || Buffer.isBuffer(value) || Number.isFinite(value)
}
