import t from 'tap'
import { type PoolGuardOptions, runInScope } from '../src/index.ts'
import { resolveOptions } from '../src/options.ts'

t.test('the defaults are those of the documentation', async (t) => {
  const { admission, connections, pooler, log } = resolveOptions({})
  t.match(admission, {
    name: 'main',
    processType: 'web',
    max: 20,
    maxOverflow: 0,
    reserve: 3,
    classes: {
      critical: { maxWaiting: 200, maxWaitMs: 2000 },
      normal: { maxWaiting: 5, maxWaitMs: 40 },
      background: { maxWaiting: 2, maxWaitMs: 20 },
    },
    promoteAfterMs: 20,
    tenantShare: 0.5,
    pressure: { saturatedAt: 0.85, saturatedWaiting: 5, sustainMs: 250, clearBelow: 0.7, clearMs: 1000 },
    breaker: { failureThreshold: 5, openMs: 30_000, probeIntervalMs: 500, probeTimeoutMs: 1000 },
  })
  t.match(connections, { min: 2, connectTimeoutMs: 5000, maxLifetimeMs: 3_600_000, statementTimeoutMs: 3000 })
  t.equal(pooler, undefined)
  t.equal(log, undefined)
})

t.test('the reserve is 15 %, rounded, at least one of two, and never everything', async (t) => {
  for (const [max, share, slots] of [
    [20, 0.15, 3],
    [10, 0.15, 2],
    [5, 0.15, 1],
    [2, 0.15, 1],
    [1, 0.15, 0],
    [20, 0, 0],
    [2, 0.9, 1],
  ] as const) {
    t.equal(resolveOptions({ max, reserve: share }).admission.reserve, slots, `${share} of ${max}`)
  }
})

t.test('0 is a value, and false switches the breaker off', async (t) => {
  const { admission, connections } = resolveOptions({
    maxWaiting: 0,
    maxWaitMs: 0,
    min: 0,
    critical: { maxWaiting: 0 },
    background: { maxWaitMs: 0 },
    pressure: { sustainMs: 0 },
    breaker: false,
    guardrails: { statementTimeoutMs: 0 },
  })
  t.match(admission.classes, {
    critical: { maxWaiting: 0, maxWaitMs: 2000 },
    normal: { maxWaiting: 0, maxWaitMs: 0 },
    background: { maxWaiting: 2, maxWaitMs: 0 },
  })
  t.equal(admission.pressure.sustainMs, 0)
  t.equal(admission.breaker, undefined)
  t.equal(connections.min, 0)
  t.equal(connections.guardrails.statementTimeoutMs, 0)
})

t.test('a wrong value and an unknown name are refused, with what was received', async (t) => {
  const cases: readonly [wrong: object, message: RegExp][] = [
    [{ max: 0 }, /"max" must be a whole number from 1 to 10000, received 0/],
    [{ reserve: 1 }, /"reserve" must be a number from 0 to 0.9, received 1/],
    [{ maxwait: 5 }, /"maxwait" must be left out/],
    [{ critical: { maxWait: 5 } }, /"critical.maxWait" must be left out/],
    [{ background: { maxWaitMs: -1 } }, /"background.maxWaitMs"/],
    [{ pressure: { clearBelow: 0.9 } }, /"pressure.clearBelow" must be a number from 0.01 to 0.85/],
    [{ pressure: { sustain: 1 } }, /"pressure.sustain"/],
    [{ breaker: { failureThreshold: 0 } }, /"breaker.failureThreshold"/],
    [{ breaker: { open: 1 } }, /"breaker.open"/],
    [{ min: 21 }, /"min" must be a whole number from 0 to 20, received 21/],
    [
      { guardrails: { lockTimeoutMs: 3000 } },
      /"guardrails.lockTimeoutMs" must be shorter than statementTimeoutMs/,
    ],
    [{ guardrails: { lock: 1 } }, /"guardrails.lock"/],
    [{ statementTimeoutMs: 0 }, /"statementTimeoutMs"/],
    [{ connectionString: '' }, /"connectionString"/],
    [{ connection: 5 }, /"connection" must be an object/],
    [{ pooler: { connectionString: '' } }, /"pooler.connectionString"/],
    [{ pooler: { connectionString: 'x', interval: 5 } }, /"pooler.interval"/],
    [{ pooler: { connectionString: 'x', database: 5 } }, /"pooler.database"/],
    [{ log: {} }, /"log" must be an object with info, warn/],
    [{ clock: {} }, /"clock"/],
    [{ name: '' }, /"name"/],
  ]
  for (const [wrong, message] of cases) {
    t.throws(() => resolveOptions(wrong as PoolGuardOptions), {
      code: 'HOLDFAST_ERR_POOL_GUARD_OPTION',
      statusCode: 500,
      message,
    })
  }
})

t.test('runInScope answers what its work answers', async (t) => {
  t.equal(
    runInScope({}, () => 5),
    5,
  )
})
