// What Node's parser could not read is no request for Fastify, and has an answer all the same, which is written to the
// bare socket: by which ids it goes, and its line.
//
// Guarantees: an answer that is written in the place of one that a request waits for has the ids of that request, and is
// told in its line; any other has new ids, and a line of its own. Of a flood only so many lines are written, and another
// one says now and then how many there were besides.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Clock, responseOn } from '@holdfast/footing'
import { COMPLETED } from './completion.ts'
import { FinishedLine } from './guarded-logger.ts'
import { LineBudget } from './line-budget.ts'
import { CORRELATION_HEADER, type IdSource, REQUEST_HEADER } from './request-ids.ts'
import type { RequestScope } from './request-scope.ts'

const BUDGET = { burst: 1000, perSecond: 10 }
const SUMMARY_MS = 60_000
/** Node's codes are short, and nobody else's word. */
const CODE = /^[A-Z][A-Z0-9_]{0,63}$/

/** An answer to what could not be read. */
export interface UnreadAnswer {
  readonly correlationId: string
  /** Its headers, by which it is found in the log. */
  readonly headers: Readonly<Record<string, string>>
  /** It was written; `code` is Node's word for what was wrong. */
  written(answer: { readonly status: number; readonly code?: string | undefined }): void
}

/** What it is made of. */
export interface UnreadRequestsParts {
  readonly ids: Pick<IdSource, 'next'>
  readonly clock: Pick<Clock, 'nowMs' | 'schedule'>
  readonly scopeOf: (request: IncomingMessage) => RequestScope
  /** The answer that this request has waited for was given, past its response. */
  readonly end: (scope: RequestScope, response: ServerResponse, status: number) => void
  readonly warn: (line: FinishedLine, message: string) => void
}

/** Names answers to what could not be read, and tells them. */
export class UnreadRequests {
  readonly #parts: UnreadRequestsParts
  readonly #budget = new LineBudget(BUDGET)
  #told = 0
  #cancel: (() => void) | undefined

  constructor(parts: UnreadRequestsParts) {
    this.#parts = parts
  }

  /** Lines that were left out, since the start. */
  get leftOut(): number {
    return this.#budget.refused
  }

  /** What came on this connection is about to be answered; `request` where Node made one of it, and no response. */
  answerOn(socket: object, request?: IncomingMessage): UnreadAnswer {
    const { ids, scopeOf, end } = this.#parts
    const response = request === undefined ? waitingOn(socket) : undefined
    if (response !== undefined) {
      const scope = scopeOf(response.req)
      return { ...nameOf(scope), written: ({ status }) => end(scope, response, status) }
    }
    const named = request === undefined ? newName(ids) : scopeOf(request)
    return {
      ...nameOf(named),
      written: ({ status, code }) => this.#tell(new UnreadLine(named, status, code)),
    }
  }

  /** Tells what was not told yet. */
  close(): void {
    this.#cancel?.()
    this.#cancel = undefined
    const leftOut = this.leftOut - this.#told
    this.#told = this.leftOut
    if (leftOut > 0) {
      this.#parts.warn(
        Object.assign(new FinishedLine(), { left_out: leftOut }),
        'there was more that could not be read, and has no lines',
      )
    }
  }

  #tell(line: UnreadLine): void {
    const { clock, warn } = this.#parts
    if (this.#budget.take(clock.nowMs())) warn(line, COMPLETED)
    else this.#cancel ??= clock.schedule(SUMMARY_MS, () => this.close())
  }
}

/** By what an answer is found. */
interface Named {
  readonly correlationId: string
  readonly requestId: string
}

/** The members of such a line; the rest of what came is nobody's to read. */
class UnreadLine extends FinishedLine {
  readonly correlation_id: string
  readonly request_id: string
  readonly status: number
  readonly unread: string

  constructor({ correlationId, requestId }: Named, status: number, code: string | undefined) {
    super()
    this.correlation_id = correlationId
    this.request_id = requestId
    this.status = status
    this.unread = code !== undefined && CODE.test(code) ? code : 'other'
  }
}

/** The chain begins here, so both are the same. */
function newName(ids: Pick<IdSource, 'next'>): Named {
  const id = ids.next()
  return { correlationId: id, requestId: id }
}

function nameOf({ correlationId, requestId }: Named): Pick<UnreadAnswer, 'correlationId' | 'headers'> {
  return {
    correlationId,
    headers: { [CORRELATION_HEADER]: correlationId, [REQUEST_HEADER]: requestId },
  }
}

/** The first request of this connection whose answer has not begun: what is written now, its client takes for that. */
function waitingOn(socket: object): ServerResponse | undefined {
  const response = responseOn(socket)
  return response?.headersSent === false ? (response as ServerResponse) : undefined
}
