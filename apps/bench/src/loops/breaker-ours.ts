/**
 * CircuitBreaker.execute with its defaults; `consecutive` counts failures in a row alone, `signal` and `timeout` are
 * what a call can bring along.
 */
import { CircuitBreaker } from '@holdfast/circuit-breaker'
import type { CreateLoop } from '../harness/row.ts'
import { failingLoop, succeedingLoop } from './breaker.ts'

const createLoop: CreateLoop = async ([kind]) => {
  const { signal } = new AbortController()
  switch (kind) {
    case 'signal':
      return succeedingLoop((work) => {
        const breaker = new CircuitBreaker('bench')
        return () => breaker.execute(work, { signal })
      })
    case 'timeout':
      return succeedingLoop((work) => {
        const breaker = new CircuitBreaker('bench', { timeoutMs: 10_000 })
        return () => breaker.execute(work)
      })
    case 'consecutive':
      return succeedingLoop((work) => {
        const breaker = new CircuitBreaker('bench', { failureRate: Number.POSITIVE_INFINITY })
        return () => breaker.execute(work)
      })
    case 'succeed':
      return succeedingLoop((work) => {
        const breaker = new CircuitBreaker('bench')
        return () => breaker.execute(work)
      })
    case 'open':
      return failingLoop((work) => {
        const breaker = new CircuitBreaker('bench')
        return () => breaker.execute(work)
      })
    default:
      return failingLoop((work) => {
        const breaker = new CircuitBreaker('bench', {
          failureThreshold: Number.POSITIVE_INFINITY,
          failureRate: 1,
          minimumCalls: 1_000_000,
        })
        return () => breaker.execute(work)
      })
  }
}
export default createLoop
