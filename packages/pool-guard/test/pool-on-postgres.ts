import type { Test } from 'tap'
import { ConnectionPool } from '../src/connection-pool.ts'
import type { PoolEvent } from '../src/index.ts'
import type { ConnectionPoolSettings } from '../src/pool-settings.ts'

/** Pools of two connections to a real server, each closed at the end of its test; `events` is what it told. */
export function poolsOn(server: { readonly url: string }) {
  return (t: Test, settings: ConnectionPoolSettings = {}) => {
    const events: PoolEvent[] = []
    const pool = new ConnectionPool({
      connectionString: server.url,
      max: 2,
      // A busy machine may take its time to connect, and to end a cancelled statement.
      connectTimeoutMs: 20_000,
      cancelTimeoutMs: 10_000,
      onEvent: (event) => events.push(event),
      ...settings,
    })
    t.teardown(() => pool.end({ graceMs: 0 }))
    return { pool, events }
  }
}
