import { STATUS_CODES } from 'node:http'

const SOME_REQUEST = '5b2c7a0e-9f1d-4c1a-8d1e-2f6f0a3c9b7d'

/** A problem document, for examples: the members that all of them have. */
export function problemExample(status: number, error: string, detail: string) {
  return {
    type: 'about:blank',
    title: STATUS_CODES[status] ?? '',
    status,
    detail,
    error,
    correlation_id: SOME_REQUEST,
  }
}
