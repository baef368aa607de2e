/**
 * A page for people in place of a refusal that is made for programs. Packages that refuse know nothing of pages; whoever
 * composes a service gives them a function, such as `app.errorPages.pageFor` of `@holdfast/error-pages`.
 *
 * Guarantees: a page is a courtesy, and never takes the refusal away. Where the function fails, or answers something that
 * is no page, the refusal is told as it is, and that is logged once; in a flood nobody gets a page who comes after the
 * hundredth of a second.
 */
import type { Clock } from './clock.ts'
import { ignoreRejection } from './handler-answer.ts'

/** A refusal, in the words of an error. */
export interface Refused {
  readonly statusCode: number
  readonly code?: string | undefined
  /** For people. */
  readonly message?: string | undefined
  /** Until a retry can succeed; undefined: nobody knows. */
  readonly retryAfterSeconds?: number | undefined
}

/** A page, ready to be sent with the status of the refusal. */
export interface RefusalPage {
  /** `Content-Type` and whatever else belongs to it, but for `Content-Length`. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** The page that tells somebody a refusal; undefined where he does not prefer one. Synchronous. */
export type PageOfRefusal<Request> = (request: Request, refused: Refused) => RefusalPage | undefined

/** What this file needs of a request. */
export interface LoggingRequest {
  readonly log: { warn(details: object, message: string): void }
}

/** A page costs more than the refusal that it stands for. */
const MAX_PAGES_PER_SECOND = 100
const SECOND_MS = 1000

/** Asks the function of the application for pages. */
export class RefusalPages<Request extends LoggingRequest> {
  readonly #pageOf: PageOfRefusal<Request> | undefined
  readonly #clock: Pick<Clock, 'nowMs'>
  #secondSinceMs = Number.NEGATIVE_INFINITY
  #pagesOfSecond = 0
  #warned = false

  /** Without a function there are no pages. */
  constructor(pageOf: PageOfRefusal<Request> | undefined, clock: Pick<Clock, 'nowMs'>) {
    this.#pageOf = pageOf
    this.#clock = clock
  }

  /** The page for this request; undefined: tell the refusal as it is. Never throws. */
  find(request: Request, refused: Refused): RefusalPage | undefined {
    if (this.#pageOf === undefined || this.#isFlooded()) return undefined
    let page: unknown
    try {
      page = this.#pageOf(request, refused)
    } catch (error) {
      this.#warn(request, error)
      return undefined
    }
    if (page === undefined) return undefined
    if (!isPage(page)) {
      ignoreRejection(page)
      this.#warn(request, new TypeError('it answered something that is no page: { headers, body }'))
      return undefined
    }
    this.#pagesOfSecond += 1
    return page
  }

  #isFlooded(): boolean {
    const nowMs = this.#clock.nowMs()
    if (nowMs - this.#secondSinceMs >= SECOND_MS) {
      this.#secondSinceMs = nowMs
      this.#pagesOfSecond = 0
    }
    return this.#pagesOfSecond >= MAX_PAGES_PER_SECOND
  }

  /** Once: a flood must not become a flood of warnings. */
  #warn({ log }: Request, err: unknown): void {
    if (this.#warned) return
    this.#warned = true
    log.warn({ err }, 'the option "page" failed, and people get what programs get')
  }
}

function isPage(value: unknown): value is RefusalPage {
  const { headers, body } = Object(value) as Partial<RefusalPage>
  return typeof headers === 'object' && headers !== null && typeof body === 'string'
}
