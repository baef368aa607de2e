import { STATUS_CODES } from 'node:http'

/** The problem document (RFC 9457) of a coded error, as bytes of `application/problem+json`. */
export function problemOf(error: { code: string; message: string }, statusCode: number): Buffer {
  const title = STATUS_CODES[statusCode]
  const document = {
    type: 'about:blank',
    title,
    status: statusCode,
    error: error.code,
    detail: error.message,
  }
  return Buffer.from(JSON.stringify(document))
}
