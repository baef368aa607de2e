/*
 * What processes tell each other, as the scripts write it (`shared-scripts.ts`). Pure: a message that is not of
 * this form is none.
 */

/** What has happened to one key, or tag. */
export interface FleetChange {
  /** Stored, missing, invalidated, a tag invalidated, a load failed, a lease given back. */
  readonly kind: 's' | 'm' | 'i' | 't' | 'e' | 'l'
  readonly name: string
  readonly fence: number
  /** How long ago the read, write or invalidation began. */
  readonly ageMs: number
  /** The value as text, or why a load failed; undefined when it was too large for a message. */
  readonly text: string | undefined
  /** Whether a value that is stored was invalidated since it was read. */
  readonly outdated: boolean
}

export interface FleetMessage {
  readonly from: string
  readonly changes: readonly FleetChange[]
}

/** Undefined: it is no message of ours, or of a version we do not know. */
export function parseFleetMessage(payload: string): FleetMessage | undefined {
  try {
    const { v, from, now, changes } = JSON.parse(payload) as Readonly<Record<string, unknown>>
    if (v !== 1 || typeof from !== 'string' || typeof now !== 'number' || !Array.isArray(changes))
      return undefined
    const parsed = changes.map((change: Readonly<Record<string, unknown>>) => changeOf(change, now))
    return parsed.includes(undefined) ? undefined : { from, changes: parsed as FleetChange[] }
  } catch {
    return undefined
  }
}

/** Server times in microseconds stay exact numbers for the next two centuries. */
export function isFence(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function changeOf(
  { o, k, f, d, x }: Readonly<Record<string, unknown>>,
  now: number,
): FleetChange | undefined {
  if (typeof o !== 'string' || !/^[smitel]$/.test(o) || typeof k !== 'string' || !isFence(f)) return undefined
  return {
    kind: o as FleetChange['kind'],
    name: k,
    fence: f,
    ageMs: Math.max(0, (now - f) / 1000),
    text: typeof d === 'string' ? d : undefined,
    outdated: x === 1,
  }
}
