import { Bulkhead, CircuitBreaker, ErrorLog, RetryBudget, retry, timeout } from '@holdfast/circuit-breaker'

// One of each for one dependency, made once and shared by all who call it.
const breaker = new CircuitBreaker('quotes', { failureThreshold: 5 })
const places = new Bulkhead('quotes', { maxConcurrent: 20, maxWaiting: 10, maxWaitMs: 50 })
const budget = new RetryBudget({ ratio: 0.1, burst: 10 })
const errorLog = new ErrorLog()

let asked = 0
async function askVendor(_signal: AbortSignal): Promise<string> {
  asked += 1
  if (asked < 3) throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
  return '41.20'
}

const price = await retry(
  // Everything is taken inside the attempt, and given back before the next one is waited for.
  ({ signal }) => breaker.execute(() => places.execute(() => askVendor(signal)), { signal, timeoutMs: 800 }),
  { attempts: 4, baseMs: 20, budget, breaker, errorLog, name: 'quotes' },
)
console.log(price, 'after', asked, 'attempts,', budget.snapshot().retries, 'of them from the budget')
console.log(errorLog.summary('quotes')?.kinds, errorLog.summary('quotes')?.trend)

await timeout(() => new Promise(() => {}), { timeoutMs: 20, name: 'a vendor that hangs' }).catch((error) =>
  console.log(error.message),
)
