import type { Test } from 'tap'
import { type Criticality, PoolGuard, type PoolGuardOptions } from '../src/index.ts'

/** Guards of a real server, each closed at the end of its test; `log` is what it told in words. */
export function guardsOn(server: { readonly url: string }) {
  return (t: Test, options: PoolGuardOptions = {}) => {
    const log: string[] = []
    const keep = (_fields: object, message: string) => void log.push(message)
    const guard = new PoolGuard({
      connectionString: server.url,
      log: { info: keep, warn: keep },
      // A busy machine may take its time to connect, and to end a cancelled statement.
      connectTimeoutMs: 20_000,
      cancelTimeoutMs: 10_000,
      ...options,
    })
    t.teardown(() => guard.close({ graceMs: 0 }))
    return { guard, log }
  }
}

/** So many statements at once, each as long. */
export function sleeps(
  guard: PoolGuard,
  seconds: number,
  count: number,
  criticality: Criticality = 'normal',
): Promise<unknown>[] {
  return Array.from({ length: count }, () => guard.query('select pg_sleep($1)', [seconds], { criticality }))
}
