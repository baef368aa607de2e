import type { Clock } from '@holdfast/footing'
import type { ClientConfig, QueryResult } from 'pg'
import { sendCancelRequest } from './cancel-socket.ts'
import { Canceller } from './canceller.ts'
import { PgConnection } from './pg-connection.ts'

const CLOSE_TIMEOUT_MS = 250

/** A connection outside of the pool, for questions about the database instead of to it. Nothing of it can throw unheard. */
export function sideConnection(config: ClientConfig, clock: Clock): PgConnection {
  return new PgConnection(config, {
    clock,
    canceller: new Canceller(sendCancelRequest, 1),
    cancelTimeoutMs: CLOSE_TIMEOUT_MS,
    onLost: () => {},
    onCancel: () => {},
  })
}

/**
 * Asks one question on a connection of its own, and closes it. A pooler accepts connections to a server that is gone,
 * so only an answer says anything. Rejects when `signal` aborts and when `timeoutMs` have passed.
 */
export async function askOnce(
  config: ClientConfig,
  text: string,
  {
    clock,
    timeoutMs,
    signal,
  }: { readonly clock: Clock; readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<QueryResult> {
  const connection = sideConnection(config, clock)
  const leave = (): void => connection.destroy()
  signal.addEventListener('abort', leave, { once: true })
  try {
    await connection.connect(timeoutMs)
    return await connection.run({ text, dueMs: clock.nowMs() + timeoutMs, limitMs: timeoutMs })
  } finally {
    signal.removeEventListener('abort', leave)
    void connection.close()
  }
}
