export { type Clock, type MetricsRegistry, systemClock } from '@holdfast/footing'
export * as errors from './errors.ts'
export type { FleetEvent, FlightEvent, LandedEvent } from './events.ts'
export type { FleetSnapshot } from './fleet.ts'
export type { FlightContext } from './flight.ts'
export { type FleetCodec, jsonCodec } from './json-codec.ts'
export { encodeKey, type FlightKey, type FlightKeyPart, MAX_KEY_LENGTH } from './key.ts'
export type {
  FleetCall,
  FleetCallOptions,
  FleetOptions,
  FleetRedis,
  SingleflightOptions,
  WaiterOptions,
} from './options.ts'
export {
  default,
  type FastifySingleflight,
  type ResponsesSnapshot,
  type SingleflightPluginOptions,
  type SingleflightRouteOptions,
  singleflight,
} from './plugin.ts'
export type { RemoteFailure } from './remote-failure.ts'
export { Singleflight, type SingleflightSnapshot, type Work } from './singleflight.ts'
