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
    management: { port: 0, host: '127.0.0.1', server: {}, listen: true },
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
    [{ service: '' }, /"service" must be a text of 1 to 255 characters, received ""/],
    [{ version: 7 as unknown as string }, /"version" must be .*, received 7/],
    [{ authorize: true as never }, /"authorize" must be a function, received true/],
    [{ authorizeTimeoutMs: -1 }, /"authorizeTimeoutMs" must be milliseconds from 0 to .*, received -1/],
    [{ jitter: 0.6 }, /"jitter" must be a number from 0 to 0.5, received 0.6/],
    [{ jitter: Number.NaN }, /"jitter" must be .*, received NaN/],
    [{ checks: [{ check }] as never }, /"checks" must be an object, received an array/],
    [{ clock: {} as never }, /"clock" must be an object with nowMs, wallMs, schedule, received an object/],
    [
      { registry: {} as never },
      /"registry" must be an object with registerMetric, getSingleMetric, received an object/,
    ],
    [{ maxChecks: 1.5 }, /"maxChecks" must be a whole number from 0 to 1000, received 1.5/],
    [{ omitPaths: ['/nothing'] }, /"omitPaths" must be '\/healthz' or .*, received "\/nothing"/],
    [{ omitPaths: '/health' as never }, /"omitPaths" must be an array of paths, received "\/health"/],
    [{ checks: 'database' as never }, /"checks" must be an object, received "database"/],
    [{ checks: null as never, service: (() => {}) as never }, /"service" must be .*, received a function/],
    [{ management: {} as never }, /"management.port" must be .*, received undefined/],
    [
      { management: { port: 70_000 } },
      /"management.port" must be a whole number from 0 to 65535, received 70000/,
    ],
    [{ management: { port: 1, server: 'x' as never } }, /"management.server" must be an object/],
    [{ management: { port: 1, host: [] as never } }, /"management.host" must be .*, received an array/],
    [
      { livenessWorker: { port: 1, host: {} as never } },
      /"livenessWorker.host" must be .*, received an object/,
    ],
    [
      { livenessWorker: { port: 1, maxStallMs: 10 } },
      /"livenessWorker.maxStallMs" must be milliseconds from 500 to .*, received 10/,
    ],
    [{ random: 0.5 as never }, /"random" must be a function, received 0.5/],
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
    [{}, /health check "database": option "check" must be a function, received undefined/],
    [{ check, intervalMs: 9 }, /"intervalMs" must be milliseconds from 10 to .*, received 9/],
    [{ check, intervalMs: '5s' }, /"intervalMs" must be .*, received "5s"/],
    [{ check, timeoutMs: 0 }, /"timeoutMs" must be milliseconds from 1 to .*, received 0/],
    [{ check, timeoutMs: 2 ** 31 }, /"timeoutMs" must be .*, received 2147483648/],
    [
      { check, severity: 'fatal' },
      /"severity" must be 'critical' or 'degrading' or 'informative', received "fatal"/,
    ],
    [{ check, degradedAboveMs: -1 }, /"degradedAboveMs" must be .*, received -1/],
    [{ check, failAfter: 0 }, /"failAfter" must be a whole number of at least 1, received 0/],
    [{ check, recoverAfter: 1.5 }, /"recoverAfter" must be a whole number of at least 1, received 1.5/],
    [{ check, minDwellMs: Number.POSITIVE_INFINITY }, /"minDwellMs" must be .*, received Infinity/],
    [
      { check, staleAfterMs: 5000 },
      /"staleAfterMs" must be at least 1.5 \* intervalMs \+ timeoutMs \(8500\), received 5000/,
    ],
    [{ check, groups: 'ready' }, /"groups" must be an array of at most 8 names, received "ready"/],
    [
      { check, groups: Array(9).fill('a') },
      /"groups" must be an array of at most 8 names, received an array/,
    ],
    [{ check, groups: ['startup'] }, /"groups" must be without "startup": .*, received "startup"/],
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
    [{ servce: 'shop' }, /"servce" must be left out \(accepted: service, .*clock, random\), received "shop"/],
    [{ toString: 1 }, /"toString" must be left out .*, received 1/],
    [
      { management: { port: 0, adress: '::' } },
      /"management.adress" must be left out \(accepted: port, host, server, listen\), received "::"$/,
    ],
    [
      { livenessWorker: { port: 0, maxStall: 5 } },
      /"livenessWorker.maxStall" must be left out \(accepted: port, host, maxStallMs\), received 5$/,
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
    message: /"interval" must be left out \(accepted: check, intervalMs, .*staleAfterMs\), received 5/,
  })
})

t.test(
  'a second registration is refused, also in a scope inside, instead of shadowing the first',
  async (t) => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(health)
    await t.rejects(async () => app.register(async (scope) => scope.register(health)), {
      code: 'HOLDFAST_ERR_HEALTH_ALREADY_REGISTERED',
    })
  },
)
