import { type Clock, systemClock } from './clock.ts'
import { OptionError } from './errors.ts'

/** The options of the plugin. */
export interface CircuitBreakerOptions {
  /** How many may pass in one window; 0 lets nobody pass. Default 100. */
  readonly maxPerWindow?: number
  /** The length of a window, in ms. Default 1000. */
  readonly windowMs?: number
  /** Where time comes from. Default: the machine's. */
  readonly clock?: Clock
}

/** The options with every default filled in. */
export type ResolvedOptions = Required<CircuitBreakerOptions>

/** Fills in the defaults; raises `HOLDFAST_ERR_CIRCUIT_BREAKER_OPTION` for a wrong value and for an unknown name. */
export function resolveOptions(options: CircuitBreakerOptions): ResolvedOptions {
  const resolved = {
    maxPerWindow: wholeNumber('maxPerWindow', options.maxPerWindow ?? 100, 0),
    windowMs: wholeNumber('windowMs', options.windowMs ?? 1000, 1),
    clock: options.clock ?? systemClock,
  }
  // A mistyped name would leave its default in force, unnoticed.
  const known = Object.keys(resolved)
  for (const [name, value] of Object.entries(options)) {
    if (!known.includes(name)) throw new OptionError(name, `one of ${known.join(', ')} instead`, shown(value))
  }
  return resolved
}

function wholeNumber(option: string, value: unknown, minimum: number): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= minimum) return value
  throw new OptionError(option, `a whole number of at least ${minimum}`, shown(value))
}

function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : String(value)
}
