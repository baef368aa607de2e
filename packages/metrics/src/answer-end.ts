/** How an answer has ended, by what is left of it when it is closed. */

/** As much of a response as tells that, of HTTP/1 and of HTTP/2. */
export interface EndedResponse {
  readonly statusCode: number
  readonly writableFinished?: boolean
  readonly writableEnded?: boolean
  /** What `app.inject()` answers into: it ends, and never reaches a socket. */
  readonly isLightMyRequest?: boolean
  readonly socket?: {
    readonly readableEnded?: boolean
    readonly errored?: Error | null
  } | null
  /** HTTP/2 alone. */
  readonly stream?: { readonly aborted: boolean; readonly rstCode: number } | undefined
}

/** What a request counts as whose client left before it had the whole answer. */
export const CLIENT_LEFT = 499
/** What one counts as whose answer the service itself broke off. */
const BROKEN_OFF = 500
/** RST_STREAM with NO_ERROR, and with CANCEL. */
const NO_ERROR = 0
const CANCEL = 8

/** The status that is counted. */
export function countedStatus(response: EndedResponse): number {
  const { statusCode, stream, socket } = response
  if (stream !== undefined) {
    if (stream.rstCode === NO_ERROR && !stream.aborted) return statusCode
    return stream.aborted || stream.rstCode === CANCEL ? CLIENT_LEFT : BROKEN_OFF
  }
  const isComplete = response.isLightMyRequest === true ? response.writableEnded : response.writableFinished
  if (isComplete === true) return statusCode
  const left =
    socket === undefined || socket === null || socket.readableEnded === true || Boolean(socket.errored)
  return left ? CLIENT_LEFT : BROKEN_OFF
}
