import { HandClock } from '@holdfast/test-kit'
import t from 'tap'
import { CircuitBreaker, type CircuitBreakerOptions } from '../src/index.ts'

function onHandClock(options: CircuitBreakerOptions = {}) {
  const clock = new HandClock({ nowMs: 1_000 })
  return { clock, breaker: new CircuitBreaker('quotes', { clock, ...options }) }
}
const boom = () => Promise.reject(new Error('boom'))

t.test('opens on the fifth failure in a row, not before, and probes after a minute', async (t) => {
  const { clock, breaker } = onHandClock()
  for (let failure = 1; failure <= 5; failure += 1) {
    t.equal(breaker.state, 'closed')
    await t.rejects(breaker.execute(boom), { message: 'boom' })
  }
  t.equal(breaker.state, 'open')
  await t.rejects(
    breaker.execute(async () => t.fail('the work ran')),
    {
      code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_OPEN',
      statusCode: 503,
      retryAfterMs: 60_000,
      retryAfterSeconds: 60,
    },
  )
  await clock.advance(60_000)
  t.equal(breaker.state, 'half-open')
  t.equal(await breaker.execute(async () => 'well'), 'well')
  t.equal(breaker.state, 'closed')
})

t.test('answers at its time-out although the work goes on, and aborts the signal of the work', async (t) => {
  const { clock, breaker } = onHandClock({ timeoutMs: 100 })
  let given: AbortSignal | undefined
  const call = breaker.execute(({ signal }) => {
    given = signal
    return new Promise(() => {})
  })
  const rejected = t.rejects(call, { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_TIMEOUT', statusCode: 504 })
  await clock.advance(100)
  await rejected
  t.equal(given?.aborted, true)
  t.equal(clock.pendingTimers, 0)
})
