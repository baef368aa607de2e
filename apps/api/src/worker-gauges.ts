// How the gauges of several workers become one, where they do not add up: states, shares, and what all of them know.

/** For `collectCluster()`. What is not here adds up. */
export const WORKER_GAUGES = {
  circuit_breaker_state: 'max',
  db_pool_usage_percent: 'max',
  db_pool_usage_ratio: 'max',
  feature_degraded: 'max',
  health_check_response_seconds: 'max',
  health_check_status: 'min',
  health_ready: 'min',
  holdfast_abuse_guard_blocked: 'max',
  holdfast_abuse_guard_doubt: 'max',
  holdfast_maintenance_enabled: 'max',
  holdfast_maintenance_overridden: 'max',
  holdfast_maintenance_scheduled: 'max',
  holdfast_pool_guard_open: 'max',
  holdfast_pool_guard_pooler_waiting: 'max',
  holdfast_pool_guard_pressure: 'max',
  holdfast_pool_guard_saturated: 'max',
  holdfast_redis_guard_last_round_trip_seconds: 'max',
  holdfast_redis_guard_subscriber_up: 'min',
  holdfast_redis_guard_up: 'min',
  holdfast_tenant_rate_limit_processes: 'max',
  holdfast_tenant_rate_limit_store_up: 'min',
  lifecycle_startup_seconds: 'max',
} as const
