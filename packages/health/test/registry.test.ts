import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { HandClock } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { maxReportBytes } from '../src/operator-reports.ts'
import type { CheckOptions } from '../src/options.ts'
import { registryOnHandClock } from './registry-on-hand-clock.ts'

const refused = () =>
  Promise.reject(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }))

function events(t: Test, name: string): unknown[] {
  const messages: unknown[] = []
  const listener = (message: unknown) => messages.push(message)
  subscribe(name, listener)
  t.teardown(() => unsubscribe(name, listener))
  return messages
}

t.test('readiness is starting until every critical check has succeeded once', async (t) => {
  const { clock, registry } = registryOnHandClock()
  const phases = events(t, 'holdfast:health:phase')
  let up = false
  registry.addCheck('database', { check: () => (up ? undefined : refused()), severity: 'critical' })
  registry.addCheck('mail', { check: refused, severity: 'degrading' })
  let confirmed = false
  registry.confirmed().then(() => (confirmed = true))
  t.equal(registry.phase, 'starting')
  registry.start()
  await clock.advance(60_000)
  t.equal(registry.phase, 'starting')
  t.equal(confirmed, false)
  t.equal(registry.snapshot().status, 'error')
  up = true
  await clock.advance(5000)
  t.equal(confirmed, true)
  t.equal(registry.phase, 'serving')
  t.equal(
    registry.snapshot().status,
    'degraded',
    'a degrading check that never succeeded does not hold it back',
  )
  t.strictSame(phases, [{ from: 'starting', to: 'serving' }])
  up = false
  await clock.advance(5000)
  t.equal(registry.phase, 'serving', 'start-up is over once and for all')
})

t.test('without critical checks the service is confirmed when it starts, not before', async (t) => {
  const { clock, registry } = registryOnHandClock()
  registry.addCheck('mail', { check: refused })
  await clock.advance(1000)
  t.equal(registry.phase, 'starting')
  registry.start()
  registry.start()
  await registry.confirmed()
  t.equal(registry.phase, 'serving')
})

t.test('removing the last unconfirmed critical check confirms', async (t) => {
  const { registry } = registryOnHandClock()
  const remove = registry.addCheck('database', { check: refused, severity: 'critical' })
  registry.start()
  t.equal(registry.phase, 'starting')
  remove()
  await registry.confirmed()
  t.equal(registry.phase, 'serving')
})

t.test('a registry that closes before it is confirmed says so to whoever waits', async (t) => {
  const { clock, registry } = registryOnHandClock()
  registry.addCheck('database', { check: () => new Promise(() => {}), severity: 'critical' })
  registry.degrade('theme', 'old', { untilMs: clock.wallMs() + 1000 })
  registry.start()
  await clock.advance(10)
  const waiting = registry.confirmed()
  registry.close()
  registry.close()
  await t.rejects(waiting, { code: 'HOLDFAST_ERR_HEALTH_CLOSED' })
  t.equal(clock.pendingTimers, 0, 'no timer is left')
  t.equal(registry.phase, 'draining')
  t.throws(() => registry.addCheck('late', { check: () => {} }), { code: 'HOLDFAST_ERR_HEALTH_CLOSED' })
  registry.start()
  registry.degrade('theme', 'old', { untilMs: clock.wallMs() + 2000 })
  t.equal(clock.pendingTimers, 0, 'nor does a new one begin')
})

t.test('what a level means depends on the severity', async (t) => {
  const statusWith = async (options: Partial<CheckOptions>, check: CheckOptions['check']) => {
    const { clock, registry } = registryOnHandClock()
    let first = true
    registry.addCheck('it', {
      ...options,
      check: (context) => {
        if (!first) return check(context)
        first = false
        return undefined
      },
    })
    registry.start()
    await clock.advance(5000)
    return registry.snapshot().status
  }
  const limping = () => ({ status: 'degraded' }) as const
  t.equal(await statusWith({ severity: 'critical' }, refused), 'error')
  t.equal(await statusWith({ severity: 'critical' }, limping), 'degraded')
  t.equal(await statusWith({ severity: 'degrading' }, refused), 'degraded')
  t.equal(await statusWith({}, refused), 'degraded', 'which is the default')
  t.equal(await statusWith({ severity: 'degrading' }, limping), 'degraded')
  t.equal(await statusWith({ severity: 'informative' }, refused), 'ok')
})

t.test('liveness fails only for a critical live check that is found unhealthy', async (t) => {
  const { clock, registry } = registryOnHandClock()
  const live = () => registry.statusOf('live', registry.read('live'))
  registry.addCheck('database', { check: refused, severity: 'critical' })
  registry.addCheck('loop', {
    check: () => new Promise<undefined>(() => {}),
    severity: 'critical',
    groups: ['live'],
  })
  registry.addCheck('soft', { check: refused, severity: 'degrading', groups: ['live'] })
  registry.start()
  await clock.advance(2000)
  t.equal(live(), 'ok', 'starting is no reason to restart')
  await clock.advance(30_000)
  t.equal(live(), 'error', 'hung is')
  t.strictSame(
    registry.read('live').map(({ name }) => name),
    ['loop', 'soft'],
  )
})

t.test('a result whose timer died is unknown: readiness fails, liveness does not', async (t) => {
  // A suspended process: time goes on, its timers do not fire.
  const clock = new HandClock()
  let timersRun = true
  const { registry } = registryOnHandClock({
    clock: {
      nowMs: () => clock.nowMs(),
      wallMs: () => clock.wallMs(),
      schedule: (delayMs, callback) => clock.schedule(delayMs, () => timersRun && callback()),
    },
  })
  registry.addCheck('database', { check: () => {}, severity: 'critical', groups: ['ready', 'live'] })
  registry.start()
  await clock.advance(20_000)
  t.equal(registry.snapshot().status, 'ok')
  timersRun = false
  await clock.advance(16_000)
  t.equal(registry.snapshot().status, 'ok', 'not older than 3 * intervalMs + timeoutMs')
  await clock.advance(5000)
  t.match(registry.snapshot(), { status: 'error', checks: [{ level: 'unknown', lastOutcome: 'healthy' }] })
  t.equal(registry.statusOf('live', registry.read('live')), 'ok')
})

t.test('a change of level is told once, to the log and the channel', async (t) => {
  const { clock, registry, logged } = registryOnHandClock()
  const changes = events(t, 'holdfast:health:check')
  let up = true
  registry.addCheck('database', { check: () => (up ? undefined : refused()) })
  registry.start()
  await clock.advance(20_000)
  t.match(changes, [{ check: 'database', from: 'starting', to: 'healthy', cause: 'none' }])
  up = false
  await clock.advance(60_000)
  t.equal(changes.length, 2)
  t.match(changes[1], {
    from: 'healthy',
    to: 'unhealthy',
    cause: 'error',
    code: 'ECONNREFUSED',
    reason: 'connect ECONNREFUSED',
  })
  up = true
  await clock.advance(60_000)
  t.match(changes[2], { from: 'unhealthy', to: 'healthy' })
  t.equal(changes.length, 3)
  t.strictSame(
    logged.filter(({ message }) => message === 'health check changed').map(({ level }) => level),
    ['info', 'warn', 'info'],
  )
  t.match(registry.snapshot().checks, [{ name: 'database', changes: 3, busy: false, responseMs: 0 }])
})

t.test('a degraded feature is told when it begins, changes and recovers', async (t) => {
  const { clock, registry, logged } = registryOnHandClock()
  const told = events(t, 'holdfast:health:feature')
  registry.start()
  t.equal(registry.degrade('theme', 'the store is away'), true)
  t.equal(registry.degrade('theme', 'the store is away'), true)
  t.equal(registry.snapshot().status, 'degraded')
  await clock.advance(3000)
  registry.degrade('theme', 'the store refuses us')
  t.match(registry.snapshot().features, [
    { name: 'theme', reason: 'the store refuses us', sinceMs: 1_700_000_000_000 },
  ])
  await clock.advance(2000)
  t.equal(registry.recover('theme'), true)
  t.equal(registry.recover('theme'), false)
  t.strictSame(
    logged.filter(({ message }) => message.startsWith('feature')).map(({ message }) => message),
    ['feature degraded', 'feature recovered'],
    'another reason is no second line',
  )
  t.equal(registry.snapshot().status, 'ok')
  t.strictSame(told, [
    { feature: 'theme', state: 'degraded', reason: 'the store is away', degradedForMs: 0 },
    { feature: 'theme', state: 'degraded', reason: 'the store refuses us', degradedForMs: 0 },
    { feature: 'theme', state: 'recovered', reason: 'the store refuses us', degradedForMs: 5000 },
  ])
})

t.test('an end that is no date is none', async (t) => {
  const { clock, registry } = registryOnHandClock()
  for (const untilMs of [Number.NaN, Number.POSITIVE_INFINITY, 9e15]) {
    t.equal(registry.degrade('quotes', `until ${untilMs}`, { untilMs }), true)
    t.match(registry.readFeatures(), [{ reason: `until ${untilMs}`, untilMs: undefined }])
  }
  await clock.advance(10_000)
  t.equal(registry.readFeatures().length, 1)
})

t.test('a feature recovers by itself at untilMs', async (t) => {
  const { clock, registry } = registryOnHandClock()
  registry.start()
  registry.degrade('quotes', 'vendor maintenance', { untilMs: clock.wallMs() + 10_000 })
  await clock.advance(9999)
  t.equal(registry.readFeatures().length, 1)
  await clock.advance(1)
  t.equal(registry.readFeatures().length, 0)
  registry.degrade('quotes', 'again', { untilMs: clock.wallMs() + 10_000 })
  registry.degrade('quotes', 'longer', { untilMs: clock.wallMs() + 20_000 })
  await clock.advance(10_000)
  t.equal(registry.readFeatures().length, 1, 'a later end replaces the earlier one')
  registry.degrade('quotes', 'until told otherwise')
  await clock.advance(100_000)
  t.equal(registry.readFeatures().length, 1, 'and no end replaces an end')
  registry.degrade('quotes', 'over already', { untilMs: clock.wallMs() })
  t.equal(registry.readFeatures().length, 0, 'an end that has passed recovers')
  const inTwoMonths = clock.wallMs() + 60 * 86_400_000
  registry.degrade('quotes', 'longer than a timer can wait', { untilMs: inTwoMonths })
  await clock.advance(59 * 86_400_000)
  t.equal(registry.readFeatures().length, 1)
  await clock.advance(2 * 86_400_000)
  t.equal(registry.readFeatures().length, 0)
  registry.close()
})

t.test('features, reasons, checks, reports and names are bounded', async (t) => {
  const { registry, logged } = registryOnHandClock({ maxFeatures: 3, maxChecks: 2, maxReports: 2 })
  for (let index = 0; index < 10; index += 1) registry.degrade(`feature-${index}`, 'x'.repeat(1000))
  t.equal(registry.readFeatures().length, 3)
  t.equal(registry.readFeatures()[0]?.reason.length, 200)
  t.equal(registry.snapshot().refusedFeatures, 7)
  t.equal(registry.degrade('one-more', 'full'), false)
  t.equal(
    logged.filter(({ message }) => message.startsWith('too many degraded features')).length,
    1,
    'told once',
  )
  registry.recover('feature-0')
  t.equal(registry.degrade('one-more', 'room again'), true)

  registry.addCheck('one', { check: () => {} })
  const remove = registry.addCheck('two', { check: () => {} })
  t.throws(() => registry.addCheck('three', { check: () => {} }), { code: 'HOLDFAST_ERR_HEALTH_LIMIT' })
  t.throws(() => registry.addCheck('one', { check: () => {} }), {
    code: 'HOLDFAST_ERR_HEALTH_DUPLICATE_CHECK',
  })
  remove()
  registry.addCheck('two', { check: () => {} })
  remove()
  t.equal(
    registry.read().length,
    2,
    'a function that removed its check does not remove the next of that name',
  )

  registry.addReport('security', 'a', () => ({}))
  const removeReport = registry.addReport('metrics', 'a', () => ({}))
  t.throws(() => registry.addReport('check', 'b', () => ({})), { code: 'HOLDFAST_ERR_HEALTH_LIMIT' })
  t.throws(() => registry.addReport('metrics', 'a', () => ({})), {
    code: 'HOLDFAST_ERR_HEALTH_DUPLICATE_REPORT',
  })
  removeReport()
  const answer = () => ({ two: 2 })
  registry.addReport('metrics', 'a', answer)
  removeReport()
  t.strictSame(registry.readReports('metrics'), { a: { two: 2 } })

  t.throws(() => registry.addReport('check', 'ready', {} as never), {
    code: 'HOLDFAST_ERR_HEALTH_REPORT_OPTION',
    message: /report "ready" must be a function .*, received an object/,
  })

  for (const name of ['', '-a', 'a/b', 'a b', 'ä', 'x'.repeat(64), 'a\n']) {
    t.throws(
      () => registry.addCheck(name, { check: () => {} }),
      { code: 'HOLDFAST_ERR_HEALTH_NAME' },
      `check "${name}"`,
    )
    t.throws(() => registry.degrade(name, 'x'), { code: 'HOLDFAST_ERR_HEALTH_NAME' })
    t.throws(() => registry.addReport('check', name, () => ({})), { code: 'HOLDFAST_ERR_HEALTH_NAME' })
  }
})

t.test('a report that throws, is too large or is a promise is shown as that', async (t) => {
  const { registry } = registryOnHandClock()
  registry.addReport('security', 'good', () => ({ blocked: 3 }))
  registry.addReport('security', 'throws', () => {
    throw new Error('no answer')
  })
  registry.addReport('security', 'throws-nothing', () => {
    throw undefined
  })
  registry.addReport('security', 'large', () => ({ text: 'x'.repeat(maxReportBytes) }))
  registry.addReport('security', 'promise', () => Promise.reject(new Error('nobody waits for this')))
  t.match(registry.readReports('security'), {
    good: { blocked: 3 },
    throws: { omitted: 'the report failed: no answer' },
    'throws-nothing': { omitted: 'the report failed: no error given' },
    large: { omitted: /^65547 bytes, the maximum is 65536$/ },
    promise: { omitted: 'the report is a promise; it must answer at once' },
  })
})

t.test('a cordon is lifted again, is told, and is nothing while draining', async (t) => {
  const { registry } = registryOnHandClock()
  const phases = events(t, 'holdfast:health:phase')
  registry.cordon()
  t.equal(registry.phase, 'starting')
  registry.start()
  t.equal(registry.phase, 'cordoned')
  t.equal(registry.snapshot().status, 'error')
  t.equal(registry.statusOf('live', registry.read('live')), 'ok')
  registry.uncordon()
  registry.uncordon()
  t.equal(registry.snapshot().status, 'ok')
  registry.cordon()
  registry.drain()
  registry.uncordon()
  t.equal(registry.phase, 'draining')
  t.strictSame(phases, [
    { from: 'starting', to: 'cordoned' },
    { from: 'cordoned', to: 'serving' },
    { from: 'serving', to: 'cordoned' },
    { from: 'cordoned', to: 'draining' },
  ])
})

t.test('draining is for good, and told once', async (t) => {
  const { clock, registry } = registryOnHandClock()
  const phases = events(t, 'holdfast:health:phase')
  registry.addCheck('database', { check: () => {}, severity: 'critical' })
  registry.drain()
  registry.drain()
  registry.start()
  await clock.advance(1000)
  t.equal(registry.phase, 'draining')
  t.equal(registry.snapshot().status, 'error')
  t.equal(registry.statusOf('live', registry.read('live')), 'ok')
  await registry.confirmed()
  t.strictSame(phases, [{ from: 'starting', to: 'draining' }])
})

t.test('a check that is added after the start runs at once', async (t) => {
  const { clock, registry } = registryOnHandClock()
  registry.start()
  registry.addCheck('late', {
    check: () => ({ data: { rows: 3 }, reason: 'fine' }),
    groups: ['jobs', 'jobs'],
  })
  await clock.advance(0)
  t.match(registry.snapshot().checks, [
    { name: 'late', level: 'healthy', data: { rows: 3 }, reason: 'fine', executions: 1, groups: ['jobs'] },
  ])
})
