import Fastify from 'fastify'
import t from 'tap'
import { type HealthOptions, health } from '../src/index.ts'
import { resolveCheck, resolveOptions } from '../src/options.ts'

const check = () => {}

t.test('no options at all are enough', async (t) => {
  t.match(resolveOptions({}), {
    service: 'app',
    version: '0.0.0',
    authorizeTimeoutMs: 100,
    jitter: 0.1,
    maxChecks: 64,
    maxFeatures: 100,
    maxReports: 50,
    management: undefined,
    livenessWorker: undefined,
  })
  t.match(resolveCheck('database', { check }), {
    intervalMs: 5000,
    timeoutMs: 1000,
    severity: 'degrading',
    degradedAboveMs: undefined,
    groups: ['ready'],
    policy: { failAfter: 3, recoverAfter: 2, minDwellMs: 2000, staleAfterMs: 16_000 },
  })
  t.match(resolveOptions({ management: { port: 0 }, livenessWorker: { port: 0 } }), {
    management: { port: 0, host: '127.0.0.1' },
    livenessWorker: { port: 0, host: '127.0.0.1', maxStallMs: 5000 },
  })
})

t.test('0 is a value', async (t) => {
  t.match(resolveOptions({ jitter: 0, authorizeTimeoutMs: 0, maxChecks: 0, maxFeatures: 0, maxReports: 0 }), {
    jitter: 0,
    authorizeTimeoutMs: 0,
    maxChecks: 0,
    maxFeatures: 0,
    maxReports: 0,
  })
  t.match(resolveCheck('a', { check, minDwellMs: 0, degradedAboveMs: 0 }), {
    degradedAboveMs: 0,
    policy: { minDwellMs: 0 },
  })
  t.equal(
    resolveCheck('a', { check, intervalMs: 200 }).timeoutMs,
    200,
    'a time-out fits its interval by default',
  )
})

t.test('a wrong option fails at register(), with its value and what to give instead', async (t) => {
  const wrong: [HealthOptions, RegExp][] = [
    [{ service: '' }, /"service" is ""; give a text of 1 to 255 characters/],
    [{ version: 7 as unknown as string }, /"version" is 7/],
    [{ authorize: true as never }, /"authorize" is true; give a function/],
    [{ authorizeTimeoutMs: -1 }, /"authorizeTimeoutMs" is -1; give a number from 0/],
    [{ jitter: 0.6 }, /"jitter" is 0.6; give a number from 0 to 0.5/],
    [{ jitter: Number.NaN }, /"jitter" is NaN/],
    [{ checks: [{ check }] as never }, /"checks" is a list; give an object of checks by name/],
    [{ clock: {} as never }, /"clock" is an object; give an object with nowMs, wallMs and schedule/],
    [{ registry: {} as never }, /"registry" is an object; give a prom-client registry/],
    [{ maxChecks: 1.5 }, /"maxChecks" is 1.5; give a whole number/],
    [{ omitPaths: ['/nothing'] }, /"omitPaths" is "\/nothing"; give paths out of \/healthz/],
    [{ omitPaths: '/health' as never }, /"omitPaths" is "\/health"; give a list/],
    [{ checks: 'database' as never }, /"checks" is "database"; give an object/],
    [{ checks: null as never, service: (() => {}) as never }, /"service" is a function/],
    [{ management: {} as never }, /"management.port" is undefined/],
    [{ management: { port: 70_000 } }, /"management.port" is 70000; give a number from 0 to 65535/],
    [{ management: { port: 1, host: [] as never } }, /"management.host" is a list/],
    [{ livenessWorker: { port: 1, host: {} as never } }, /"livenessWorker.host" is an object/],
    [
      { livenessWorker: { port: 1, maxStallMs: 10 } },
      /"livenessWorker.maxStallMs" is 10; give a number from 500/,
    ],
    [{ random: 0.5 as never }, /"random" is 0.5; give a function/],
  ]
  for (const [options, message] of wrong) {
    const app = Fastify()
    await t.rejects(
      async () => app.register(health, options),
      { code: 'HOLDFAST_ERR_HEALTH_OPTION', message },
      String(message),
    )
    await app.close()
  }
})

t.test('a wrong check fails where it is added, with its name', async (t) => {
  const wrong: [object, RegExp][] = [
    [{}, /health check "database": option "check" is undefined; give a function/],
    [{ check, intervalMs: 9 }, /"intervalMs" is 9; give milliseconds from 10 to/],
    [{ check, intervalMs: '5s' }, /"intervalMs" is "5s"/],
    [{ check, timeoutMs: 0 }, /"timeoutMs" is 0; give milliseconds from 1/],
    [{ check, timeoutMs: 2 ** 31 }, /"timeoutMs" is 2147483648/],
    [{ check, severity: 'fatal' }, /"severity" is "fatal"; give one of critical, degrading, informative/],
    [{ check, degradedAboveMs: -1 }, /"degradedAboveMs" is -1/],
    [{ check, failAfter: 0 }, /"failAfter" is 0; give a whole number from 1/],
    [{ check, recoverAfter: 1.5 }, /"recoverAfter" is 1.5; give a whole number/],
    [{ check, minDwellMs: Number.POSITIVE_INFINITY }, /"minDwellMs" is Infinity/],
    [
      { check, staleAfterMs: 5000 },
      /"staleAfterMs" is 5000; give at least 1.5 \* intervalMs \+ timeoutMs \(8500\)/,
    ],
    [{ check, groups: 'ready' }, /"groups" is "ready"; give a list/],
    [{ check, groups: Array(9).fill('a') }, /"groups" is a list; give a list of at most 8 names/],
    [{ check, groups: ['startup'] }, /"groups" is "startup"; leave it out/],
  ]
  for (const [options, message] of wrong) {
    t.throws(
      () => resolveCheck('database', options as never),
      { code: 'HOLDFAST_ERR_HEALTH_CHECK_OPTION', message },
      String(message),
    )
  }
  t.throws(() => resolveCheck('database', null as never), { code: 'HOLDFAST_ERR_HEALTH_CHECK_OPTION' })
  t.throws(() => resolveCheck('database', { check, groups: ['a b'] }), { code: 'HOLDFAST_ERR_HEALTH_NAME' })
  const app = Fastify()
  t.teardown(() => app.close())
  await t.rejects(async () => app.register(health, { checks: { 'no/name': { check } } }), {
    code: 'HOLDFAST_ERR_HEALTH_NAME',
    message: /the check name is "no\/name"; use 1 to 63/,
  })
})

t.test('an unknown option is refused with the names that are accepted', async (t) => {
  const wrong: [object, RegExp][] = [
    [{ servce: 'shop' }, /"servce" is "shop"; leave it out, accepted are: service, .*clock, random/],
    [{ toString: 1 }, /"toString" is 1; leave it out/],
    [{ management: { port: 0, adress: '::' } }, /"management.adress" is "::"; .*: port, host$/],
    [
      { livenessWorker: { port: 0, maxStall: 5 } },
      /"livenessWorker.maxStall" is 5; .*: port, host, maxStallMs$/,
    ],
  ]
  for (const [options, message] of wrong) {
    await t.rejects(async () => Fastify().register(health, options as HealthOptions), {
      code: 'HOLDFAST_ERR_HEALTH_OPTION',
      message,
    })
  }
  t.throws(() => resolveCheck('database', { check, interval: 5 } as never), {
    code: 'HOLDFAST_ERR_HEALTH_CHECK_OPTION',
    message: /interval.*5.*leave it out, accepted are: check, intervalMs, .*staleAfterMs/,
  })
})
