import { HandClock, seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { Bulkhead } from '../src/bulkhead.ts'
import { CircuitBreaker } from '../src/circuit-breaker.ts'
import { ErrorLog } from '../src/error-log.ts'
import { type AttemptContext, type RetryOptions, retry } from '../src/retry.ts'
import { RetryBudget } from '../src/retry-budget.ts'

const down = () => Object.assign(new Error('down'), { code: 'ECONNREFUSED' })

/** A retry on a clock of its own, with the moments of its attempts. */
function started(
  options: RetryOptions = {},
  work: (context: AttemptContext) => unknown = () => {
    throw down()
  },
) {
  const clock = new HandClock()
  const seen = {
    clock,
    attemptsAtMs: [] as number[],
    signals: [] as AbortSignal[],
    settled: undefined as unknown,
  }
  retry(
    (context) => {
      seen.attemptsAtMs.push(clock.nowMs())
      seen.signals.push(context.signal)
      return work(context)
    },
    { clock, random: () => 0.5, ...options },
  ).then(
    (value) => {
      seen.settled = value
    },
    (error) => {
      seen.settled = error
    },
  )
  return seen
}

t.test('it tries again until the work succeeds, and waits longer each time', async (t) => {
  const seen = started({ attempts: 5 }, ({ attempt }) => {
    if (attempt < 4) throw down()
    return `attempt ${attempt}`
  })
  await seen.clock.advance(10_000)
  t.strictSame(seen.attemptsAtMs, [0, 200, 600, 1400])
  t.equal(seen.settled, 'attempt 4')
  t.equal(seen.clock.pendingTimers, 0)
})

t.test('after the last attempt it rejects with the error itself', async (t) => {
  const error = down()
  const events: unknown[] = []
  const seen = started(
    { onRetry: (event) => events.push(event), onGiveUp: (event) => events.push(event), name: 'quotes' },
    () => Promise.reject(error),
  )
  await seen.clock.advance(10_000)
  t.equal(seen.settled, error)
  t.strictSame(events, [
    { name: 'quotes', attempt: 1, delayMs: 200, error },
    { name: 'quotes', attempt: 2, delayMs: 400, error },
    { name: 'quotes', attempt: 3, reason: 'attempts', error },
  ])
})

t.test('what the caller did wrong, what was aborted or refused is not tried again', async (t) => {
  const bulkhead = new Bulkhead('b', { maxConcurrent: 1, maxWaiting: 0 })
  await bulkhead.acquire()
  const isolated = new CircuitBreaker('b')
  isolated.isolate('test')
  const abort = new AbortController()
  abort.abort()
  for (const [name, work] of Object.entries({
    'a 404': () => Promise.reject(Object.assign(new Error('x'), { statusCode: 404 })),
    'an abort': () => abort.signal.throwIfAborted(),
    'a full bulkhead': () => bulkhead.execute(() => 1),
    'an open breaker': () => isolated.execute(() => 1),
  })) {
    const reasons: string[] = []
    const seen = started({ onGiveUp: ({ reason }) => reasons.push(reason) }, work)
    await seen.clock.advance(10_000)
    t.equal(seen.attemptsAtMs.length, 1, name)
    t.strictSame(reasons, ['not-retryable'], name)
  }
})

t.test('who is asked to come again does, and so does who got no proper error', async (t) => {
  for (const thrown of [
    { status: 429 },
    { statusCode: 408 },
    { statusCode: 425 },
    { statusCode: 503 },
    'a text',
    null,
  ]) {
    const seen = started({}, () => Promise.reject(thrown))
    await seen.clock.advance(10_000)
    t.equal(seen.attemptsAtMs.length, 3, JSON.stringify(thrown))
    t.equal(seen.settled, thrown)
  }
})

t.test('retryIf decides in place of that', async (t) => {
  const seen = started({ retryIf: (error) => (error as Error).message !== 'down' })
  await seen.clock.advance(10_000)
  t.equal(seen.attemptsAtMs.length, 1)
})

t.test('it never comes before the time the dependency named', async (t) => {
  const random = seededRandom()
  random.announce(t)
  for (let round = 0; round < 50; round += 1) {
    const seen = started({ random: random.next }, () =>
      Promise.reject(Object.assign(down(), { retryAfterSeconds: 2 })),
    )
    await seen.clock.advance(20_000)
    const [first = 0, second = 0, third = 0] = seen.attemptsAtMs
    t.ok(second - first >= 2000 && second - first < 2200, 'and not all at the same moment')
    t.ok(third - second >= 2000)
  }
})

t.test('a dependency that wants to be left alone for too long is not asked again', async (t) => {
  const reasons: string[] = []
  const seen = started({ maxRetryAfterMs: 1999, onGiveUp: ({ reason }) => reasons.push(reason) }, () =>
    Promise.reject(Object.assign(down(), { headers: { 'retry-after': '2' } })),
  )
  await seen.clock.advance(0)
  t.match(seen.settled, { code: 'ECONNREFUSED' })
  t.strictSame(reasons, ['retry-after'])
})

t.test('it does not wait when the deadline comes first', async (t) => {
  const reasons: string[] = []
  const seen = started({ deadlineMs: 200, onGiveUp: ({ reason }) => reasons.push(reason) })
  await seen.clock.advance(0)
  t.match(seen.settled, { code: 'ECONNREFUSED' }, 'at once, with what went wrong')
  t.strictSame(reasons, ['deadline'])
  const enough = started({ deadlineMs: 201 })
  await enough.clock.advance(200)
  t.equal(enough.attemptsAtMs.length, 2)
})

t.test('a deadline ends an attempt that hangs, and nothing begins after it', async (t) => {
  const seen = started({ deadlineMs: 500 }, () => new Promise(() => {}))
  await seen.clock.advance(499)
  t.equal(seen.settled, undefined)
  await seen.clock.advance(1)
  t.match(seen.settled, { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_DEADLINE' })
  t.equal(seen.signals[0]?.aborted, true)
  const late = started({ deadlineMs: 0 })
  await late.clock.advance(0)
  t.equal(late.attemptsAtMs.length, 0)
  t.match(late.settled, { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_DEADLINE' })
})

t.test('an attempt that hangs is given up and followed by another', async (t) => {
  const seen = started({ attemptTimeoutMs: 100 }, ({ attempt }) =>
    attempt === 1 ? new Promise(() => {}) : 'ok',
  )
  await seen.clock.advance(299)
  t.equal(seen.signals[0]?.aborted, true)
  t.equal(seen.settled, undefined)
  await seen.clock.advance(1)
  t.equal(seen.settled, 'ok')
})

t.test('an abort ends a wait at once, and an attempt as well', async (t) => {
  const leaving = new AbortController()
  const seen = started({ signal: leaving.signal })
  await seen.clock.advance(50)
  leaving.abort('gone')
  await seen.clock.advance(0)
  t.match(seen.settled, { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_ABORTED', cause: 'gone' })
  t.equal(seen.attemptsAtMs.length, 1)
  t.equal(seen.clock.pendingTimers, 0)

  const running = new AbortController()
  const hangs = started({ signal: running.signal }, () => new Promise(() => {}))
  await hangs.clock.advance(0)
  running.abort()
  await hangs.clock.advance(0)
  t.match(hangs.settled, { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_ABORTED' })

  const during = new AbortController()
  const fails = started({ signal: during.signal }, () => {
    during.abort()
    throw down()
  })
  await fails.clock.advance(0)
  t.match(fails.settled, { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_ABORTED' })
})

t.test('nothing of a failed attempt is held while it waits', async (t) => {
  const bulkhead = new Bulkhead('connections', { maxConcurrent: 1 })
  let listening = 0
  const seen = started({}, async ({ signal }) => {
    signal.addEventListener('abort', () => {
      listening += 1
    })
    await bulkhead.execute(() => Promise.reject(down()))
  })
  await seen.clock.advance(50)
  t.equal(bulkhead.snapshot().running, 0)
  t.equal(listening, 1, 'what it began with its signal was told')
  await seen.clock.advance(10_000)
  t.equal(listening, 3)
  t.equal(new Set(seen.signals).size, 3, 'every attempt has a signal of its own')
})

t.test('the signal of an attempt that succeeded does not abort: its answer may still be read', async (t) => {
  const seen = started({}, () => 'a stream')
  await seen.clock.advance(1000)
  t.equal(seen.signals[0]?.aborted, false)
})

t.test('while the breaker is open nothing is tried again', async (t) => {
  const clock = new HandClock()
  const breaker = new CircuitBreaker('vendor', { failureThreshold: 2, openMs: 10_000, clock })
  const reasons: string[] = []
  const seen = started({ attempts: 10, breaker, clock, onGiveUp: ({ reason }) => reasons.push(reason) }, () =>
    breaker.execute(() => Promise.reject(down())),
  )
  await clock.advance(60_000)
  t.equal(seen.attemptsAtMs.length, 2, 'the second failure opened it')
  t.match(seen.settled, { code: 'ECONNREFUSED' })
  t.strictSame(reasons, ['open'])
})

t.test('a breaker that opens during the wait ends it without an attempt', async (t) => {
  const clock = new HandClock()
  const breaker = new CircuitBreaker('vendor', { clock })
  const reasons: string[] = []
  const seen = started({ breaker, clock, onGiveUp: ({ reason }) => reasons.push(reason) })
  await clock.advance(100)
  breaker.trip('by somebody else')
  await clock.advance(1000)
  t.equal(seen.attemptsAtMs.length, 1)
  t.match(seen.settled, { code: 'ECONNREFUSED' })
  t.strictSame(reasons, ['open'])
})

t.test('a dependency that fails for everybody gets no more than its budget of retries', async (t) => {
  const budget = new RetryBudget({ ratio: 0.1, burst: 10 })
  const clock = new HandClock()
  let attempts = 0
  const calls = 500
  for (let call = 0; call < calls; call += 1) {
    retry(
      () => {
        attempts += 1
        throw down()
      },
      { clock, budget, attempts: 4 },
    ).catch(() => {})
  }
  await clock.advance(60_000)
  t.equal(attempts, calls + 10)
  for (let call = 0; call < 110; call += 1) await retry(() => 'well', { clock, budget })
  t.match(budget.snapshot(), { successes: 110, tokens: 10, retries: 10 })
})

t.test('a retry that cannot happen costs the budget nothing', async (t) => {
  const budget = new RetryBudget()
  const seen = started({ budget, deadlineMs: 10 })
  await seen.clock.advance(0)
  t.equal(budget.snapshot().retries, 0)
})

t.test('every failed attempt is in the error log of the service', async (t) => {
  const errorLog = new ErrorLog()
  const seen = started({ errorLog, name: 'notification' })
  await seen.clock.advance(10_000)
  t.match(errorLog.summary('notification'), { total: 3, kinds: [{ kind: 'ECONNREFUSED', total: 3 }] })
})

const wrong: RetryOptions[] = [
  { attempts: 0 },
  { baseMs: -1 },
  { factor: 0.5 },
  { maxBackoffMs: Number.NaN },
  { maxRetryAfterMs: Number.POSITIVE_INFINITY },
  { attemptTimeoutMs: -1 },
  { deadlineMs: Number.NaN },
  { budget: {} as RetryBudget },
  { breaker: {} as CircuitBreaker },
  { retryIf: 'yes' as never },
  { errorLog: {} as ErrorLog },
  { name: '' },
  { attempt: 3 } as RetryOptions,
]
for (const options of wrong) {
  t.test(
    `${Object.keys(options)}: ${Object.values(options)} is refused, and nothing is started`,
    async (t) => {
      let ran = false
      const call = retry(() => {
        ran = true
      }, options)
      await t.rejects(call, { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_INVALID_OPTION' })
      t.equal(ran, false)
    },
  )
}
