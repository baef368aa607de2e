// Strikes while a certain statement is on its way through a proxy, so that it is known, and no matter of luck, what of it
// has arrived.

import type { TcpProxy } from '@holdfast/test-kit'

/** When to strike, and what stays on the line until it is healed or reset. */
export interface Strike {
  /** What the statement has in it. */
  readonly at: string
  /** What went before on the same connection. Default: whatever. */
  readonly after?: string
  readonly holds: 'the statement' | 'its answer' | 'nothing'
}

const KEPT_CHARACTERS = 20_000

/** Calls `strike` once, before anything else can happen. Resolves when it has. */
export function strikeAt(line: TcpProxy, { at, after, holds }: Strike, strike: () => void): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const sent = new Map<number, string>()
  line.onClientData = (chunk, { number }) => {
    const text = (sent.get(number) ?? '') + chunk.toString('latin1')
    sent.set(number, text.slice(-KEPT_CHARACTERS))
    const from = after === undefined ? 0 : text.indexOf(after)
    if (from < 0 || text.indexOf(at, from) < 0) return
    line.onClientData = undefined
    if (holds === 'the statement') line.blackhole()
    // It is handed on when this returns, and no answer is read before.
    if (holds === 'its answer') queueMicrotask(() => line.blackhole())
    strike()
    resolve()
  }
  return promise
}
