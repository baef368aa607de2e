import { CircuitBreaker } from '@holdfast/circuit-breaker'

const quotes = new CircuitBreaker('quotes', { failureThreshold: 3, openMs: 60_000, timeoutMs: 800 })
const ask = async () => {
  throw new Error('connect ECONNREFUSED')
}

for (const attempt of [1, 2, 3, 4]) {
  const price = await quotes.execute(ask, {
    fallback: (reason) => (reason instanceof Error ? reason.message : 'unknown'),
  })
  console.log(attempt, quotes.state, price)
}
