import diagnostics from 'node:diagnostics_channel'

/** Published on `holdfast:singleflight:landed` for every flight whose work settled in time to matter. */
export interface LandedEvent {
  readonly flightId: string
  readonly encodedKey: string
  readonly durationMs: number
  readonly failed: boolean
}

/** Published when a flight is overdue, given up, abandoned or forgotten. */
export interface FlightEvent {
  readonly flightId: string
  readonly encodedKey: string
  readonly waiters: number
}

/** Published on `holdfast:singleflight:fleet` for every step of a flight across processes. */
export interface FleetEvent {
  /** The counter of `snapshot().fleet` that grew. */
  readonly role: string
  readonly flightId: string
  readonly encodedKey: string
  readonly fence: number | undefined
}

/** The channels; a message is built only when somebody subscribed. */
export const channels = {
  landed: diagnostics.channel('holdfast:singleflight:landed'),
  overdue: diagnostics.channel('holdfast:singleflight:overdue'),
  givenUp: diagnostics.channel('holdfast:singleflight:given-up'),
  abandoned: diagnostics.channel('holdfast:singleflight:abandoned'),
  forgotten: diagnostics.channel('holdfast:singleflight:forgotten'),
  fleet: diagnostics.channel('holdfast:singleflight:fleet'),
}
