// The one line that each request ends with: whether there is one, how loud it is, and where it is written.

import type { ServerResponse } from 'node:http'
import type { Clock } from '@holdfast/footing'
import type { Logger } from 'pino'
import {
  bytesOf,
  COMPLETED,
  type CompletionFields,
  CompletionLine,
  roundedMs,
  verdictOf,
} from './completion.ts'
import { completionText } from './completion-text.ts'
import { isPlain } from './guarded-logger.ts'
import { isEnabled, NUMBERS } from './level-control.ts'
import type { RequestScope } from './request-scope.ts'
import { type RouteDefaults, RoutesSeen } from './route-lines.ts'
import { isSampled } from './sampling.ts'

/** Where the lines of a guarded logger go, for lines that are text already. */
export interface TextLines {
  /** ISO 8601. */
  time(): string
  /** What every line of this process says of it. */
  readonly process: string
  write(level: number, line: string): void
}

/** What `RequestLines` are made of. */
export interface RequestLinesParts extends RouteDefaults {
  readonly clock: Pick<Clock, 'nowMs'>
  readonly logger: Logger
  /** Whether the loggers of requests are children of `logger`, and add nothing to a line that is finished. */
  readonly isGuarded: boolean
  /** What a logger that is not guarded may be given. */
  readonly scrub: (value: unknown) => unknown
  /** Undefined where only the logger knows how its lines are written. */
  readonly text: TextLines | undefined
}

/** Tells how requests ended. */
export class RequestLines {
  readonly #parts: RequestLinesParts
  readonly #routes: RoutesSeen
  #unsampled = 0

  constructor(parts: RequestLinesParts) {
    this.#parts = parts
    this.#routes = new RoutesSeen(parts)
  }

  /** Successes whose line was left out by their share. */
  get unsampled(): number {
    return this.#unsampled
  }

  /** Tells how a request ended whose answer is over. */
  tell(scope: RequestScope, response: ServerResponse): void {
    const { clock, isGuarded, logger: root, scrub, text } = this.#parts
    const route = this.#routes.of(scope.request)
    const durationMs = clock.nowMs() - scope.startedMs
    const { level, status, aborted, slow } = verdictOf({
      status: response.statusCode,
      answered: scope.answeredPast || response.headersSent,
      finished: scope.answeredPast || isFinished(response),
      failed: scope.failure !== undefined,
      durationMs,
      slowMs: route.slowMs,
    })
    if (level === 'info') {
      if (route.isQuiet) return
      if (!isSampled(scope.correlationId, route.sample)) {
        this.#unsampled++
        return
      }
    }
    // That of the request, where its route has a level of its own; a foreign one would add ids of its own.
    const logger = isGuarded ? ((scope.request?.log as Logger | undefined) ?? root) : root
    if (!isEnabled(logger, level)) return
    const fields: CompletionFields = {
      correlation_id: scope.correlationId,
      request_id: scope.requestId,
      trace_id: scope.trace?.traceId,
      span_id: scope.spanId,
      tenant: scope.tenant,
      user_id: scope.user,
      method: scope.method,
      route: route.url,
      path: scope.path,
      status,
      duration_ms: roundedMs(durationMs),
      // The answer to a HEAD tells how long another one would be.
      bytes: scope.method === 'HEAD' ? undefined : bytesOf(scope.reply?.getHeader('content-length')),
      aborted: aborted || undefined,
      slow: slow || undefined,
      err: isGuarded ? scope.failure : scrub(scope.failure),
    }
    if (text !== undefined && fields.err === undefined && isPlain(logger)) {
      const number = NUMBERS[level]
      const frame = {
        level: number,
        time: text.time(),
        process: text.process,
        msg: COMPLETED,
        routeText: route.text,
      }
      text.write(number, completionText(frame, fields))
    } else logger[level](new CompletionLine(fields), COMPLETED)
  }
}

/** What is looked at of the stream of an HTTP/2 answer: one that is cancelled counts as ended for Node. */
interface Http2Stream {
  readonly aborted: boolean
  readonly rstCode: number
}

const NO_ERROR = 0

/** All of it was written, or at least given to a connection that lives, as that of `app.inject()`. */
function isFinished(response: ServerResponse & { readonly stream?: Http2Stream }): boolean {
  const { writableFinished, writableEnded, socket, stream } = response
  if (stream !== undefined) return stream.rstCode === NO_ERROR && !stream.aborted
  return writableFinished || (writableEnded && socket?.destroyed === false)
}
