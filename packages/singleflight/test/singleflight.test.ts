import { AsyncLocalStorage } from 'node:async_hooks'
import diagnostics from 'node:diagnostics_channel'
import { HandClock } from '@holdfast/test-kit'
import t from 'tap'
import { type FlightContext, Singleflight, type SingleflightOptions } from '../src/index.ts'

/** A group under a hand-held clock, with work that ends when the test says so. */
function controlled(options: SingleflightOptions = {}) {
  const clock = new HandClock()
  const flights = new Singleflight({ clock, ...options })
  const started: {
    context: FlightContext
    land: (value: unknown) => void
    fail: (error: unknown) => void
  }[] = []
  const work = (context: FlightContext) => {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    started.push({ context, land: resolve, fail: reject })
    return promise
  }
  const flight = (index: number) => {
    const found = started[index]
    if (found === undefined) throw new Error(`flight ${index} was not started`)
    return found
  }
  return { clock, flights, work, started, flight }
}

const key = ['branding', 'acme'] as const

/** The rejection of a promise, as data. */
async function rejection(promise: Promise<unknown>): Promise<unknown> {
  const [result] = await Promise.allSettled([promise])
  if (result.status === 'fulfilled') throw new Error('expected a rejection')
  return result.reason
}

/** The code of the error a promise rejects with. */
async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return ((await rejection(promise)) as { code?: unknown }).code
}

t.test('fifty concurrent callers of one key cause one execution and get its value', async (t) => {
  const { flights, work, flight, started } = controlled()
  const calls = Array.from({ length: 50 }, () => flights.run(key, work))
  t.match(flights.snapshot(), { inFlight: 1, waiters: 50 })
  flight(0).land('value')
  t.strictSame(new Set(await Promise.all(calls)), new Set(['value']))
  t.equal(started.length, 1)
  t.match(flights.snapshot(), { executions: 1, joined: 49, inFlight: 0, waiters: 0, failed: 0 })
  t.equal(new Set(calls).size, 50, 'every caller has its own promise')
})

t.test('fifty concurrent callers of a failing key cause one execution and are all rejected', async (t) => {
  const { flights, work, flight, started, clock } = controlled()
  const calls = Array.from({ length: 50 }, (_, caller) =>
    flights.run(key, work, caller % 2 === 0 ? undefined : { timeoutMs: 100 }),
  )
  flight(0).fail(Object.assign(new Error('not there'), { statusCode: 404 }))
  const errors = await Promise.all(calls.map(rejection))
  t.equal(started.length, 1)
  t.ok(errors.every((error) => (error as { statusCode: number }).statusCode === 404))
  t.equal(clock.nowMs(), 0, 'rejected without any time passing')
  t.equal(clock.pendingTimers, 0, 'nothing is left behind')
  t.match(flights.snapshot(), { executions: 1, failed: 1, inFlight: 0, waiters: 0 })
})

t.test('work that ends before anybody else asks is started again by the next caller', async (t) => {
  const flights = new Singleflight()
  let runs = 0
  t.equal(await flights.run(key, () => ++runs), 1)
  t.equal(await flights.run(key, () => ++runs), 2)
  t.equal(flights.has(key), false)
})

t.test('work that throws at once is one execution for all who ask in the same tick', async (t) => {
  const flights = new Singleflight()
  let runs = 0
  const calls = Array.from({ length: 50 }, () =>
    flights.run(key, () => {
      runs += 1
      throw new TypeError('at once')
    }),
  )
  const errors = await Promise.all(calls.map(rejection))
  t.equal(runs, 1)
  t.ok(errors.every((error) => error instanceof TypeError && error.message === 'at once'))
})

for (const thrown of [undefined, null, 0, '', 'text']) {
  t.test(
    `a work that throws ${JSON.stringify(thrown) ?? 'undefined'} rejects every waiter with it`,
    async (t) => {
      const flights = new Singleflight()
      const work = async () => {
        throw thrown
      }
      const calls = [
        flights.run(key, work),
        flights.run(key, work),
        flights.run(key, work, { timeoutMs: 1000 }),
      ]
      const results = await Promise.allSettled(calls)
      t.strictSame(
        results,
        calls.map(() => ({ status: 'rejected', reason: thrown })),
      )
    },
  )
}

t.test('the first caller gets the thrown error itself, every other its own copy', async (t) => {
  const { flights, work, flight } = controlled()
  class NotFound extends Error {
    readonly statusCode = 404
  }
  const thrown = new NotFound('no such tenant')
  const calls = [flights.run(key, work), flights.run(key, work), flights.run(key, work, { timeoutMs: 50 })]
  flight(0).fail(thrown)
  const [leader, plain, patient] = await Promise.all(calls.map(rejection))
  t.equal(leader, thrown)
  for (const copy of [plain, patient]) {
    t.not(copy, thrown)
    t.ok(copy instanceof NotFound)
    t.match(copy, { message: 'no such tenant', statusCode: 404, stack: thrown.stack, cause: thrown })
  }
  Object.assign(plain as object, { requestId: 'mine' })
  t.notOk('requestId' in (patient as object) || 'requestId' in thrown)
})

t.test('with copyErrors: false all get the same error', async (t) => {
  const { flights, work, flight } = controlled({ copyErrors: false })
  const calls = [flights.run(key, work), flights.run(key, work), flights.run(key, work, { timeoutMs: 50 })]
  const thrown = new Error('same')
  flight(0).fail(thrown)
  t.strictSame(new Set(await Promise.all(calls.map(rejection))), new Set([thrown]))
})

t.test('without copyValue all get the same reference, with it every other caller its own', async (t) => {
  const shared = new Singleflight()
  const [a, b] = await Promise.all([shared.run(key, () => ({ n: 1 })), shared.run(key, () => ({ n: 2 }))])
  t.equal(a, b)
  const copied = new Singleflight({ copyValue: structuredClone })
  const work = () => ({ n: 1 })
  const [leader, plain, patient] = await Promise.all([
    copied.run(key, work),
    copied.run(key, work),
    copied.run(key, work, { timeoutMs: 1000 }),
  ])
  t.not(leader, plain)
  t.not(plain, patient)
  t.strictSame([leader, plain, patient], [{ n: 1 }, { n: 1 }, { n: 1 }])
})

t.test('a copyValue that throws rejects the callers it was for, and nobody else', async (t) => {
  const flights = new Singleflight({ copyValue: structuredClone })
  const work = () => () => 'a function cannot be cloned'
  const results = await Promise.allSettled([
    flights.run(key, work),
    flights.run(key, work),
    flights.run(key, work, { timeoutMs: 1000 }),
  ])
  t.strictSame(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'rejected'],
  )
})

t.test('a waiter whose signal aborts leaves alone, with its reason as the cause', async (t) => {
  const { flights, work, flight, started } = controlled()
  const controller = new AbortController()
  const stays = flights.run(key, work)
  const leaves = flights.run(key, work, { signal: controller.signal })
  const reason = new Error('client went away')
  controller.abort(reason)
  t.match(await rejection(leaves), {
    code: 'HOLDFAST_ERR_SINGLEFLIGHT_ABORTED',
    name: 'AbortError',
    cause: reason,
    statusCode: 499,
  })
  t.match(flights.snapshot(), { waiters: 1, abandoned: 0 })
  flight(0).land('for the other')
  t.equal(await stays, 'for the other')
  t.equal(started.length, 1)
})

t.test('the first caller has no privilege: it leaves, the work goes on for the others', async (t) => {
  const { flights, work, flight } = controlled({ whenAbandoned: 'abort' })
  const controller = new AbortController()
  const first = flights.run(key, work, { signal: controller.signal })
  const second = flights.run(key, work, { timeoutMs: 1000 })
  controller.abort()
  t.equal(await codeOf(first), 'HOLDFAST_ERR_SINGLEFLIGHT_ABORTED')
  t.equal(flight(0).context.signal.aborted, false)
  flight(0).land(1)
  t.equal(await second, 1)
})

t.test('each waiter has its own deadline, to the millisecond', async (t) => {
  const { flights, work, flight, clock } = controlled()
  const codes: unknown[] = []
  const note = (promise: Promise<unknown>) => promise.catch((error) => codes.push(error.code))
  const leader = note(flights.run(key, work, { timeoutMs: 10 }))
  const follower = note(flights.run(key, work, { timeoutMs: 20 }))
  const patient = flights.run(key, work)
  await clock.advance(9)
  t.strictSame(codes, [])
  await clock.advance(1)
  t.strictSame(codes, ['HOLDFAST_ERR_SINGLEFLIGHT_WAIT_TIMEOUT'])
  await clock.advance(10)
  t.strictSame(codes, ['HOLDFAST_ERR_SINGLEFLIGHT_WAIT_TIMEOUT', 'HOLDFAST_ERR_SINGLEFLIGHT_WAIT_TIMEOUT'])
  flight(0).land('late for two')
  t.equal(await patient, 'late for two')
  await Promise.all([leader, follower])
  t.equal(clock.pendingTimers, 0)
})

t.test('a spent budget or an aborted signal neither starts nor joins a flight', async (t) => {
  const { flights, work, started, flight } = controlled()
  const aborted = AbortSignal.abort('gone')
  t.equal(await codeOf(flights.run(key, work, { timeoutMs: 0 })), 'HOLDFAST_ERR_SINGLEFLIGHT_WAIT_TIMEOUT')
  t.equal(await codeOf(flights.run(key, work, { timeoutMs: -5 })), 'HOLDFAST_ERR_SINGLEFLIGHT_WAIT_TIMEOUT')
  t.equal(await codeOf(flights.run(key, work, { signal: aborted })), 'HOLDFAST_ERR_SINGLEFLIGHT_ABORTED')
  t.equal(
    await codeOf(flights.run(key, work, { timeoutMs: Number.NaN })),
    'HOLDFAST_ERR_SINGLEFLIGHT_INVALID_OPTION',
  )
  t.equal(started.length, 0)
  const call = flights.run(key, work)
  t.equal(await codeOf(flights.run(key, work, { timeoutMs: 0 })), 'HOLDFAST_ERR_SINGLEFLIGHT_WAIT_TIMEOUT')
  t.equal(await codeOf(flights.run(key, work, { signal: aborted })), 'HOLDFAST_ERR_SINGLEFLIGHT_ABORTED')
  t.match(flights.snapshot(), { executions: 1, joined: 0, waiters: 1 })
  flight(0).land(1)
  await call
})

t.test('a settled flight leaves neither timer nor listener on its waiters', async (t) => {
  const { flights, work, flight, clock } = controlled()
  const { signal } = new AbortController()
  const counted = { added: 0, removed: 0 }
  const add = signal.addEventListener.bind(signal)
  const remove = signal.removeEventListener.bind(signal)
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    counted.added += 1
    add(...args)
  }
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    counted.removed += 1
    remove(...args)
  }
  const calls = Array.from({ length: 10 }, () => flights.run(key, work, { signal, timeoutMs: 1000 }))
  flight(0).land(1)
  await Promise.all(calls)
  t.strictSame(counted, { added: 10, removed: 10 })
  t.equal(clock.pendingTimers, 0)
})

t.test('when the last waiter leaves, the work goes on by default and a newcomer joins it', async (t) => {
  const { flights, work, flight, clock, started } = controlled()
  const first = flights.run(key, work, { timeoutMs: 10 })
  const left = codeOf(first)
  await clock.advance(10)
  t.equal(await left, 'HOLDFAST_ERR_SINGLEFLIGHT_WAIT_TIMEOUT')
  t.match(flights.snapshot(), { abandoned: 1, inFlight: 1, waiters: 0 })
  const newcomer = flights.run(key, work)
  flight(0).land('still useful')
  t.equal(await newcomer, 'still useful')
  t.equal(started.length, 1)
})

t.test("with whenAbandoned: 'abort' the key is free before the signal aborts", async (t) => {
  const { flights, work, flight, started } = controlled({ whenAbandoned: 'abort' })
  const controller = new AbortController()
  const first = flights.run(key, work, { signal: controller.signal })
  let newcomer: Promise<unknown> | undefined
  flight(0).context.signal.addEventListener('abort', () => {
    newcomer = flights.run(key, work)
  })
  controller.abort()
  t.equal(await codeOf(first), 'HOLDFAST_ERR_SINGLEFLIGHT_ABORTED')
  t.match(flight(0).context.signal.reason, { code: 'HOLDFAST_ERR_SINGLEFLIGHT_ABANDONED' })
  t.equal(started.length, 2, 'who came during the abort started afresh')
  flight(0).fail(new Error('aborted work'))
  flight(1).land('fresh')
  t.equal(await newcomer, 'fresh')
  t.match(flights.snapshot(), { executions: 2, abandoned: 1, inFlight: 0 })
})

t.test('a forgotten flight answers its waiters and touches nothing of the second one', async (t) => {
  const { flights, work, flight, clock } = controlled({ errorTtlMs: 1000 })
  const first = flights.run(key, work)
  t.equal(flights.forget(key), true)
  t.equal(flights.has(key), false)
  const second = flights.run(key, work)
  t.equal(flights.has(key), true)
  flight(0).fail(new Error('the first fails late'))
  t.match(await rejection(first), { message: 'the first fails late' })
  t.equal(flights.has(key), true, 'it did not delete the second')
  const third = flights.run(key, work)
  flight(1).land('second')
  t.strictSame(await Promise.all([second, third]), ['second', 'second'])
  t.equal(clock.pendingTimers, 0)
  const fourth = flights.run(key, work)
  flight(2).land('no error was remembered')
  t.equal(await fourth, 'no error was remembered')
  t.match(flights.snapshot(), { executions: 3, forgotten: 1, errorsRemembered: 0 })
  t.equal(flights.forget(key), false)
})

t.test('an abandoned forgotten flight does not free the key of the second', async (t) => {
  const { flights, work, flight } = controlled({ whenAbandoned: 'abort' })
  const controller = new AbortController()
  const first = codeOf(flights.run(key, work, { signal: controller.signal }))
  flights.forget(key)
  const second = flights.run(key, work)
  controller.abort()
  t.equal(await first, 'HOLDFAST_ERR_SINGLEFLIGHT_ABORTED')
  t.equal(flights.has(key), true)
  flight(1).land(2)
  t.equal(await second, 2)
})

t.test('the hard time-out rejects everybody, and the key stays owned until the work settles', async (t) => {
  const { flights, work, flight, clock, started } = controlled({ hardTimeoutMs: 100 })
  const calls = [flights.run(key, work), flights.run(key, work), flights.run(key, work, { timeoutMs: 500 })]
  const codes = Promise.all(calls.map(codeOf))
  await clock.advance(100)
  t.strictSame(new Set(await codes), new Set(['HOLDFAST_ERR_SINGLEFLIGHT_FLIGHT_TIMEOUT']))
  t.equal(flight(0).context.signal.aborted, false)
  const newcomers = Array.from({ length: 10 }, () => flights.run(key, work))
  t.equal(started.length, 1, 'no second execution while the first is in the air')
  t.match(flights.snapshot(), { inFlight: 1, timedOut: 1, waiters: 10, oldestFlightMs: 100 })
  flight(0).land('late')
  t.strictSame(new Set(await Promise.all(newcomers)), new Set(['late']))
  t.equal(flights.has(key), false)
  t.equal(clock.pendingTimers, 0)
})

t.test(
  'who joins an overdue flight waits at most the hard time-out, and its leaving frees nothing',
  async (t) => {
    const { flights, work, clock } = controlled({
      hardTimeoutMs: 100,
      maxFlightMs: 1000,
      whenAbandoned: 'abort',
    })
    const first = codeOf(flights.run(key, work))
    await clock.advance(100)
    t.equal(await first, 'HOLDFAST_ERR_SINGLEFLIGHT_FLIGHT_TIMEOUT')
    const newcomer = codeOf(flights.run(key, work))
    await clock.advance(100)
    t.equal(await newcomer, 'HOLDFAST_ERR_SINGLEFLIGHT_WAIT_TIMEOUT')
    t.equal(flights.has(key), true)
    t.equal(flights.snapshot().abandoned, 0)
  },
)

t.test(
  'work that never settles is given up at maxFlightMs: signal aborted, key free, late result ignored',
  async (t) => {
    const { flights, work, flight, clock, started } = controlled({ hardTimeoutMs: 100, maxFlightMs: 250 })
    const first = codeOf(flights.run(key, work))
    await clock.advance(200)
    t.equal(await first, 'HOLDFAST_ERR_SINGLEFLIGHT_FLIGHT_TIMEOUT')
    const waiting = rejection(flights.run(key, work))
    await clock.advance(50)
    t.match(await waiting, {
      code: 'HOLDFAST_ERR_SINGLEFLIGHT_FLIGHT_TIMEOUT',
      message: /maxFlightMs = 250 ms/,
    })
    t.equal(flight(0).context.signal.aborted, true)
    t.match(flights.snapshot(), { inFlight: 0, givenUp: 1, timedOut: 1 })
    const second = flights.run(key, work)
    t.equal(started.length, 2)
    flight(0).land('from the past')
    await clock.advance(0)
    t.equal(flights.has(key), true)
    flight(1).land('second')
    t.equal(await second, 'second')
    t.equal(clock.pendingTimers, 0)
  },
)

t.test('giving up a forgotten flight leaves the key of the second alone', async (t) => {
  const { flights, work, clock } = controlled({ hardTimeoutMs: 100, maxFlightMs: 150 })
  const first = codeOf(flights.run(key, work))
  flights.forget(key)
  await clock.advance(60)
  const second = codeOf(flights.run(key, work))
  await clock.advance(90)
  t.equal(await first, 'HOLDFAST_ERR_SINGLEFLIGHT_FLIGHT_TIMEOUT')
  t.match(flights.snapshot(), { givenUp: 1, inFlight: 1 })
  t.equal(flights.has(key), true)
  flights.close()
  t.equal(await second, 'HOLDFAST_ERR_SINGLEFLIGHT_CLOSED')
})

t.test('with infinite limits no timer is set and the flight waits for its work', async (t) => {
  const { flights, work, flight, clock } = controlled({ hardTimeoutMs: Number.POSITIVE_INFINITY })
  const call = flights.run(key, work)
  t.equal(clock.pendingTimers, 0)
  await clock.advance(10_000_000)
  flight(0).land('at last')
  t.equal(await call, 'at last')
  const endless = controlled({ hardTimeoutMs: 10, maxFlightMs: Number.POSITIVE_INFINITY })
  const rejected = codeOf(endless.flights.run(key, endless.work))
  await endless.clock.advance(10)
  t.equal(await rejected, 'HOLDFAST_ERR_SINGLEFLIGHT_FLIGHT_TIMEOUT')
  t.equal(endless.clock.pendingTimers, 0)
})

t.test('10,000 keys fly at once, and the next is refused with a hint until one lands', async (t) => {
  const { flights, work, flight, started } = controlled()
  const calls = Array.from({ length: 10_000 }, (_, tenant) => flights.run(['branding', tenant], work))
  const refused = await rejection(flights.run(['branding', 'one too many'], work))
  t.match(refused, { code: 'HOLDFAST_ERR_SINGLEFLIGHT_FLIGHTS_FULL', statusCode: 503, retryAfterSeconds: 1 })
  t.match(flights.snapshot(), { inFlight: 10_000, waiters: 10_000, rejectedFull: 1 })
  flight(0).land(0)
  await calls[0]
  const late = flights.run(['branding', 'one too many'], work)
  for (const { land } of started) land(0)
  await Promise.all([...calls, late])
  t.match(flights.snapshot(), { inFlight: 0, waiters: 0, executions: 10_001 })
})

t.test('forgotten flights count against maxFlights', async (t) => {
  const { flights, work } = controlled({ maxFlights: 2 })
  const calls = [0, 1].map(() => {
    const call = codeOf(flights.run(key, work))
    flights.forget(key)
    return call
  })
  t.equal(await codeOf(flights.run(key, work)), 'HOLDFAST_ERR_SINGLEFLIGHT_FLIGHTS_FULL')
  flights.close()
  t.strictSame(await Promise.all(calls), [
    'HOLDFAST_ERR_SINGLEFLIGHT_CLOSED',
    'HOLDFAST_ERR_SINGLEFLIGHT_CLOSED',
  ])
})

t.test('one flight takes maxWaiters callers and refuses the next with a hint', async (t) => {
  const { flights, work, flight } = controlled({ maxWaiters: 3 })
  const calls = [flights.run(key, work), flights.run(key, work, { timeoutMs: 100 }), flights.run(key, work)]
  const refused = await rejection(flights.run(key, work))
  t.match(refused, { code: 'HOLDFAST_ERR_SINGLEFLIGHT_WAITERS_FULL', statusCode: 503, retryAfterSeconds: 1 })
  flight(0).land(1)
  t.strictSame(await Promise.all(calls), [1, 1, 1])
  t.equal(flights.snapshot().rejectedFull, 1)
})

t.test('errorTtlMs answers a failed key from its error until the window ends', async (t) => {
  const { flights, work, flight, clock, started } = controlled({ errorTtlMs: 500 })
  const first = rejection(flights.run(key, work))
  const thrown = new Error('source down')
  flight(0).fail(thrown)
  t.equal(await first, thrown)
  const copy = await rejection(flights.run(key, work))
  t.match(copy, { message: 'source down', cause: thrown })
  t.not(copy, thrown)
  await clock.advance(499)
  t.match(await rejection(flights.run(key, work)), { message: 'source down' })
  t.match(flights.snapshot(), { executions: 1, answeredFromError: 2, errorsRemembered: 1 })
  await clock.advance(1)
  const second = flights.run(key, work)
  t.equal(started.length, 2)
  flight(1).land('up again')
  t.equal(await second, 'up again')
})

t.test('forget drops a remembered error; errors without copies are handed on as they are', async (t) => {
  const { flights, work, flight } = controlled({ errorTtlMs: 500, copyErrors: false })
  const first = rejection(flights.run(key, work))
  flight(0).fail('down')
  t.equal(await first, 'down')
  t.equal(await rejection(flights.run(key, work)), 'down')
  t.equal(flights.forget(key), true)
  const second = flights.run(key, work)
  flight(1).land('up')
  t.equal(await second, 'up')
})

t.test('close rejects who waits and who comes, aborts the work and leaves no timer', async (t) => {
  const { flights, work, flight, clock } = controlled()
  const waiting = [flights.run(key, work), flights.run(key, work, { timeoutMs: 100 })].map(rejection)
  const { signal } = flight(0).context
  flights.close()
  for (const error of await Promise.all(waiting))
    t.match(error, { code: 'HOLDFAST_ERR_SINGLEFLIGHT_CLOSED', retryAfterSeconds: 1 })
  t.match(signal, { aborted: true, reason: { code: 'HOLDFAST_ERR_SINGLEFLIGHT_CLOSED' } })
  t.equal(await codeOf(flights.run(key, work)), 'HOLDFAST_ERR_SINGLEFLIGHT_CLOSED')
  t.equal(clock.pendingTimers, 0)
  flight(0).land('nobody cares')
  await clock.advance(0)
  t.match(flights.snapshot(), { closed: true, inFlight: 0, waiters: 0 })
  flights.close()
})

t.test('a bad key is a rejection, never a throw', async (t) => {
  const flights = new Singleflight()
  // @ts-expect-error a function is no key part
  t.equal(await codeOf(flights.run([() => 1], () => 1)), 'HOLDFAST_ERR_SINGLEFLIGHT_KEY_INVALID')
})

t.test('the work sees neither the context of the first caller nor of any other', async (t) => {
  const tenant = new AsyncLocalStorage<string>()
  const app = new AsyncLocalStorage<string>()
  const flights = app.run('the app', () => new Singleflight())
  const seen: unknown[] = []
  const work = async () => {
    seen.push(tenant.getStore(), app.getStore())
    await new Promise((resolve) => setImmediate(resolve))
    seen.push(tenant.getStore())
    return 'shared'
  }
  const call = (name: string) =>
    tenant.run(name, async () => {
      await flights.run(key, work)
      return tenant.getStore()
    })
  const contexts = await Promise.all(['alpha', 'beta', 'gamma'].map(call))
  t.strictSame(seen, [undefined, 'the app', undefined])
  t.strictSame(contexts, ['alpha', 'beta', 'gamma'], 'everybody goes on in its own context')
})

t.test('an abort reaches the work in its own context, not in that of who left last', async (t) => {
  const tenant = new AsyncLocalStorage<string>()
  const { flights, work, flight } = controlled({ whenAbandoned: 'abort' })
  const controller = new AbortController()
  const left = tenant.run('alpha', () => codeOf(flights.run(key, work, { signal: controller.signal })))
  let seen: unknown = 'not called'
  flight(0).context.signal.addEventListener('abort', () => {
    seen = tenant.getStore()
  })
  tenant.run('alpha', () => controller.abort())
  t.equal(await left, 'HOLDFAST_ERR_SINGLEFLIGHT_ABORTED')
  t.equal(seen, undefined)
})

t.test('work that waits for its own flight is told so instead of hanging', async (t) => {
  const flights = new Singleflight()
  const outer = flights.run(['a'], () => flights.run(['b'], () => flights.run(['a'], () => 'never')))
  t.equal(await codeOf(outer), 'HOLDFAST_ERR_SINGLEFLIGHT_REENTRANT')
  const nested = flights.run(['a'], () => flights.run(['b'], () => 'different keys nest'))
  t.equal(await nested, 'different keys nest')
})

t.test('work may join a flight that does not wait for it', async (t) => {
  const { flights, work, flight } = controlled()
  const other = flights.run(['b'], work)
  const outer = flights.run(['a'], () => flights.run(['b'], work))
  flight(0).land('b')
  t.strictSame(await Promise.all([other, outer]), ['b', 'b'])
})

t.test('the work is given its key, an id of its own and a signal that is made on demand', async (t) => {
  const { flights, work, flight } = controlled()
  const calls = [flights.run(['a'], work), flights.run(['b'], work)]
  t.strictSame(flight(0).context.key, ['a'])
  t.match(flight(0).context.flightId, /^flight-\d+$/)
  t.not(flight(0).context.flightId, flight(1).context.flightId)
  t.equal(flight(0).context.signal, flight(0).context.signal)
  flight(0).land(0)
  flight(1).land(0)
  await Promise.all(calls)
})

t.test('events tell of landings, overdue, given-up, abandoned and forgotten flights', async (t) => {
  const { flights, work, flight, clock } = controlled({ hardTimeoutMs: 100, maxFlightMs: 200 })
  const heard: [string, unknown][] = []
  for (const name of ['landed', 'overdue', 'given-up', 'abandoned', 'forgotten']) {
    const channel = `holdfast:singleflight:${name}`
    const listener = (message: unknown) => heard.push([name, message])
    diagnostics.subscribe(channel, listener)
    t.teardown(() => diagnostics.unsubscribe(channel, listener))
  }
  const encodedKey = '8:branding4:acme'
  const lands = flights.run(key, work)
  await clock.advance(7)
  flight(0).land(1)
  await lands
  const leaves = codeOf(flights.run(key, work, { timeoutMs: 10 }))
  await clock.advance(10)
  await leaves
  flights.forget(key)
  await clock.advance(190)
  t.match(heard, [
    ['landed', { encodedKey, durationMs: 7, failed: false, flightId: /^flight-/ }],
    ['abandoned', { encodedKey, waiters: 0 }],
    ['forgotten', { encodedKey, waiters: 0 }],
    ['overdue', { encodedKey, waiters: 0 }],
    ['given-up', { encodedKey, waiters: 0 }],
  ])
})

t.test('what the leader changes at once about its error or value does not reach the others', async (t) => {
  const flights = new Singleflight({ errorTtlMs: 1000, copyValue: structuredClone })
  for (const patience of [undefined, { timeoutMs: 1000 }]) {
    const key = ['failing', patience?.timeoutMs]
    const fail = async () => {
      throw new Error('failed')
    }
    const mark = (error: unknown) => Object.assign(error as Error, { requestId: 'of the leader' })
    const leader = flights.run(key, fail, patience).catch(mark)
    const followers = [undefined, { timeoutMs: 1000 }].map((own) =>
      flights.run(key, fail, own).catch((error) => error),
    )
    t.match(await leader, { requestId: 'of the leader' })
    const remembered = flights.run(key, fail).catch((error) => error)
    for (const error of await Promise.all([...followers, remembered])) {
      t.match(error, { message: 'failed' })
      t.notOk('requestId' in error)
    }
    const work = () => ({ rows: [1] })
    const first = flights.run(['value'], work, patience).then((value) => value.rows.push(2))
    const second = flights.run(['value'], work)
    await first
    t.strictSame(await second, { rows: [1] })
  }
})
