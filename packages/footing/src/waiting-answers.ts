// Answers that wait behind another one of their connection: Node gives such a response no socket before its turn, and tells
// it nothing when the connection ends. There is one listener for each connection, however many wait on it.

const WAITING = Symbol('what ends with this connection')

/** What this file needs of a connection. */
interface Connection {
  once(event: 'close', listener: () => void): unknown
  [WAITING]?: Set<() => void>
}

/** What it needs of a response. */
export interface WaitingResponse {
  readonly req: { readonly socket: object }
  once(event: 'close', listener: () => void): unknown
}

/** For a response without a socket: calls `end` when its connection ends before the response does. */
export function endsWithConnection(response: WaitingResponse, end: () => void): void {
  const connection = response.req.socket as Connection
  const waiting = connection[WAITING] ?? new Set<() => void>()
  if (connection[WAITING] === undefined) {
    connection[WAITING] = waiting
    connection.once('close', () => {
      for (const each of [...waiting]) each()
    })
  }
  waiting.add(end)
  response.once('close', () => waiting.delete(end))
}
