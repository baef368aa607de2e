/** What callers and their listeners do wrong must not be taken for the dependency's failure, nor end the process. */
import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import { HandClock, QueryBuilder } from '@holdfast/test-kit'
import t from 'tap'
import { Bulkhead } from '../src/bulkhead.ts'
import { CircuitBreaker } from '../src/circuit-breaker.ts'
import { CircuitBreakers } from '../src/circuit-breakers.ts'
import { ErrorLog } from '../src/error-log.ts'
import { retry } from '../src/retry.ts'
import { timeout } from '../src/timeout.ts'
import { guarded, survives } from './guarded-app.ts'

const invalid = { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_INVALID_OPTION' }
const boom = () => Promise.reject(new Error('boom'))

for (const options of [
  { timeout: 5 },
  { timeoutMs: '5' },
  { timeoutMs: Number.NaN },
  { deadlineMs: 'soon' },
  { signal: {} },
  { fallback: 5 },
]) {
  const given = inspect(options)
  t.test(`a call with ${given} is refused, and counts nowhere`, async (t) => {
    const breaker = new CircuitBreaker('quotes', { failureThreshold: 1 })
    await t.rejects(
      breaker.execute(() => t.fail('the work ran'), options as never),
      invalid,
    )
    t.match(breaker.snapshot(), { state: 'closed', counts: { failed: 0, succeeded: 0 } })
  })
}

t.test('a promise in place of the work is refused, and counts nowhere', async (t) => {
  const breaker = new CircuitBreaker('quotes', { failureThreshold: 1 })
  await t.rejects(breaker.execute(Promise.resolve(1) as never), invalid)
  await t.rejects(breaker.execute(Promise.resolve(1) as never, { timeoutMs: 5 }), invalid)
  t.equal(breaker.state, 'closed')
})

for (const options of [
  { deadlineMs: Number.NaN },
  { deadlineMs: 'soon' },
  { signal: {} },
  { timeoutMS: 5 },
]) {
  t.test(`${inspect(options)} is refused by a bulkhead, a time-out and a retry`, async (t) => {
    const bulkhead = new Bulkhead('quotes')
    await t.rejects(bulkhead.acquire(options as never), invalid)
    await t.rejects(
      timeout(() => 1, options as never),
      invalid,
    )
    await t.rejects(
      retry(() => 1, options as never),
      invalid,
    )
    t.equal(bulkhead.snapshot().running, 0)
  })
}

t.test('a registry takes in breakers alone', async (t) => {
  const breakers = new CircuitBreakers()
  for (const junk of [undefined, null, { name: 'quotes' }])
    t.throws(() => breakers.add(junk as never), invalid)
  t.strictSame(breakers.list(), [])
})

t.test('a listener that isolates or trips a breaker as it begins to probe has the last word', async (t) => {
  const clock = new HandClock()
  const isolated: CircuitBreaker = new CircuitBreaker('isolated', {
    clock,
    openMs: 10,
    onTransition: ({ to }) => {
      if (to === 'half-open') isolated.isolate('by the listener')
    },
  })
  const tripped: CircuitBreaker = new CircuitBreaker('tripped', {
    clock,
    openMs: 10,
    onTransition: ({ to }) => {
      if (to === 'half-open') tripped.trip('by the listener')
    },
  })
  for (const breaker of [isolated, tripped]) breaker.trip('down')
  await clock.advance(10)
  for (const breaker of [isolated, tripped]) {
    t.equal(breaker.tryAcquire(), undefined)
    t.equal(breaker.state, 'open')
  }
  t.equal(isolated.tryAcquireProbe(), undefined)
})

t.test('a listener that is rejected, or throws what has no text, is a warning', async (t) => {
  survives(t)
  const warned: string[] = []
  const warn = ({ message }: Error) => warned.push(message)
  process.on('warning', warn)
  t.teardown(() => process.off('warning', warn))
  const listeners: (() => unknown)[] = [
    async () => Promise.reject(new Error('later')),
    () => {
      throw Object.create(null)
    },
  ]
  for (const onTransition of listeners) new CircuitBreaker('quotes', { onTransition }).trip('down')
  for (const onRetry of listeners) {
    let asked = 0
    const work = () => {
      asked += 1
      return boom()
    }
    await t.rejects(retry(work, { attempts: 2, baseMs: 0, onRetry, onGiveUp: onRetry }), { message: 'boom' })
    t.equal(asked, 2)
  }
  await sleep(5)
  t.match(warned, [/quotes" threw: object/, /quotes" threw: later/])
  t.equal(warned.length, 6)
})

t.test('an error that cannot be described is counted all the same', async (t) => {
  const failing = {
    get code() {
      throw new Error('a getter')
    },
  }
  const log = new ErrorLog()
  log.record('quotes', failing)
  t.match(log.summary('quotes'), { total: 1, kinds: [{ kind: 'unknown', total: 1 }] })
  const describing = new ErrorLog({ describe: () => undefined as never })
  describing.record('quotes', new Error('x'))
  t.match(describing.summary('quotes'), { total: 1, kinds: [{ kind: 'unknown' }] })
})

t.test('a closed breaker is no failure to a breaker around it, and is not asked again', async (t) => {
  const inner = new CircuitBreaker('inner')
  const outer = new CircuitBreaker('outer', { failureThreshold: 1 })
  inner.close()
  let asked = 0
  const work = () => {
    asked += 1
    return outer.execute(() => inner.execute(() => 1))
  }
  await t.rejects(retry(work, { baseMs: 0 }), { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_CLOSED' })
  t.equal(asked, 1)
  t.match(outer.snapshot(), { state: 'closed', counts: { ignored: 1 } })
})

t.test('time that was spent before is no failure to a breaker around it, and starts no work', async (t) => {
  const inner = new CircuitBreaker('inner')
  const outer = new CircuitBreaker('outer', { failureThreshold: 1 })
  const work = () => t.fail('the work ran')
  await t.rejects(outer.execute(() => inner.execute(work, { timeoutMs: 0 })))
  await t.rejects(outer.execute(() => inner.execute(work, { deadlineMs: 0 })))
  await t.rejects(outer.execute(() => timeout(work, { timeoutMs: 0 })))
  t.match(outer.snapshot(), { state: 'closed', counts: { ignored: 3, failed: 0 } })
})

t.test('a fallback has as long as the call had, and no longer', async (t) => {
  const clock = new HandClock()
  const breaker = new CircuitBreaker('quotes', { clock, timeoutMs: 100 })
  const leaving = new AbortController()
  const never = () => new Promise<never>(() => {})
  const late = breaker.execute(never, { fallback: never }).catch(({ code }) => code)
  const left = breaker.execute(boom, { fallback: never, signal: leaving.signal }).catch(({ code }) => code)
  const both = breaker.execute(boom, { fallback: async () => 'cached' })
  t.equal(await both, 'cached')
  leaving.abort()
  t.equal(await left, 'HOLDFAST_ERR_CIRCUIT_BREAKER_ABORTED')
  await clock.advance(100)
  await clock.advance(100)
  t.equal(await late, 'HOLDFAST_ERR_CIRCUIT_BREAKER_TIMEOUT')
  t.equal(clock.pendingTimers, 0)
})

t.test('a query builder that a late handler returned runs once', async (t) => {
  const answered = Promise.withResolvers<string>()
  const builder = new QueryBuilder(() => answered.promise)
  const { get } = await guarded(t, { timeoutMs: 20 }, () => builder)
  t.equal((await get()).statusCode, 503)
  answered.resolve('late')
  await sleep(5)
  t.equal(builder.runs, 1)
})
