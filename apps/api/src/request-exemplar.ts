// What stands for a bucket of `http_request_duration_seconds`, so that one gets from a slow request on a dashboard to its
// trace and to its lines in the log.

/** What is known of the request; the scope of `@holdfast/logging` has it. */
interface Known {
  readonly correlationId: string
  readonly trace: { readonly traceId: string; readonly sampled: boolean } | undefined
}

/** Of a request that nobody traces there is none: its trace could not be looked at. At most 118 characters. */
export function exemplarOf({ trace, correlationId }: Known): Readonly<Record<string, string>> | undefined {
  return trace?.sampled === true ? { trace_id: trace.traceId, correlation_id: correlationId } : undefined
}
