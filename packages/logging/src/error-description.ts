// What a log may know of an error: an allow-list, because errors carry what failed with them (a request with its
// headers, a statement with its values). Causes are followed, and cut where they go in circles.

const MAX_CAUSES = 4
const MAX_ERRORS = 5

/** Members that say what went wrong and never hold what somebody sent. */
const TOLD = [
  'code',
  'statusCode',
  'status',
  'errno',
  'syscall',
  'address',
  'port',
  'hostname',
  'severity',
  'schema',
  'table',
  'column',
  'constraint',
  'routine',
  'retryAfterMs',
] as const

/** An error as plain data, not masked yet. */
export function describeError(error: Error): Record<string, unknown> {
  return describe(error, 0, new Set())
}

function describe(error: Error, depth: number, above: Set<unknown>): Record<string, unknown> {
  above.add(error)
  const described: Record<string, unknown> = { type: typeOf(error), message: read(error, 'message') }
  for (const name of TOLD) {
    const value = read(error, name)
    if (typeof value === 'string' || typeof value === 'number') described[name] = value
  }
  described['stack'] = read(error, 'stack')
  const cause = read(error, 'cause')
  if (cause !== undefined && depth < MAX_CAUSES) described['cause'] = describeCause(cause, depth, above)
  const errors = read(error, 'errors')
  if (Array.isArray(errors) && errors.every((one) => one instanceof Error) && depth < MAX_CAUSES) {
    described['errors'] = errors.slice(0, MAX_ERRORS).map((one) => describeCause(one, depth, above))
  }
  above.delete(error)
  return described
}

function describeCause(cause: unknown, depth: number, above: Set<unknown>): unknown {
  if (above.has(cause)) return '[circular]'
  if (cause instanceof Error) return describe(cause, depth + 1, above)
  return typeof cause === 'string' ? cause : `[${typeof cause}]`
}

function typeOf(error: Error): string {
  const name = read(error, 'name')
  return typeof name === 'string' && name !== '' ? name : 'Error'
}

/** Members of an error can be getters, and fail. */
function read(error: Error, name: string): unknown {
  try {
    return (error as unknown as Record<string, unknown>)[name]
  } catch {
    return '[unreadable]'
  }
}
