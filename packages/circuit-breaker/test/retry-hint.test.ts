import t from 'tap'
import { retryHintMs } from '../src/retry-hint.ts'

const wallMs = Date.parse('2026-11-21T12:00:00Z')
const inAMinute = 'Sat, 21 Nov 2026 12:01:00 GMT'

const hints: Record<string, readonly [error: unknown, expected: number | undefined]> = {
  'milliseconds of an error of ours': [{ retryAfterMs: 250, retryAfterSeconds: 1 }, 250],
  'no wait at all': [{ retryAfterMs: 0 }, 0],
  'whole seconds': [{ retryAfterSeconds: 2 }, 2000],
  'a header with seconds': [{ headers: { 'retry-after': '3' } }, 3000],
  'a header with a number': [{ headers: { 'retry-after': 3 } }, 3000],
  'a header in other letters': [{ headers: { 'Retry-After': ' 3 ' } }, 3000],
  'a header that came twice': [{ headers: { 'retry-after': ['4', '5'] } }, 4000],
  'a header with a date': [{ headers: { 'retry-after': inAMinute } }, 60_000],
  'a date that has passed': [{ headers: { 'retry-after': 'Sat, 21 Nov 2026 11:00:00 GMT' } }, 0],
  'the headers of fetch': [{ response: { headers: new Headers({ 'retry-after': '6' }) } }, 6000],
  'the headers of a response': [{ response: { headers: { 'retry-after': '7' } } }, 7000],
  'what cannot be read': [{ headers: { 'retry-after': 'soon' } }, undefined],
  'a number that is none of seconds, and a year to Date.parse': [
    { headers: { 'retry-after': '1.5' } },
    undefined,
  ],
  'words with a year in them': [{ headers: { 'retry-after': 'soon 2099' } }, undefined],
  'a date of the old form': [{ headers: { 'retry-after': 'Saturday, 21-Nov-26 12:01:00 GMT' } }, 60_000],
  'a strange header': [{ headers: { 'retry-after': { seconds: 1 } } }, undefined],
  'a negative wait': [{ retryAfterMs: -1 }, undefined],
  'not a number': [{ retryAfterMs: Number.NaN, retryAfterSeconds: '1' }, undefined],
  'other headers': [{ headers: { date: inAMinute } }, undefined],
  'headers that are none': [{ headers: 'retry-after: 1', response: null }, undefined],
  'an error without a hint': [new Error('x'), undefined],
  'a text': ['retry-after: 1', undefined],
  null: [null, undefined],
}
for (const [name, [error, expected]] of Object.entries(hints)) {
  t.test(`${name}: ${expected}`, async (t) => {
    t.equal(retryHintMs(error, wallMs), expected)
  })
}
