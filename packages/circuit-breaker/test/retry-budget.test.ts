import t from 'tap'
import { RetryBudget, type RetryBudgetOptions } from '../src/retry-budget.ts'

t.test('it begins with its burst, and then gives one retry for ten successes', async (t) => {
  const budget = new RetryBudget()
  t.equal(Array.from({ length: 20 }, () => budget.withdraw()).filter(Boolean).length, 10)
  for (let success = 0; success < 9; success += 1) budget.deposit()
  t.equal(budget.withdraw(), false)
  budget.deposit()
  t.equal(budget.withdraw(), true)
  t.equal(budget.withdraw(), false)
  t.match(budget.snapshot(), { ratio: 0.1, burst: 10, successes: 10, retries: 11, refused: 12 })
})

t.test('it never saves up more than its burst', async (t) => {
  const budget = new RetryBudget({ ratio: 1, burst: 3 })
  for (let success = 0; success < 100; success += 1) budget.deposit()
  t.equal(budget.snapshot().tokens, 3)
  t.equal(Array.from({ length: 10 }, () => budget.withdraw()).filter(Boolean).length, 3)
})

t.test('when every other call fails, retries stay at the ratio', async (t) => {
  const budget = new RetryBudget({ ratio: 0.2, burst: 10 })
  let retries = 0
  for (let call = 0; call < 10_000; call += 1) {
    if (call % 2 === 0) budget.deposit()
    else if (budget.withdraw()) retries += 1
  }
  t.ok(retries <= 0.2 * 5000 + 10, `${retries} retries for 5,000 successes`)
  t.ok(retries >= 0.2 * 5000 - 1)
})

t.test('nothing may be retried with a burst of 0, and only the burst with a ratio of 0', async (t) => {
  t.equal(new RetryBudget({ burst: 0 }).withdraw(), false)
  const budget = new RetryBudget({ ratio: 0, burst: 1 })
  budget.deposit()
  t.equal(budget.withdraw(), true)
  budget.deposit()
  t.equal(budget.withdraw(), false)
})

for (const options of [
  { ratio: 1.1 },
  { ratio: -0.1 },
  { burst: 0.5 },
  { brust: 1 },
] as RetryBudgetOptions[]) {
  t.test(`${JSON.stringify(options)} is refused at construction`, async (t) => {
    t.throws(() => new RetryBudget(options), { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_INVALID_OPTION' })
  })
}
