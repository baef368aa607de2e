// One line of the log is one object whose names are unique and cannot be taken. What the line says of itself (level,
// time, message) and what it says of where it was written (ids, tenant, user) stands; what a caller gives under such a
// name is not lost, it stands under `given`. What a caller gives is scrubbed; what this package writes is an
// allow-list, and pays for no scrubbing.

import type { Scrubber } from './scrubber.ts'

/** The members of a line, in their order. */
export type Line = Record<string, unknown>

/** Where a line is written: in a request, in a job, or (undefined) in neither. */
export interface LogScope {
  /** By which its lines are found. */
  readonly correlationId: string
  /** Puts what it knows of itself into a line that has nothing yet. */
  describe(line: Line): void
}

/** Names that lines alone give. */
const RESERVED: ReadonlySet<string> = new Set([
  'level',
  'time',
  'msg',
  'correlation_id',
  'request_id',
  'trace_id',
  'span_id',
  'event_type',
  'given',
])

/** What a line is made of. Later parts win over earlier ones, and none over the scope. */
export interface LineParts {
  readonly scope: LogScope | undefined
  /** Set by this package, so never scrubbed, and never lost. */
  readonly own?: Line
  /** Scrubbed before. */
  readonly bindings?: Line | undefined
  readonly given?: object | undefined
  /** Names that something else makes safe. */
  readonly passed?: Readonly<Record<string, unknown>>
}

/** Makes lines. */
export class LineMaker {
  readonly #scrubber: Scrubber
  readonly #reserved: ReadonlySet<string>

  /** `taken` are more names that lines alone give. */
  constructor(scrubber: Scrubber, taken: readonly string[] = []) {
    this.#scrubber = scrubber
    this.#reserved = taken.length === 0 ? RESERVED : new Set([...RESERVED, ...taken])
  }

  /** A line without `level`, `time` and `msg`. */
  line({ scope, own, bindings, given, passed = {} }: LineParts): Line {
    const line: Line = Object.create(null)
    scope?.describe(line)
    if (own !== undefined) Object.assign(line, own)
    const fixed = new Set(Object.keys(line))
    let moved: Line | undefined
    const put = (name: string, value: unknown): void => {
      if (value === undefined) return
      if (!this.#reserved.has(name) && !fixed.has(name)) line[name] = value
      else if (line[name] !== value) {
        moved ??= Object.create(null) as Line
        moved[name] = value
      }
    }
    for (const name in bindings) put(name, bindings[name])
    if (given !== undefined) {
      passedOf(given, passed, put)
      this.#scrubber.members(given, put, (name) => name in passed)
    }
    if (moved !== undefined) line['given'] = moved
    return line
  }

  /** What a child logger says in each of its lines. */
  bindings(inherited: Line | undefined, given: object, passed: Readonly<Record<string, unknown>>): Line {
    const bindings: Line = Object.assign(Object.create(null), inherited)
    const put = (name: string, value: unknown): void => {
      bindings[name] = value
    }
    passedOf(given, passed, put)
    this.#scrubber.members(given, put, (name) => name in passed)
    return bindings
  }
}

/** What something else makes safe. A getter that fails takes no line with it. */
function passedOf(
  given: object,
  passed: Readonly<Record<string, unknown>>,
  put: (name: string, value: unknown) => void,
): void {
  for (const name in passed) {
    try {
      if (Object.hasOwn(given, name)) put(name, (given as Line)[name])
    } catch {
      put(name, '[unreadable]')
    }
  }
}
