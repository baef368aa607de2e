import type { Clock } from '@holdfast/footing'
import type { NewConnection } from './connection-options.ts'
import { ConnectError } from './errors.ts'
import type { PgConnection } from './pg-connection.ts'

/** What an opening needs to know. */
export interface OpeningTerms {
  readonly clock: Clock
  /** For the attempt to connect, and again for `onConnect`, in ms. */
  readonly connectTimeoutMs: number
  readonly onConnect?: ((connection: NewConnection) => unknown) | undefined
  /** `Infinity` for a connection that never grows too old. */
  readonly maxLifetimeMs: number
  /** The share by which a lifetime may be shorter. */
  readonly lifetimeJitter: number
  /** In [0, 1). */
  readonly random: () => number
}

/**
 * Opens a connection, and lets `onConnect` prepare it before anybody else has it. Each of both has its time; a promise of
 * `onConnect` that never settles holds up nobody for longer. Rejects with `..._CONNECT`, its reason as the cause.
 */
export async function openConnection(connection: PgConnection, terms: OpeningTerms): Promise<void> {
  const { clock, connectTimeoutMs, onConnect, maxLifetimeMs, lifetimeJitter, random } = terms
  await connection.connect(connectTimeoutMs)
  connection.expiresMs = connection.openedMs + maxLifetimeMs * (1 - lifetimeJitter * random())
  if (onConnect === undefined) return
  const dueMs = clock.nowMs() + connectTimeoutMs
  const limitMs = connectTimeoutMs
  let stop = () => {}
  try {
    await Promise.race([
      onConnect({ query: (text, values) => connection.run({ text, values, dueMs, limitMs }) }),
      new Promise((_, reject) => {
        stop = clock.schedule(connectTimeoutMs, () =>
          reject(new Error(`onConnect took longer than ${connectTimeoutMs} ms`)),
        )
      }),
    ])
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw Object.assign(new ConnectError(connection.address, `onConnect failed: ${why}`), { cause: error })
  } finally {
    stop()
  }
  await connection.quiet()
  // What it sets is meant for everybody.
  connection.sessionChanged = false
}
