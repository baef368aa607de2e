import t from 'tap'
import { type ConcurrencyGuardOptions, resolveOptions } from '../src/options.ts'

t.test('the defaults are those of the README, and 0 is a value', async (t) => {
  const { terms, pollMs, maxOperations, closeTimeoutMs, redis } = resolveOptions()
  t.strictSame(terms, {
    leaseMs: 10_000,
    onStoreLoss: 'local',
    maxWaiting: 0,
    maxWaitMs: 5000,
    timeoutMs: 30_000,
    graceMs: 5000,
    retryAfterMs: 30_000,
    message: 'Another operation is in progress. Please try again later.',
  })
  t.strictSame([pollMs, maxOperations, closeTimeoutMs, redis], [50, 10_000, 5000, undefined])
  const zeros = { maxWaiting: 0, maxWaitMs: 0, graceMs: 0, retryAfterMs: 0, closeTimeoutMs: 0 }
  t.match(resolveOptions(zeros), {
    closeTimeoutMs: 0,
    terms: { maxWaiting: 0, maxWaitMs: 0, graceMs: 0, retryAfterMs: 0 },
  })
})

t.test('a wrong value is refused with what it must be and what it was', async (t) => {
  const store = { available: true, lease: { acquire: () => undefined }, onStateChange: () => undefined }
  t.ok(resolveOptions({ redis: store as never }).redis)
  const wrong: [object, RegExp][] = [
    [{ leaseMs: 3_600_001 }, /"leaseMs" must be a whole number from 100 to 3600000/],
    [{ onStoreLoss: 'open' }, /"onStoreLoss" must be 'local' or 'closed', received "open"/],
    [{ maxWaiting: -1 }, /"maxWaiting"/],
    [{ maxWaitMs: Number.POSITIVE_INFINITY }, /"maxWaitMs" must be milliseconds/],
    [{ timeoutMs: 0 }, /"timeoutMs" must be milliseconds from 1 to .*, or Infinity, received 0/],
    [{ graceMs: '5' }, /"graceMs" .* received "5"/],
    [{ retryAfterMs: -1 }, /"retryAfterMs"/],
    [{ message: '' }, /"message"/],
    [{ pollMs: 0 }, /"pollMs"/],
    [{ maxOperations: 0 }, /"maxOperations"/],
    [{ closeTimeoutMs: -1 }, /"closeTimeoutMs"/],
    [{ clock: {} }, /"clock"/],
    [{ random: 0.5 }, /"random"/],
    [{ redis: null }, /"redis" must be an object, received null/],
    [{ redis: { ...store, onStateChange: 1 } }, /"redis" must be an object with onStateChange/],
    [{ redis: { ...store, lease: undefined } }, /"redis.lease" must be an object, received undefined/],
    [{ redis: { ...store, lease: {} } }, /"redis.lease" must be an object with acquire/],
    [{ lease: 1 }, /"lease" must be left out \(accepted: leaseMs, onStoreLoss, .*\)/],
  ]
  for (const [options, message] of wrong) {
    t.throws(() => resolveOptions(options as ConcurrencyGuardOptions), {
      code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_OPTION',
      message,
    })
  }
})
