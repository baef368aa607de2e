export { type Clock, systemClock } from './clock.ts'
export * as errors from './errors.ts'
export type { FlightEvent, LandedEvent } from './events.ts'
export type { FlightContext } from './flight.ts'
export { encodeKey, type FlightKey, type FlightKeyPart, MAX_KEY_LENGTH } from './key.ts'
export type { MetricsRegistry, SingleflightOptions, WaiterOptions } from './options.ts'
export {
  default,
  type FastifySingleflight,
  type ResponsesSnapshot,
  type SingleflightPluginOptions,
  type SingleflightRouteOptions,
  singleflight,
} from './plugin.ts'
export { Singleflight, type SingleflightSnapshot, type Work } from './singleflight.ts'
