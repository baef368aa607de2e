import { connect } from 'node:net'
import { freePort } from '@holdfast/test-kit'
import t from 'tap'
import { boundedCopy, maxDataBytes, maxReasonLength, readExecution } from '../src/observation.ts'

const threw = (error: unknown) => readExecution({ kind: 'threw', error, durationMs: 3 }, undefined)
const answered = (result: unknown, durationMs = 3, degradedAboveMs?: number) =>
  readExecution({ kind: 'answered', result, durationMs }, degradedAboveMs)

t.test('an answer means healthy unless it says otherwise', async (t) => {
  for (const result of [undefined, null, true, 'ok', {}, { rows: [] }, { status: 'healthy' }]) {
    t.match(answered(result), { outcome: 'healthy', cause: 'none' })
  }
  t.match(answered({ status: 'degraded', reason: 'replica lag' }), {
    outcome: 'degraded',
    firm: true,
    cause: 'reported',
    reason: 'replica lag',
  })
  t.match(answered({ status: 'unhealthy' }), { outcome: 'unhealthy', firm: true, cause: 'reported' })
  t.match(answered({ reason: 7 }), { reason: undefined }, 'a reason that is no text is dropped')
})

t.test('a status that does not exist is unhealthy, not healthy', async (t) => {
  t.match(answered({ status: 'UP' }), { outcome: 'unhealthy', firm: true, reason: /other than healthy/ })
  t.match(answered({ status: 200 }), { outcome: 'unhealthy' }, 'such as the status of a fetch response')
})

t.test('an answer is slow above degradedAboveMs, not at it; 0 is a value', async (t) => {
  t.match(answered(undefined, 100, 100), { outcome: 'healthy' })
  t.match(answered(undefined, 100.1, 100), { outcome: 'degraded', firm: false, cause: 'slow' })
  t.match(answered(undefined, 0.1, 0), { outcome: 'degraded', cause: 'slow' })
  t.match(answered({ status: 'unhealthy' }, 200, 100), { outcome: 'unhealthy', cause: 'reported' })
})

t.test('an error with a code is explicit, one without is ambiguous', async (t) => {
  t.match(threw(Object.assign(new Error('no'), { code: '28P01' })), {
    firm: true,
    cause: 'error',
    code: '28P01',
  })
  t.match(threw(Object.assign(new Error('no'), { code: 7 })), { firm: true, code: '7' })
  t.match(threw(new Error('Connection terminated unexpectedly')), {
    firm: false,
    cause: 'error',
    code: undefined,
  })
  t.match(
    threw(new TypeError('fetch failed', { cause: Object.assign(new Error(), { code: 'ECONNREFUSED' }) })),
    {
      firm: true,
      code: 'ECONNREFUSED',
    },
  )
})

t.test('a connection that the kernel refuses is explicit', async (t) => {
  const port = await freePort()
  const error = await new Promise((resolve) => connect(port, '127.0.0.1').once('error', resolve))
  t.match(threw(error), { outcome: 'unhealthy', firm: true, code: 'ECONNREFUSED' })
})

t.test('every kind of time-out is ambiguous', async (t) => {
  const own = new DOMException('late', 'TimeoutError')
  t.match(threw(own), { firm: false, cause: 'timeout', code: 'TimeoutError' }, 'in spite of its numeric code')
  for (const code of ['ETIMEDOUT', 'UND_ERR_HEADERS_TIMEOUT', '57014', 'ABORT_ERR']) {
    t.match(threw(Object.assign(new Error('late'), { code })), { firm: false, cause: 'timeout', code })
  }
  t.match(readExecution({ kind: 'timed-out', durationMs: 1000 }, undefined), {
    firm: false,
    cause: 'timeout',
  })
  t.match(readExecution({ kind: 'hung', durationMs: 9000 }, undefined), {
    firm: false,
    cause: 'hung',
    durationMs: 9000,
  })
})

t.test('anything can be thrown', async (t) => {
  for (const error of [undefined, null, 'text', 7, Symbol('x'), {}]) {
    t.match(threw(error), { outcome: 'unhealthy', firm: false, reason: String(error) })
  }
  t.match(threw(Object.create(null)), { reason: 'a value that cannot be shown' })
  const loop: { cause?: unknown } = {}
  loop.cause = loop
  t.match(threw(loop), { firm: false }, 'a cycle of causes ends')
})

t.test('what cannot be read is unhealthy, and never throws', async (t) => {
  const unreadable = () => {
    throw new Error('unreadable')
  }
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  for (const value of [proxy, Object.defineProperty({}, 'code', { get: unreadable })]) {
    t.match(threw(value), { outcome: 'unhealthy', cause: 'error', reason: /cannot be read/ })
  }
  for (const value of [proxy, Object.defineProperty({}, 'status', { get: unreadable })]) {
    t.match(answered(value), { outcome: 'unhealthy', cause: 'error', reason: /cannot be read/ })
  }
  for (const message of [undefined, null, 7, ['a']]) {
    t.equal(
      threw(Object.assign(new Error(), { message })).reason,
      String(message),
      'a message that is no text',
    )
  }
})

t.test('reasons are cut and data is bounded, copied and never breaks', async (t) => {
  t.equal(threw(new Error('x'.repeat(10_000))).reason?.length, maxReasonLength)
  t.equal(threw(Object.assign(new Error(), { code: 'C'.repeat(10_000) })).code?.length, maxReasonLength)
  t.equal(
    answered({ reason: 'y'.repeat(maxReasonLength) }).reason?.length,
    maxReasonLength,
    'not shorter than allowed',
  )
  const data = { queue: { depth: 3 } }
  const kept = answered({ data }).data
  data.queue.depth = 9
  t.strictSame(kept, { queue: { depth: 3 } })
  t.match(answered({ data: { text: 'x'.repeat(maxDataBytes) } }).data, {
    omitted: /^\d+ bytes, the maximum is 4096$/,
  })
  const cycle: { self?: unknown } = {}
  cycle.self = cycle
  t.match(answered({ data: cycle }).data, { omitted: 'not serialisable as JSON' })
  t.match(
    boundedCopy(() => {}, 10),
    { omitted: 'not serialisable as JSON' },
  )
})
