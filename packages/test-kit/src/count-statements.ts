import { FrontendFrames } from './postgres-frames.ts'
import type { ProxiedConnection, TcpProxy } from './tcp-proxy.ts'

/** The SQL statements that have passed a proxy. */
export interface StatementCount {
  /** How many were executed: simple queries, and executions of prepared ones. */
  readonly statements: number
  /** The beginnings (1 KiB) of the last 100 texts that were sent, simple or to be prepared. */
  readonly texts: readonly string[]
  /** Back to zero. */
  reset(): void
  /** Counts no more. */
  stop(): void
}

const maxTexts = 100

/**
 * Counts the SQL statements that clients send through a proxy before PostgreSQL or PgBouncer, on connections
 * that are opened from now on. A `Q` message counts as one, however many statements it holds.
 * Takes over `proxy.onClientData`, and calls the listener that was there.
 */
export function countStatements(proxy: TcpProxy): StatementCount {
  const before = proxy.onClientData
  const firstConnection = proxy.connections + 1
  const connections = new WeakMap<ProxiedConnection, FrontendFrames>()
  let statements = 0
  const texts: string[] = []
  const see = (type: string, body: Buffer) => {
    if (type === 'Q' || type === 'E') statements += 1
    if (type === 'Q' || type === 'P') {
      texts.push(textOf(type, body))
      if (texts.length > maxTexts) texts.shift()
    }
  }
  proxy.onClientData = (chunk, connection) => {
    before?.(chunk, connection)
    if (connection.number < firstConnection) return
    let frames = connections.get(connection)
    if (frames === undefined) {
      frames = new FrontendFrames(({ type, body }) => see(type, body))
      connections.set(connection, frames)
    }
    frames.push(chunk)
  }
  return {
    get statements() {
      return statements
    },
    get texts() {
      return [...texts]
    },
    reset() {
      statements = 0
      texts.length = 0
    },
    stop() {
      proxy.onClientData = before
    },
  }
}

/** A query's body is its text; that of a parse message has the statement's name before it. */
function textOf(type: string, body: Buffer): string {
  const strings = body.toString('utf8').split('\0')
  return strings[type === 'P' ? 1 : 0] ?? ''
}
