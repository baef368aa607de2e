// `traceparent` as W3C Trace Context 1 defines it, read strictly and without an SDK: a header that is wrong anywhere is
// no header, because half of a trace would be joined to the wrong one. Of later versions the four known fields count.

/** A trace that a request belongs to. */
export interface TraceParent {
  /** 32 hexadecimal digits. */
  readonly traceId: string
  /** The span that called: 16 hexadecimal digits. */
  readonly parentId: string
  /** Whether whoever called records this trace. */
  readonly sampled: boolean
}

// No comma in what later versions may add: that is how Node joins two headers, of which neither can be believed.
const PATTERN =
  /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-[^,\s]*)?$/
const MAX_LENGTH = 512
/** W3C Trace Context, 3.3.1.5: what a platform should at least pass on. */
const MAX_STATE_LENGTH = 512
const SAMPLED = 1

/** The trace of a header; undefined where there is none, or none that can be believed. */
export function parseTraceParent(header: unknown): TraceParent | undefined {
  if (typeof header !== 'string' || header.length > MAX_LENGTH) return undefined
  const [, version, traceId, parentId, flags = '', rest] = PATTERN.exec(header) ?? []
  if (traceId === undefined || parentId === undefined) return undefined
  if (version === '00' && rest !== undefined) return undefined
  return { traceId, parentId, sampled: (Number.parseInt(flags, 16) & SAMPLED) === SAMPLED }
}

/** The header for what is asked on behalf of a trace. */
export function formatTraceParent(traceId: string, spanId: string, sampled: boolean): string {
  return `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`
}

/** A `tracestate` that can be passed on as it came. It means something to its vendors alone. */
export function passableTraceState(header: unknown): string | undefined {
  return typeof header === 'string' && header.length <= MAX_STATE_LENGTH && /^[\x20-\x7e]+$/.test(header)
    ? header
    : undefined
}
