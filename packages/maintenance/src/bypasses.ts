import { type Bypass, MAX_BYPASS_MS, readBypass, signBypass } from './bypass.ts'
import { BypassError, UnknownError } from './errors.ts'
import { inputs } from './inputs.ts'
import { type Note, told } from './note.ts'
import type { MaintenanceSettings } from './options.ts'
import type { Log } from './replica.ts'

/** A bypass that was given out. */
export interface IssuedBypass {
  readonly token: string
  readonly id: string
  readonly untilMs: number
}

/** What it works with. */
export interface BypassesParts {
  readonly settings: Pick<MaintenanceSettings, 'bypass' | 'newId'>
  readonly log: Log
  /** The one that bypasses have to be of. */
  readonly epoch: () => number
  readonly wallMs: () => number
}

/** Ways past maintenance: given out here, and believed in all processes with the same keys. */
export class Bypasses {
  readonly #parts: BypassesParts

  constructor(parts: BypassesParts) {
    this.#parts = parts
  }

  /** The first of them signs. Raises `HOLDFAST_ERR_MAINTENANCE_UNKNOWN` without any. */
  keys(): readonly string[] {
    const { bypass } = this.#parts.settings
    if (bypass === undefined) throw new UnknownError('key for bypasses')
    return bypass.keys
  }

  /** No state says who has one: the log does. */
  issue(ms: number, note: Note): IssuedBypass {
    const keys = this.keys()
    const { settings, log, epoch, wallMs } = this.#parts
    inputs.duration('ms', ms, 1000, MAX_BYPASS_MS)
    const bypass = { untilMs: wallMs() + ms, epoch: epoch(), id: settings.newId() }
    const { id, untilMs } = bypass
    log.warn(
      { bypass: id, until: new Date(untilMs).toISOString(), ...told(note) },
      'a bypass of maintenance was given out',
    )
    return { token: signBypass(bypass, keys), id, untilMs }
  }

  /** Raises `HOLDFAST_ERR_MAINTENANCE_BYPASS`. */
  read(token: string | undefined): Bypass {
    const bypass = this.find(token)
    if (bypass === undefined) throw new BypassError()
    return bypass
  }

  find(token: string | undefined): Bypass | undefined {
    const { settings, epoch, wallMs } = this.#parts
    if (settings.bypass === undefined || token === undefined) return undefined
    return readBypass(token, settings.bypass.keys, { epoch: epoch(), wallMs: wallMs() })
  }
}
