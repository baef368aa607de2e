import { SharedMetrics, type ShownMetric, showMetrics } from '@holdfast/footing'
import { Counter, Gauge } from 'prom-client'
import { checks } from './options.ts'
import type { RedisGuardSnapshot } from './redis-guard.ts'

const breakerStates = ['closed', 'open', 'half-open'] as const

const counters: readonly ShownMetric<RedisGuardSnapshot>[] = [
  {
    name: 'holdfast_redis_guard_calls_total',
    help: 'Calls by how they ended',
    label: 'outcome',
    read: ({ calls }) => ({ ...calls }),
  },
  {
    name: 'holdfast_redis_guard_commands_total',
    help: 'Commands sent, batches included',
    read: ({ commands }) => commands,
  },
  {
    name: 'holdfast_redis_guard_batches_total',
    help: 'Commands that carried a batch',
    read: ({ batches }) => batches,
  },
  {
    name: 'holdfast_redis_guard_batched_calls_total',
    help: 'Calls that travelled in a batch',
    read: ({ batchedCalls }) => batchedCalls,
  },
  {
    name: 'holdfast_redis_guard_script_loads_total',
    help: 'Times a script was sent in full because Redis did not have it',
    read: ({ scriptLoads }) => scriptLoads,
  },
  {
    name: 'holdfast_redis_guard_round_trip_seconds_total',
    help: 'Time of all round trips that were answered in time',
    read: ({ roundTripSumMs }) => roundTripSumMs / 1000,
  },
  {
    name: 'holdfast_redis_guard_round_trips_total',
    help: 'Round trips that were answered in time',
    read: ({ roundTrips }) => roundTrips,
  },
  {
    name: 'holdfast_redis_guard_connections_total',
    help: 'Connections that became usable',
    read: ({ connections }) => connections,
  },
  {
    name: 'holdfast_redis_guard_failed_probes_total',
    help: 'Probes and attempts to connect that found Redis not usable',
    read: ({ failedProbes }) => failedProbes,
  },
  {
    name: 'holdfast_redis_guard_messages_total',
    help: 'Messages received on subscribed channels',
    read: ({ subscriber }) => subscriber.messages,
  },
  {
    name: 'holdfast_redis_guard_gaps_total',
    help: 'Times the subscription of a channel was lost',
    read: ({ subscriber }) => subscriber.gaps,
  },
  {
    name: 'holdfast_redis_guard_handler_errors_total',
    help: 'Errors thrown by handlers of channels',
    read: ({ subscriber }) => subscriber.handlerErrors,
  },
]

const gauges: readonly ShownMetric<RedisGuardSnapshot>[] = [
  {
    name: 'holdfast_redis_guard_breaker_state',
    help: 'State of the breaker: 1 for the present one',
    label: 'state',
    read: ({ breaker }) =>
      Object.fromEntries(breakerStates.map((state) => [state, state === breaker ? 1 : 0])),
  },
  {
    name: 'holdfast_redis_guard_up',
    help: 'Whether calls pass: 1 or 0',
    read: ({ state }) => (state === 'up' ? 1 : 0),
  },
  {
    name: 'holdfast_redis_guard_in_flight',
    help: 'Calls without a reply of Redis, also those whose caller was answered',
    read: ({ inFlight }) => inFlight,
  },
  {
    name: 'holdfast_redis_guard_last_round_trip_seconds',
    help: 'The last round trip that was answered in time',
    read: ({ lastRoundTripMs = 0 }) => lastRoundTripMs / 1000,
  },
  {
    name: 'holdfast_redis_guard_subscriber_up',
    help: 'Whether the connection for subscriptions is usable: 1 or 0',
    read: ({ subscriber }) => Number(subscriber.connected),
  },
  {
    name: 'holdfast_redis_guard_channels',
    help: 'Channels subscribed to',
    read: ({ subscriber }) => subscriber.channels,
  },
]

/**
 * Read from a snapshot when Prometheus scrapes; no call pays for them. Every label has a fixed, small set of values;
 * keys, scripts and channels never become labels.
 */
export const sharedMetrics = new SharedMetrics<RedisGuardSnapshot>({
  label: 'redis',
  option: 'name',
  checks,
  metric: 'holdfast_redis_guard_up',
  describe(registry, shown) {
    const where = { registry, label: 'redis', shown }
    showMetrics(Counter, counters, where)
    showMetrics(Gauge, gauges, where)
  },
})
