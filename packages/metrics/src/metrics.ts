/*
 * Every metric of this package, as data: the registration, the table of the README and the tests read it, and whoever
 * writes a rule or a panel can.
 */

/** Methods by the registry of IANA that services are asked with; what else there is becomes `_OTHER`. */
export const METHODS = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'CONNECT',
  'QUERY',
] as const

export const REQUESTS = {
  name: 'http_requests_total',
  help: 'Requests by what became of them; status 499: the client left before the answer was sent',
} as const

export const REQUEST_SECONDS = {
  name: 'http_request_duration_seconds',
  help: 'Time from the first hook of a request to the end of its answer',
} as const

export const IN_FLIGHT = {
  name: 'http_requests_in_flight',
  help: 'Requests that have begun and not ended',
} as const

export const PARSER_ERRORS = {
  name: 'http_parser_errors_total',
  help: 'What never became a request: refused by the parser, or too slow, by the code of the error',
  labels: { code: { max: 50 } },
} as const

export const TENANT_REQUESTS = {
  name: 'tenant_requests_total',
  help: 'Requests by tenant; none: of no tenant, other: of one after the first that had room',
} as const

export const ERRORS = {
  name: 'errors_total',
  help: 'Errors by kind and by the part that raised them',
} as const

export const APP_INFO = {
  name: 'app_info',
  help: 'Always 1; what runs, and where',
} as const

export const LABEL_OVERFLOW = {
  name: 'metrics_label_overflow_total',
  help: 'Recordings of a label value that had no room and became "other"; label *: of the whole metric',
  labels: { metric: { max: 500 }, label: { max: 200 } },
} as const

export const VALUES_REFUSED = {
  name: 'metrics_values_refused_total',
  help: 'Values that were left out: no number, or one that would make a counter fall',
  labels: { metric: { max: 500 } },
} as const

export const UNREAD = {
  name: 'metrics_unread_total',
  help: 'Metrics that were left out of a scrape because reading them failed or took too long',
  labels: { metric: { max: 500 } },
} as const

export const WORKERS = {
  name: 'metrics_workers',
  help: 'Processes of a cluster that tell their metrics; stale: those that have not for three turns',
} as const

export const CPU_USER = {
  name: 'process_cpu_user_seconds_total',
  help: 'CPU time spent in the code of the process',
} as const

export const CPU_SYSTEM = {
  name: 'process_cpu_system_seconds_total',
  help: 'CPU time spent in the kernel for the process',
} as const

export const CPU = {
  name: 'process_cpu_seconds_total',
  help: 'CPU time spent in the code of the process and in the kernel for it',
} as const

export const START_TIME = {
  name: 'process_start_time_seconds',
  help: 'When the process has started, in seconds since 1970',
} as const

export const RESIDENT = {
  name: 'process_resident_memory_bytes',
  help: 'Memory that the process holds',
} as const

export const OPEN_FILES = {
  name: 'process_open_fds',
  help: 'Files and sockets that are open; NaN where /proc does not tell',
} as const

export const MAX_FILES = {
  name: 'process_max_fds',
  help: 'Files and sockets that may be open; NaN where /proc does not tell',
} as const

export const HEAP_TOTAL = {
  name: 'nodejs_heap_size_total_bytes',
  help: 'Heap that V8 has taken',
} as const

export const HEAP_USED = {
  name: 'nodejs_heap_size_used_bytes',
  help: 'Heap that is in use',
} as const

export const HEAP_LIMIT = {
  name: 'nodejs_heap_size_limit_bytes',
  help: 'Heap at which the process ends',
} as const

export const EXTERNAL = {
  name: 'nodejs_external_memory_bytes',
  help: 'Memory outside the heap that objects in it hold',
} as const

export const NODE_VERSION = {
  name: 'nodejs_version_info',
  help: 'Always 1; the version of Node.js',
} as const

export const GC_SECONDS = {
  name: 'nodejs_gc_duration_seconds',
  help: 'Garbage collections, every one of them, by kind',
  labels: { kind: ['major', 'minor', 'incremental', 'weakcb'] },
  buckets: [0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
} as const

export const LOOP_DELAY = {
  name: 'nodejs_eventloop_delay_seconds',
  help: 'How much later than asked for a timer ran, looked at every 20 ms',
  buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
} as const

export const LOOP_ACTIVE = {
  name: 'nodejs_eventloop_active_seconds_total',
  help: 'Time in which the event loop was busy; its rate is the utilization',
} as const

export const LOOP_IDLE = {
  name: 'nodejs_eventloop_idle_seconds_total',
  help: 'Time in which the event loop had nothing to do',
} as const

export const RESOURCES = {
  name: 'nodejs_active_resources',
  help: 'What keeps the process alive, by type',
  labels: { type: { max: 40 } },
} as const
