import t from 'tap'
import { jsonCodec, Singleflight, type SingleflightOptions, systemClock } from '../src/index.ts'
import { resolveFleetCall, resolveOptions } from '../src/options.ts'
import { isRetryableByStatus } from '../src/remote-failure.ts'

t.test('the defaults are those of the README', async (t) => {
  const { fleet, ...resolved } = resolveOptions()
  t.strictSame(fleet, {
    namespace: 'default',
    leaseMs: 1000,
    handoffMs: 500,
    errorTtlMs: 500,
    minIntervalMs: 0,
    maxPayloadBytes: 1024 * 1024,
    codec: jsonCodec,
    isRetryable: isRetryableByStatus,
    minFence: 0,
    acceptStale: false,
  })
  t.strictSame(resolved, {
    maxFlights: 10_000,
    maxWaiters: 10_000,
    hardTimeoutMs: 30_000,
    maxFlightMs: 300_000,
    whenAbandoned: 'continue',
    errorTtlMs: 0,
    copyErrors: true,
    copyValue: undefined,
    redis: undefined,
    random: Math.random,
    clock: systemClock,
  })
})

t.test('maxFlightMs follows hardTimeoutMs, up to what a timer can hold', async (t) => {
  t.equal(resolveOptions({ hardTimeoutMs: 50 }).maxFlightMs, 500)
  t.equal(resolveOptions({ hardTimeoutMs: 2_000_000_000 }).maxFlightMs, 2_147_483_647)
  t.equal(resolveOptions({ hardTimeoutMs: Number.POSITIVE_INFINITY }).maxFlightMs, Number.POSITIVE_INFINITY)
})

for (const name of ['hardTimeoutMS', 'toString', 'registry', 'constructor']) {
  t.test(`the unknown option ${name} is refused with the names that are accepted`, async (t) => {
    t.throws(() => new Singleflight({ [name]: 5 } as SingleflightOptions), {
      code: 'HOLDFAST_ERR_SINGLEFLIGHT_INVALID_OPTION',
      message: new RegExp(
        `"${name}" must be left out .*maxFlights, .*hardTimeoutMs, .*clock\\), received 5$`,
      ),
    })
  })
}

const wrong: Record<string, unknown[]> = {
  maxFlights: [0, -1, 1.5, Number.NaN, '10', Number.POSITIVE_INFINITY],
  maxWaiters: [0, -1, 1.5, '10'],
  hardTimeoutMs: [0, -1, Number.NaN, 2_147_483_648, '30s'],
  maxFlightMs: [0, 29_999, Number.NaN, '30s'],
  whenAbandoned: ['stop', 1],
  errorTtlMs: [-1, Number.NaN, Number.POSITIVE_INFINITY, '1s'],
  copyErrors: [1, 'yes'],
  copyValue: [1, 'structuredClone'],
  random: [1, 'yes'],
  clock: [1, 'now'],
}
for (const [option, values] of Object.entries(wrong)) {
  t.test(`a wrong ${option} is refused at construction with what it was`, async (t) => {
    for (const value of values) {
      const received = typeof value === 'string' ? `"${value}"` : String(value)
      t.throws(() => new Singleflight({ [option]: value } as SingleflightOptions), {
        code: 'HOLDFAST_ERR_SINGLEFLIGHT_INVALID_OPTION',
        message: new RegExp(`"${option}" must be .*received ${received.replace(/[.]/g, '\\.')}$`),
      })
    }
  })
}

const wrongFleet: Record<string, unknown[]> = {
  namespace: ['', 'x'.repeat(101), 5],
  leaseMs: [49, 50.5, 3_600_001, '1s'],
  handoffMs: [0, 49, 3_600_001, '1s'],
  errorTtlMs: [-1, 0.5, 3_600_001],
  minIntervalMs: [-1, 0.5, 3_600_001],
  maxPayloadBytes: [-1, 0.5, 2 ** 30],
  codec: [1, { encode: String }],
  isRetryable: [1, 'yes'],
  minFence: [5],
  leaseMS: [5],
}
for (const [option, values] of Object.entries(wrongFleet)) {
  t.test(`a wrong fleet.${option} is refused at construction`, async (t) => {
    for (const value of values) {
      t.throws(() => new Singleflight({ fleet: { [option]: value } } as SingleflightOptions), {
        code: 'HOLDFAST_ERR_SINGLEFLIGHT_INVALID_OPTION',
        message: new RegExp(`"fleet.${option}" must be `),
      })
    }
  })
}

t.test('redis and fleet must be what they are called', async (t) => {
  for (const options of [{ redis: {} }, { redis: 'redis://localhost' }, { fleet: true }, { fleet: [] }]) {
    t.throws(() => new Singleflight(options as unknown as SingleflightOptions), {
      code: 'HOLDFAST_ERR_SINGLEFLIGHT_INVALID_OPTION',
    })
  }
})

t.test('one call may differ from the defaults of the fleet, and 0 is a value', async (t) => {
  const defaults = resolveOptions({ fleet: { leaseMs: 200, errorTtlMs: 100 } }).fleet
  t.match(resolveFleetCall(true, defaults), { leaseMs: 200, errorTtlMs: 100 })
  const own = { errorTtlMs: 0, maxPayloadBytes: 0, minFence: 7, acceptStale: true }
  t.match(resolveFleetCall(own, defaults), { leaseMs: 200, ...own })
  t.throws(() => resolveFleetCall({ minFence: -1 }, defaults), /fleet.minFence/)
  t.throws(() => resolveFleetCall({ acceptStale: 1 as never }, defaults), /fleet.acceptStale/)
})
