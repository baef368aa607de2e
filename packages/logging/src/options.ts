import { type Clock, OptionChecks, systemClock } from '@holdfast/footing'
import { OptionError } from './errors.ts'

/** The options of the plugin. */
export interface LoggingOptions {
  /** How many may pass in one window; 0 lets nobody pass. Default 100. */
  readonly maxPerWindow?: number
  /** The length of a window, in ms. Default 1000. */
  readonly windowMs?: number
  /** Where time comes from. Default: the machine's. */
  readonly clock?: Clock
}

/** The options with every default filled in. */
export type ResolvedOptions = Required<LoggingOptions>

const checks = new OptionChecks((option, expected, received) => new OptionError(option, expected, received))

/** Fills in the defaults; raises `HOLDFAST_ERR_LOGGING_OPTION` for a wrong value and for an unknown name. */
export function resolveOptions(options: LoggingOptions): ResolvedOptions {
  const resolved = {
    maxPerWindow: checks.count('maxPerWindow', options.maxPerWindow ?? 100, 0),
    windowMs: checks.duration('windowMs', options.windowMs ?? 1000, 1),
    clock: options.clock ?? systemClock,
  }
  checks.onlyKnown('', options, Object.keys(resolved))
  return resolved
}
