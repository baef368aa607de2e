// A pino logger whose lines are made by a LineMaker. Children keep what they say as data, not as text that is already
// written: so no name is in a line twice, and a level that changes later changes for all of them.

import { type DestinationStream, type Logger, pino } from 'pino'
import type { Line, LineMaker, LogScope } from './log-line.ts'

/** The name by which Fastify tells a logger the id of its request. */
export const ID_LABEL = 'correlation_id'

const SCOPE = Symbol('the scope of a logger')
const BINDINGS = Symbol('what a logger says in each line')
const ID = Symbol('the id that a logger was given')
const PLAIN = Symbol('a logger that adds nothing to a line that is complete')

interface Guarded {
  [SCOPE]?: LogScope
  [BINDINGS]?: Line | undefined
  [ID]?: unknown
  [PLAIN]?: boolean
}

/** A line that is complete: it is written as it is. */
export class FinishedLine {}

/** What a guarded logger is made of. */
export interface GuardedLoggerParts {
  readonly level: string
  /** What every line says of this process, as members of JSON with a comma before each; `lines` knows their names. */
  readonly process: string
  readonly lines: LineMaker
  /** Makes what stands under these names safe, in place of the scrubber. */
  readonly serializers: Readonly<Record<string, (value: unknown) => unknown>>
  /** ISO 8601. */
  readonly time: () => string
  readonly destination: DestinationStream
  /** The scope of a line whose logger has none of its own. */
  readonly currentScope: () => LogScope | undefined
  /** Called for every line that is written. */
  readonly onLine: (level: number) => void
}

/** Makes the logger. */
export function createGuardedLogger(parts: GuardedLoggerParts): Logger {
  const { level, process, lines, serializers, time, destination, currentScope, onLine } = parts
  const root: Logger & Guarded = pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${time()}"${process}`,
      serializers: { ...serializers },
      mixin: (given, number, logger) => {
        onLine(number)
        if (given instanceof FinishedLine) return given
        const { [SCOPE]: scope = currentScope(), [BINDINGS]: bindings, [ID]: id } = logger as Guarded
        const passed = serializersOf(logger)
        if (scope !== undefined || id === undefined) return lines.line({ scope, bindings, given, passed })
        return lines.line({ scope, own: { [ID_LABEL]: id }, bindings, given, passed })
      },
      // pino would let the caller's members win.
      mixinMergeStrategy: (_given, line) => line,
    },
    destination,
  )
  // The type of pino's own depends on the levels of each child; there are no others here.
  const makeChild = root.child as unknown as MakeChild

  const child: MakeChild = function (given, options) {
    const made: Guarded =
      options === undefined || isEmpty(options) ? Object.create(this) : makeChild.call(this, {}, options)
    const id = (given as Line)[ID_LABEL]
    if (id !== undefined) made[ID] = id
    if (options !== undefined && changesLines(options, serializersOf(this))) made[PLAIN] = false
    if (hasMore(given)) made[BINDINGS] = lines.bindings(this[BINDINGS], given, serializersOf(made))
    return made
  }
  return Object.assign(root, {
    [PLAIN]: true,
    child,
    bindings(this: Guarded) {
      return { ...this[BINDINGS] }
    },
    setBindings(this: Guarded, given: object) {
      this[BINDINGS] = lines.bindings(this[BINDINGS], given, serializersOf(this))
    },
  }) as unknown as Logger
}

type MakeChild = (this: Guarded, given: object, options?: object) => Guarded

/** From now on the lines of this logger, and of its children, are of this scope. */
export function bindScope(logger: object, scope: LogScope): void {
  ;(logger as Guarded)[SCOPE] = scope
}

/** Whether a line that is complete is written by this logger as it is, so that it can as well be written past it. */
export function isPlain(logger: object): boolean {
  return (logger as Guarded)[PLAIN] === true
}

/** Fastify gives its own child the serializers that it has found here. */
function changesLines(options: object, known: Readonly<Record<string, unknown>>): boolean {
  const { level: _level, serializers = {}, ...rest } = options as { level?: unknown; serializers?: object }
  return (
    Object.values(rest).some((value) => value !== undefined) ||
    Object.entries(serializers).some(([name, serializer]) => known[name] !== serializer)
  )
}

function serializersOf(logger: object): Readonly<Record<string, unknown>> {
  return (logger as Record<symbol, Readonly<Record<string, unknown>>>)[pino.symbols.serializersSym] ?? {}
}

function isEmpty(options: object): boolean {
  for (const _ in options) return false
  return true
}

/** The id has a place of its own: most loggers, one for each request, are told nothing else. */
function hasMore(given: object): boolean {
  for (const name in given) if (name !== ID_LABEL) return true
  return false
}
