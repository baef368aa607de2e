import t from 'tap'
import { Lifecycle, type LifecycleOptions } from '../src/index.ts'
import { resolveOptions } from '../src/options.ts'

t.test('the defaults are those of the README, and 0 is a value', async (t) => {
  t.match(resolveOptions({}), {
    times: {
      drainMs: 10_000,
      minDrainMs: 2000,
      quietMs: 1500,
      turnAwayMs: 0,
      requestTimeoutMs: 10_000,
      abortGraceMs: 1000,
      closeTimeoutMs: 5000,
      repeatMs: 500,
    },
    stepTimeoutMs: 5000,
    phaseTimeoutMs: 30_000,
    healthTimeoutMs: 10_000,
    signals: ['SIGTERM', 'SIGINT'],
    exceptions: true,
  })
  t.match(resolveOptions({ drainMs: 0, requestTimeoutMs: 0, signals: [] }), {
    times: { drainMs: 0, minDrainMs: 0, requestTimeoutMs: 0 },
    signals: [],
  })
})

t.test('probes are paths, and all below some', async (t) => {
  const { isProbe } = resolveOptions({})
  for (const path of ['/readyz', '/readyz/database', '/health/groups/x', '/metrics'])
    t.ok(isProbe(path), path)
  for (const path of ['/', '/readyzz', '/healthzz', '/metrics/x']) t.notOk(isProbe(path), path)
  const own = resolveOptions({ probePaths: ['/alive'] })
  t.ok(own.isProbe('/alive'))
  t.notOk(own.isProbe('/readyz'))
})

t.test('a wrong value is refused with what it must be and what it was', async (t) => {
  const wrong: [object, RegExp][] = [
    [{ drainMs: -1 }, /"drainMs" must be milliseconds from 0/],
    [{ drainMs: 100, minDrainMs: 101 }, /"minDrainMs" must be milliseconds from 0 to 100, received 101/],
    [{ quietMs: '1' }, /"quietMs"/],
    [{ requestTimeoutMs: Number.NaN }, /"requestTimeoutMs"/],
    [{ abortGraceMs: Number.POSITIVE_INFINITY }, /"abortGraceMs"/],
    [{ closeTimeoutMs: null, phaseTimeoutMs: 0 }, /"phaseTimeoutMs"/],
    [{ stepTimeoutMs: 0 }, /"stepTimeoutMs"/],
    [{ healthTimeoutMs: -1 }, /"healthTimeoutMs"/],
    [{ repeatMs: -1 }, /"repeatMs"/],
    [{ signals: 'SIGTERM' }, /"signals" must be a list of signals/],
    [
      { signals: ['TERM'] },
      /"signals" must be signals that a process can hear, such as SIGTERM, received "TERM"/,
    ],
    [{ signals: ['SIGTERM', 'SIGTREM'] }, /received "SIGTREM"/],
    [{ signals: ['SIGKILL'] }, /received "SIGKILL"/],
    [{ signals: [7] }, /"signals".*received 7/],
    [{ exceptions: 1 }, /"exceptions" must be true or false/],
    [{ probePaths: '/x' }, /"probePaths"/],
    [{ probePaths: ['x'] }, /"probePaths"/],
    [{ probePaths: Array.from({ length: 101 }, () => '/x') }, /"probePaths" must be a list of at most 100/],
    [{ log: {} }, /"log" must be an object with info, warn, error, fatal/],
    [{ clock: {} }, /"clock"/],
    [{ process: {} }, /"process"/],
    [{ drain: 1 }, /"drain" must be left out \(accepted: drainMs, /],
  ]
  for (const [options, message] of wrong) {
    t.throws(() => new Lifecycle(options as LifecycleOptions), {
      code: 'HOLDFAST_ERR_LIFECYCLE_OPTION',
      message,
    })
  }
})
