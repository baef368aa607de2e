import t from 'tap'
import { Singleflight, type SingleflightOptions, systemClock } from '../src/index.ts'
import { resolveOptions } from '../src/options.ts'

t.test('the defaults are those of the README', async (t) => {
  t.strictSame(resolveOptions(), {
    maxFlights: 10_000,
    maxWaiters: 10_000,
    hardTimeoutMs: 30_000,
    maxFlightMs: 300_000,
    whenAbandoned: 'continue',
    errorTtlMs: 0,
    copyErrors: true,
    copyValue: undefined,
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
