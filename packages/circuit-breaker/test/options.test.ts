import { systemClock } from '@holdfast/footing'
import { HandClock } from '@holdfast/test-kit'
import t from 'tap'
import { CircuitBreaker, CircuitBreakers, classifyError, type ExportedState } from '../src/index.ts'
import { resolveOptions } from '../src/options.ts'

t.test('the defaults are those of the README', async (t) => {
  t.strictSame(resolveOptions(), {
    failureThreshold: 5,
    failureRate: 0.5,
    slowCallMs: Number.POSITIVE_INFINITY,
    slowCallRate: 0.5,
    windowMs: 10_000,
    minimumCalls: 20,
    openMs: 60_000,
    openGrowth: 2,
    maxOpenMs: 300_000,
    openJitter: 0.1,
    probes: 1,
    probeLeaseMs: 10_000,
    probing: 'calls',
    rampMs: 5_000,
    rampFrom: 0.1,
    timeoutMs: Number.POSITIVE_INFINITY,
    shadow: false,
    classifyError,
    classifyValue: undefined,
    onTransition: undefined,
    initialState: undefined,
    clock: systemClock,
    random: Math.random,
  })
})

const exported: ExportedState = {
  state: 'open',
  exportedWallMs: 1_700_000_000_000,
  remainingOpenMs: 500,
  remainingRampMs: 0,
  openings: 1,
  consecutiveFailures: 5,
  reason: 'down',
  windowMs: 10_000,
  window: [],
}

const wrong: Record<string, unknown[]> = {
  failureThreshold: [0, 1.5, '5'],
  failureRate: [0, 1.1, -1, '0.5', Number.NaN],
  slowCallMs: [-1, Number.NaN, '5s'],
  slowCallRate: [0, 2],
  windowMs: [0, Number.POSITIVE_INFINITY],
  minimumCalls: [0],
  openMs: [0, 2_147_483_648],
  openGrowth: [0.9, 101],
  maxOpenMs: [59_999],
  openJitter: [-0.1, 1.1],
  probes: [0, 1001],
  probeLeaseMs: [0],
  probing: ['never'],
  rampMs: [-1],
  rampFrom: [2],
  timeoutMs: [0, -5],
  shadow: ['yes'],
  classifyError: [1],
  classifyValue: [1],
  onTransition: ['log'],
  clock: [{}],
  random: [0.5],
  failureTreshold: [5],
  initialState: [
    null,
    { ...exported, state: 'ajar' },
    { ...exported, remainingOpenMs: Number.POSITIVE_INFINITY },
    { ...exported, reason: 5 },
    { ...exported, window: 5 },
    { ...exported, window: [[1, 2]] },
    { ...exported, window: [[1, 2, -3]] },
  ],
}
for (const [option, values] of Object.entries(wrong)) {
  t.test(`a wrong ${option} is refused at construction`, async (t) => {
    for (const value of values) {
      t.throws(() => new CircuitBreaker('quotes', { [option]: value }), {
        code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_INVALID_OPTION',
        message: new RegExp(`"${option}`),
      })
    }
  })
}

t.test('a breaker needs a name', async (t) => {
  t.throws(() => new CircuitBreaker(''), { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_INVALID_OPTION' })
})

t.test('an open breaker opens in a later process for what is left, whatever the clocks say', async (t) => {
  const before = new HandClock({ nowMs: 5_000_000 })
  const first = new CircuitBreaker('quotes', { clock: before })
  first.trip('down')
  await before.advance(10_000)
  const state = JSON.parse(JSON.stringify(first.exportState())) as ExportedState
  const clock = new HandClock({ nowMs: 3, wallMs: before.wallMs() + 20_000 })
  const second = new CircuitBreaker('quotes', { clock, initialState: state })
  t.match(second.snapshot(), { state: 'open', reason: 'down', retryAfterMs: 30_000, openings: 1 })
  await clock.advance(30_000)
  await second.execute(async () => 1)
  t.match(second.exportState(), { state: 'closed', remainingRampMs: 5_000, openings: 1 })
  clock.jumpWall(-1e9)
  const ramping = new CircuitBreaker('quotes', { clock, initialState: second.exportState() })
  t.equal(ramping.snapshot().rampShare, 0.1)
  const past = new HandClock({ wallMs: 0 })
  const third = new CircuitBreaker('quotes', {
    clock: past,
    openMs: 1000,
    maxOpenMs: 1000,
    initialState: state,
  })
  t.equal(third.retryAfterMs(), 1000, 'not longer than its own rules say')
  const probing = { ...state, state: 'half-open', remainingOpenMs: 0 } as const
  t.equal(new CircuitBreaker('quotes', { clock, initialState: probing }).state, 'half-open')
})

t.test('failures are remembered as long as they are in the window', async (t) => {
  const clock = new HandClock()
  const first = new CircuitBreaker('quotes', { clock })
  for (let call = 0; call < 4; call += 1) await first.execute(() => Promise.reject(call)).catch(() => {})
  const initialState = first.exportState()
  await clock.advance(5_000)
  const soon = new CircuitBreaker('quotes', { clock, initialState })
  t.match(soon.snapshot(), { consecutiveFailures: 4, window: { calls: 4, failures: 4 }, openings: 0 })
  const other = new CircuitBreaker('quotes', { clock, initialState, windowMs: 20_000 })
  t.match(other.snapshot(), { consecutiveFailures: 4, window: { calls: 0 } }, 'slices of another length')
  await clock.advance(5_000)
  const late = new CircuitBreaker('quotes', { clock, initialState })
  t.match(late.snapshot(), { consecutiveFailures: 0, window: { calls: 0 } })
})

t.test('a registry makes each breaker once, with its defaults, and up to its maximum', async (t) => {
  const breakers = new CircuitBreakers({ maxBreakers: 3, defaults: { openMs: 100, failureThreshold: 1 } })
  const database = breakers.create('database', { openMs: 30_000 })
  const elsewhere = new CircuitBreaker('redis')
  breakers.add(elsewhere)
  const quotes = breakers.create('quotes')
  t.strictSame(breakers.list(), [database, elsewhere, quotes])
  t.equal(breakers.get('redis'), elsewhere)
  t.equal(breakers.get('nothing'), undefined)
  t.throws(() => breakers.create('quotes'), { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_NAME_TAKEN' })
  t.throws(() => breakers.create('more'), { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_BREAKERS_FULL' })
  t.throws(() => breakers.add(new CircuitBreaker('more')), {
    code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_BREAKERS_FULL',
  })
  await database.execute(() => Promise.reject(new Error('down'))).catch(() => {})
  t.match(breakers.snapshot(), [{ name: 'database', state: 'open' }, { name: 'redis' }, { name: 'quotes' }])
  t.ok(database.retryAfterMs() > 29_000)
  breakers.close()
  t.throws(() => breakers.create('late'), { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_CLOSED' })
  await t.rejects(
    quotes.execute(() => 1),
    { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_CLOSED' },
  )
  t.equal(await elsewhere.execute(() => 1), 1, 'its owner closes it')
})

t.test('a registry refuses wrong options, and wrong defaults before the first breaker', async (t) => {
  for (const options of [{ maxBreakers: 0 }, { defaults: { openMs: 0 } }, { defaults: 5 }, { max: 5 }]) {
    t.throws(() => new CircuitBreakers(options as object), {
      code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_INVALID_OPTION',
    })
  }
  t.throws(() => new CircuitBreakers().create('quotes', null as unknown as object), {
    code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_INVALID_OPTION',
  })
})
