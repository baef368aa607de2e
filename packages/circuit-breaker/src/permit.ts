/** Epochs of permits that decide nothing: settled; let through only because nobody is refused; lease over. */
export const SETTLED = -1
export const UNJUDGED = -2
export const LOST = -3

/** The right to make one call; settle it once. */
export class Permit {
  /** The epoch of the breaker in which it was given. */
  epoch: number
  readonly startedAtMs: number
  /** Whether its result decides if the breaker closes. */
  readonly probe: boolean

  constructor(epoch: number, startedAtMs: number, probe: boolean) {
    this.epoch = epoch
    this.startedAtMs = startedAtMs
    this.probe = probe
  }
}
