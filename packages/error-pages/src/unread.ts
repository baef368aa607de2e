// What is said of what Node's parser could not read.

import { statusOfUnread } from '@holdfast/footing'
import { type Failure, failureOf } from './failure.ts'

/** Why what has come gets no other answer, by the error of Node's parser. */
export function failureOfParser(error: unknown): Failure {
  const status = statusOfUnread(error)
  return failureOf(undefined, { status, detail: DETAILS.get(status) ?? 'This is not an HTTP request.' })
}

const DETAILS: ReadonlyMap<number, string> = new Map([
  [405, 'There is no tunnel here.'],
  [408, 'The request took too long to arrive.'],
  [413, 'The body is larger than this service takes.'],
  [431, 'The path and the headers are too long.'],
])
