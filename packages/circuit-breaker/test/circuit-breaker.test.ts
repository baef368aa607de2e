import { execFileSync } from 'node:child_process'
import diagnostics from 'node:diagnostics_channel'
import { getEventListeners } from 'node:events'
import { HandClock, QueryBuilder } from '@holdfast/test-kit'
import t from 'tap'
import { CircuitBreaker, type CircuitBreakerOptions, type Transition, withOutcome } from '../src/index.ts'

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

/** Opens the breaker by its failures. */
async function open(breaker: CircuitBreaker): Promise<void> {
  while (breaker.state !== 'open') await breaker.execute(boom).catch(() => {})
}

t.test('a success from before the opening neither closes nor counts (opossum closes)', async (t) => {
  const { clock, breaker } = onHandClock({ failureThreshold: 2, openMs: 100 })
  const early = breaker.tryAcquire()
  await open(breaker)
  await clock.advance(100)
  const probe = breaker.tryAcquire()
  t.equal(probe?.probe, true)
  if (early !== undefined) breaker.settle(early, 'success')
  t.equal(breaker.state, 'half-open')
  t.equal(breaker.snapshot().counts.stale, 1)
  if (probe !== undefined) breaker.settle(probe, 'failure')
  t.equal(breaker.state, 'open')
})

t.test(
  'refused calls dilute nothing: it opens again at once after an outage (opossum needs 197)',
  async (t) => {
    const { clock, breaker } = onHandClock({
      failureThreshold: Number.POSITIVE_INFINITY,
      minimumCalls: 2,
      openMs: 100,
      rampMs: 0,
    })
    await open(breaker)
    for (let call = 0; call < 200; call += 1) t.equal(breaker.tryAcquire(), undefined)
    await clock.advance(100)
    await breaker.execute(async () => 1)
    t.equal(breaker.state, 'closed')
    t.match(breaker.snapshot().window, { calls: 0, failures: 0 })
    await breaker.execute(boom).catch(() => {})
    await breaker.execute(boom).catch(() => {})
    t.equal(breaker.state, 'open')
  },
)

t.test('a rate of 1 opens when every call fails (opossum never does at 100)', async (t) => {
  const { breaker } = onHandClock({ failureThreshold: Number.POSITIVE_INFINITY, failureRate: 1 })
  for (let call = 1; call <= 20; call += 1) {
    t.equal(breaker.state, 'closed')
    await breaker.execute(boom).catch(() => {})
  }
  t.equal(breaker.state, 'open')
  t.equal(breaker.snapshot().reason, '20 of 20 calls failed within 10000 ms')
})

t.test(
  'failures that alternate with successes open it by their share (@fastify/circuit-breaker never)',
  async (t) => {
    const { breaker } = onHandClock()
    for (let call = 0; call < 19; call += 1) {
      await breaker.execute(async () => call % 2 === 0 && Promise.reject(new Error('boom'))).catch(() => {})
    }
    t.equal(breaker.state, 'closed', 'too few calls to judge')
    await breaker.execute(async () => 1)
    t.equal(breaker.state, 'open', '10 of 20 is the half, which is enough')
  },
)

t.test(
  "a probe that hangs loses its place, and its late result is nobody's (cockatiel, opossum: for ever)",
  async (t) => {
    const { clock, breaker } = onHandClock({ openMs: 100, probeLeaseMs: 50 })
    await open(breaker)
    await clock.advance(100)
    const { promise, resolve } = Promise.withResolvers<string>()
    const hung = breaker.execute(() => promise)
    await t.rejects(breaker.execute(boom), {
      code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_OPEN',
      reason: 'probing',
      retryAfterMs: 50,
    })
    await clock.advance(50)
    const next = breaker.tryAcquire()
    t.equal(next?.probe, true)
    resolve('late')
    t.equal(await hung, 'late')
    t.equal(breaker.state, 'half-open')
    t.equal(breaker.snapshot().counts.probesLost, 1)
  },
)

t.test(
  '200 callers of a half-open breaker are refused at once, and few follow the probe (cockatiel: 199)',
  async (t) => {
    const { clock, breaker } = onHandClock({ openMs: 100, rampMs: 1000, random: () => 0.5 })
    await open(breaker)
    await clock.advance(100)
    const probe = breaker.tryAcquire()
    for (let caller = 0; caller < 200; caller += 1) t.equal(breaker.tryAcquire(), undefined)
    if (probe !== undefined) breaker.settle(probe, 'success')
    const admitted = () => Array.from({ length: 200 }, () => breaker.tryAcquire()).filter(Boolean)
    t.equal(admitted().length, 1, 'the share is below one half')
    await t.rejects(breaker.execute(boom), {
      code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_OPEN',
      reason: 'ramp',
      retryAfterMs: 1000,
    })
    await clock.advance(500)
    t.equal(admitted().length, 200)
    t.match(breaker.snapshot(), { state: 'closed', rampShare: 0.55, openings: 1 })
    await clock.advance(500)
    t.equal(admitted().length, 200)
    t.match(breaker.snapshot(), { rampShare: 1, openings: 0 })
  },
)

t.test("one call that times out aborts its own signal and no other (opossum: everybody's)", async (t) => {
  const { clock, breaker } = onHandClock()
  const signals: AbortSignal[] = []
  const { promise, resolve } = Promise.withResolvers<number>()
  const work = ({ signal }: { signal: AbortSignal }) => {
    signals.push(signal)
    return promise
  }
  const short = t.rejects(breaker.execute(work, { timeoutMs: 10 }), { name: 'FastifyError' })
  const long = breaker.execute(work, { timeoutMs: 100 })
  const free = breaker.execute(work)
  await clock.advance(10)
  await short
  t.strictSame(
    signals.map(({ aborted }) => aborted),
    [true, false, false],
  )
  resolve(7)
  t.strictSame(await Promise.all([long, free]), [7, 7])
  t.equal(clock.pendingTimers, 0)
})

t.test(
  'work may return undefined, nothing at all or a plain value (opossum rejects undefined)',
  async (t) => {
    const { breaker } = onHandClock()
    t.equal(await breaker.execute(() => undefined), undefined)
    t.equal(await breaker.execute(async () => {}), undefined)
    t.equal(await breaker.execute(() => 0, { timeoutMs: 5 }), 0)
  },
)

t.test('falsy rejections and synchronous throws are failures, and arrive as they are', async (t) => {
  const { breaker } = onHandClock()
  for (const thrown of [undefined, null, 0, '', false]) {
    const outcome = await breaker
      .execute(() => Promise.reject(thrown))
      .then(
        () => 'answered',
        (error: unknown) => ({ error }),
      )
    t.strictSame(outcome, { error: thrown })
  }
  t.match(breaker.snapshot(), { state: 'open', counts: { failed: 5 } })
  const other = onHandClock().breaker
  const sync = () => {
    throw new Error('at once')
  }
  await t.rejects(other.execute(sync), { message: 'at once' })
  await t.rejects(other.execute(sync, { timeoutMs: 5 }), { message: 'at once' })
  t.equal(other.snapshot().counts.failed, 2)
})

t.test('what the caller did wrong, its leaving and refusals elsewhere open nothing', async (t) => {
  const { breaker } = onHandClock({ failureThreshold: 1 })
  const inner = onHandClock().breaker
  inner.trip('a test')
  for (const error of [
    Object.assign(new Error('not found'), { statusCode: 404 }),
    Object.assign(new Error('too many'), { status: 429 }),
    new DOMException('left', 'AbortError'),
    withOutcome(new Error('the bulkhead is full'), 'ignored'),
  ]) {
    await breaker.execute(() => Promise.reject(error)).catch(() => {})
  }
  await breaker.execute(() => inner.execute(boom)).catch(() => {})
  t.match(breaker.snapshot(), { state: 'closed', counts: { succeeded: 1, failed: 0, ignored: 4 } })
  const odd = Object.assign(new Error('no code at all'), { name: 'AbortError' })
  await breaker.execute(() => Promise.reject(odd)).catch(() => {})
  t.equal(breaker.state, 'open', 'a broken connection of a redis client')
})

t.test(
  "the caller who leaves is answered at once; a caller's time-out is a failure, leaving is none",
  async (t) => {
    const { breaker } = onHandClock()
    for (const [reason, failed] of [
      [undefined, 0],
      ['gone', 0],
      [new DOMException('late', 'TimeoutError'), 1],
      [Object.assign(new Error('late'), { code: 'FST_ERR_HANDLER_TIMEOUT' }), 2],
    ] as const) {
      const controller = new AbortController()
      const call = breaker.execute(() => new Promise(() => {}), { signal: controller.signal })
      controller.abort(reason)
      await t.rejects(call, {
        code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_ABORTED',
        name: 'AbortError',
        cause: controller.signal.reason,
      })
      t.equal(breaker.snapshot().counts.failed, failed)
      await t.rejects(
        breaker.execute(async () => t.fail('the work ran'), { signal: controller.signal }),
        { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_ABORTED' },
      )
    }
  },
)

t.test('callers that leave a dependency that hangs count as slow calls', async (t) => {
  const { clock, breaker } = onHandClock({ slowCallMs: 100, minimumCalls: 4 })
  for (let call = 0; call < 4; call += 1) {
    const controller = new AbortController()
    const left = breaker.execute(() => new Promise(() => {}), { signal: controller.signal })
    await clock.advance(100)
    controller.abort()
    await left.catch(() => {})
  }
  t.match(breaker.snapshot(), { state: 'open', reason: '4 of 4 calls were slow within 10000 ms' })
})

t.test('a slow probe is no good probe', async (t) => {
  const { clock, breaker } = onHandClock({ slowCallMs: 50, openMs: 100, openJitter: 0 })
  await open(breaker)
  await clock.advance(100)
  const probe = breaker.tryAcquire()
  await clock.advance(50)
  if (probe !== undefined) breaker.settle(probe, 'success')
  t.match(breaker.snapshot(), { state: 'open', reason: 'a probe was slow', retryAfterMs: 200 })
})

t.test('a thousand calls on one long-lived signal leave no listener', async (t) => {
  const { clock, breaker } = onHandClock({ failureThreshold: Number.POSITIVE_INFINITY, failureRate: 1 })
  const { signal } = new AbortController()
  for (let call = 0; call < 1000; call += 1) {
    await breaker.execute(call % 2 === 0 ? boom : () => call, { signal, timeoutMs: 50 }).catch(() => {})
  }
  const late = t.rejects(breaker.execute(() => new Promise(() => {}), { signal, timeoutMs: 50 }))
  t.equal(getEventListeners(signal, 'abort').length, 1)
  await clock.advance(50)
  await late
  t.equal(getEventListeners(signal, 'abort').length, 0)
  t.equal(clock.pendingTimers, 0)
})

t.test('a signal is made when it is asked for, and has aborted when it is asked for late', async (t) => {
  const { clock, breaker } = onHandClock({ timeoutMs: 10 })
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const call = t.rejects(
    breaker.execute(async (context) => {
      await clock.advance(10)
      resolve(context.signal.aborted)
    }),
    { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_TIMEOUT' },
  )
  t.equal(await promise, true)
  await call
  t.match(breaker.snapshot().counts, { timedOut: 1, failed: 1 })
})

t.test('the deadline of a caller ends the call; one that has passed starts none', async (t) => {
  const { clock, breaker } = onHandClock({ timeoutMs: 100 })
  const call = t.rejects(
    breaker.execute(() => new Promise(() => {}), { deadlineMs: clock.nowMs() + 40 }),
    {
      code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_DEADLINE',
      statusCode: 504,
    },
  )
  await clock.advance(40)
  await call
  const never = async () => t.fail('the work ran')
  await t.rejects(breaker.execute(never, { deadlineMs: clock.nowMs() }), {
    code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_DEADLINE',
  })
  await t.rejects(breaker.execute(never, { timeoutMs: 0 }), { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_TIMEOUT' })
  for (const wrong of [{ timeoutMs: Number.NaN }, { deadlineMs: Number.NaN }]) {
    await t.rejects(breaker.execute(never, wrong), { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_INVALID_OPTION' })
  }
  t.match(breaker.snapshot().counts, { failed: 1, timedOut: 0 })
})

t.test('a fallback answers for refusals and failures, not for answers', async (t) => {
  const { breaker } = onHandClock({
    failureThreshold: 1,
    classifyValue: (value) => (value === 503 ? 'failure' : 'success'),
  })
  const fallback = (reason: unknown) => (reason instanceof Error ? reason.message : 'nothing')
  const missing = Object.assign(new Error('missing'), { statusCode: 404 })
  await t.rejects(
    breaker.execute(() => Promise.reject(missing), { fallback }),
    missing,
  )
  t.equal(await breaker.execute(boom, { fallback }), 'boom')
  t.match(await breaker.execute(boom, { fallback }), /does not let this call through/)
  t.equal(breaker.snapshot().counts.fellBack, 2)
  const other = onHandClock({
    failureThreshold: 1,
    classifyValue: (value) => (value === 503 ? 'failure' : 'success'),
  })
  t.equal(await other.breaker.execute(() => 503), 503, 'a value is handed on, whatever it says')
  t.equal(other.breaker.state, 'open')
})

t.test('a classifier that throws or says nonsense has seen a failure', async (t) => {
  for (const classifyError of [
    () => {
      throw new Error('a bug')
    },
    () => 'perhaps' as 'success',
  ]) {
    const { breaker } = onHandClock({ failureThreshold: 1, classifyError })
    await t.rejects(breaker.execute(boom), { message: 'boom' })
    t.equal(breaker.state, 'open')
  }
})

t.test('the open time grows, shorter by chance and never above its maximum, until it was well', async (t) => {
  const { clock, breaker } = onHandClock({ openMs: 100, maxOpenMs: 300, random: () => 0.5, rampMs: 1000 })
  await open(breaker)
  for (const openMs of [100, 190, 285, 285]) {
    t.equal(breaker.retryAfterMs(), openMs)
    await clock.advance(openMs)
    t.equal(breaker.retryAfterMs(), 0)
    await breaker.execute(boom).catch(() => {})
  }
  await clock.advance(285)
  await breaker.execute(async () => 1)
  await clock.advance(1000)
  await open(breaker)
  t.equal(breaker.retryAfterMs(), 100)
})

t.test('several probes run side by side and all must succeed', async (t) => {
  const { clock, breaker } = onHandClock({ openMs: 100, probes: 3 })
  await open(breaker)
  await clock.advance(100)
  const [first, second, third, fourth] = [1, 2, 3, 4].map(() => breaker.tryAcquire())
  t.equal(fourth, undefined)
  for (const probe of [first, second]) if (probe !== undefined) breaker.settle(probe, 'success')
  t.equal(breaker.tryAcquire(), undefined, 'two are done, one runs')
  if (third !== undefined) {
    breaker.settle(third, 'ignored')
    t.equal(breaker.state, 'half-open')
  }
  t.equal(breaker.retryAfterMs(), 0, 'who said nothing gives its place back')
  const last = breaker.tryAcquire()
  if (last !== undefined) {
    breaker.settle(last, 'success')
    breaker.settle(last, 'failure')
  }
  t.equal(breaker.state, 'closed', 'settled once')
})

t.test('where the owner probes, calls never do', async (t) => {
  const { clock, breaker } = onHandClock({ openMs: 100, probing: 'manual', rampMs: 0, probeLeaseMs: 50 })
  t.equal(breaker.tryAcquireProbe()?.probe, false, 'closed: a call like any other')
  breaker.trip('the ping failed')
  await clock.advance(1000)
  t.equal(breaker.state, 'open')
  t.equal(breaker.tryAcquire(), undefined)
  t.equal(breaker.retryAfterMs(), 1)
  const probe = breaker.tryAcquireProbe()
  t.equal(breaker.state, 'half-open')
  t.equal(breaker.tryAcquireProbe(), undefined)
  t.equal(breaker.tryAcquire(), undefined)
  t.equal(breaker.retryAfterMs(), 50)
  if (probe !== undefined) breaker.settle(probe, 'ignored')
  t.equal(breaker.retryAfterMs(), 1)
  const again = breaker.tryAcquireProbe()
  if (again !== undefined) breaker.settle(again, 'success')
  t.equal(breaker.state, 'closed')
})

t.test('holds keep it open until the last is released; then probes decide', async (t) => {
  const { breaker } = onHandClock()
  const first = breaker.hold('pool', 'pressed')
  const second = breaker.hold('pool', 'pressed')
  t.match(breaker.snapshot(), { state: 'open', held: [{ source: 'pool', reason: 'pressed' }, {}] })
  await t.rejects(breaker.execute(boom), {
    code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_OPEN',
    reason: 'held',
    retryAfterMs: 60_000,
  })
  t.equal(breaker.tryAcquireProbe(), undefined)
  first()
  first()
  t.equal(breaker.state, 'open')
  second()
  t.equal(breaker.state, 'half-open')
  await breaker.execute(async () => 1)
  t.equal(breaker.state, 'closed')
})

t.test('a hold changes nothing about the open time of a breaker that is open', async (t) => {
  const { clock, breaker } = onHandClock()
  breaker.trip('first')
  const release = breaker.hold('pool', 'pressed')
  await clock.advance(20_000)
  release()
  t.match(breaker.snapshot(), { state: 'open', retryAfterMs: 40_000, reason: 'first' })
  breaker.trip('again')
  t.match(breaker.snapshot(), { retryAfterMs: 60_000, reason: 'again' })
})

t.test('a breaker is held a hundred times, and no more', async (t) => {
  const { breaker } = onHandClock()
  for (let hold = 0; hold < 99; hold += 1) breaker.hold('pool', 'x'.repeat(1000))
  const end = breaker.isolate('maintenance')
  t.throws(() => breaker.hold('pool', 'pressed'), { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_HOLDS_FULL' })
  t.throws(() => breaker.isolate('more'), { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_HOLDS_FULL' })
  t.equal(breaker.snapshot().held[0]?.reason.length, 500)
  end()
  breaker.hold('pool', 'pressed')
})

t.test(
  'a breaker in the shadow counts and decides, and refuses nobody but when it is isolated',
  async (t) => {
    const { clock, breaker } = onHandClock({ shadow: true, openMs: 100 })
    await open(breaker)
    await t.rejects(breaker.execute(boom), { message: 'boom' })
    t.equal(await breaker.execute(async () => 1), 1)
    t.match(breaker.snapshot(), {
      state: 'open',
      disabled: true,
      retryAfterMs: 0,
      counts: { unjudged: 2, stale: 0 },
    })
    const end = breaker.isolate('maintenance')
    await t.rejects(breaker.execute(boom), { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_OPEN', reason: 'isolated' })
    t.strictSame(breaker.snapshot().isolated, ['maintenance'])
    end()
    await clock.advance(100)
    await breaker.execute(async () => 1)
    t.equal(breaker.state, 'closed')
  },
)

t.test('a disabled breaker refuses again when it is enabled', async (t) => {
  const { breaker } = onHandClock()
  const enable = breaker.disable()
  await open(breaker)
  t.ok(breaker.tryAcquire())
  enable()
  enable()
  t.equal(breaker.tryAcquire(), undefined)
})

t.test('listeners are told every change, and what they throw breaks no call', async (t) => {
  const told: Transition[] = []
  const { clock, breaker } = onHandClock({
    failureThreshold: 1,
    onTransition(transition) {
      told.push(transition)
      throw new Error('a bug')
    },
  })
  const published: unknown[] = []
  const listen = (message: unknown) => published.push(message)
  diagnostics.subscribe('holdfast:circuit-breaker:transition', listen)
  t.teardown(() => diagnostics.unsubscribe('holdfast:circuit-breaker:transition', listen))
  const warned: Error[] = []
  const warn = (warning: Error) => warned.push(warning)
  process.on('warning', warn)
  t.teardown(() => process.off('warning', warn))
  await t.rejects(breaker.execute(boom), { message: 'boom' })
  await clock.advance(60_000)
  t.equal(await breaker.execute(async () => 1), 1)
  breaker.hold('pool', 'pressed')
  breaker.isolate('unseen: it is open already')
  t.strictSame(
    told.map(({ from, to, cause, reason, retryAfterMs }) => [from, to, cause, reason, retryAfterMs]),
    [
      ['closed', 'open', 'consecutive-failures', '1 failures in a row', 60_000],
      ['open', 'half-open', 'probing', 'the open time is over; probes find out whether it is well', 0],
      ['half-open', 'closed', 'probes-succeeded', '1 of 1 probes succeeded', 0],
      ['closed', 'open', 'held', 'pressed', 60_000],
    ],
  )
  t.strictSame(published, told)
  t.equal(told[1]?.wallMs, 1_700_000_060_000)
  t.match(warned[0]?.message, /onTransition of circuit breaker "quotes" threw: a bug/)
})

t.test('a breaker that is closed for good refuses, and late results tell nobody', async (t) => {
  let told = 0
  const { breaker } = onHandClock({ failureThreshold: 1, onTransition: () => (told += 1) })
  const permit = breaker.tryAcquire()
  const { promise, resolve } = Promise.withResolvers<number>()
  const running = breaker.execute(() => promise)
  const release = breaker.hold('pool', 'pressed')
  told = 0
  breaker.close()
  await t.rejects(breaker.execute(boom), { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_CLOSED', statusCode: 503 })
  t.equal(await breaker.execute(boom, { fallback: () => 'instead' }), 'instead')
  t.equal(breaker.tryAcquire(), undefined)
  t.equal(breaker.tryAcquireProbe(), undefined)
  release()
  breaker.hold('pool', 'pressed')()
  breaker.trip('late')
  if (permit !== undefined) breaker.settle(permit, 'failure')
  resolve(5)
  t.equal(await running, 5)
  t.equal(told, 0)
})

t.test('a query builder, which runs its query at every then(), is asked once', async (t) => {
  for (const options of [undefined, { timeoutMs: 5 }]) {
    const { breaker } = onHandClock()
    const builder = new QueryBuilder(() => 7)
    t.equal(await breaker.execute(() => builder, options), 7)
    t.equal(builder.runs, 1)
  }
})

t.test('the stack of an error still names who made the call', async (t) => {
  const { breaker } = onHandClock()
  const work = async () => {
    await undefined
    throw new Error('boom')
  }
  async function whoMadeTheCall(): Promise<unknown> {
    return await breaker.execute(work)
  }
  const error = await whoMadeTheCall().catch((thrown: Error) => thrown)
  t.match(error, { message: 'boom', stack: /whoMadeTheCall/ })
})

t.test(
  'a process with nothing else to do gets its answer at the time-out, and then ends by itself',
  async (t) => {
    const code = `import { CircuitBreaker } from '@holdfast/circuit-breaker'
    const breaker = new CircuitBreaker('quotes', { timeoutMs: 30 })
    await breaker.execute(() => new Promise(() => {})).catch((error) => console.log(error.code))`
    const output = execFileSync(
      process.execPath,
      ['--conditions=@holdfast/source', '--input-type=module', '--eval', code],
      { encoding: 'utf8', cwd: import.meta.dirname },
    )
    t.equal(output, 'HOLDFAST_ERR_CIRCUIT_BREAKER_TIMEOUT\n')
  },
)
