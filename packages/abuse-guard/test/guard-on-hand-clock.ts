/** A guard over a clock that a test moves, without Fastify. */
import { HandClock } from '@holdfast/test-kit'
import { AbuseGuard } from '../src/abuse-guard.ts'
import { type AbuseGuardOptions, resolveOptions } from '../src/options.ts'
import type { BlockStore } from '../src/store.ts'

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly message: string
  readonly details: Readonly<Record<string, unknown>>
}

export function guardOnHandClock(
  options: AbuseGuardOptions = {},
  store?: BlockStore,
  clock = new HandClock(),
) {
  const lines: LogLine[] = []
  const line = (level: LogLine['level']) => (details: object, message: string) =>
    void lines.push({ level, message, details: details as Record<string, unknown> })
  const log = { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') }
  const guard = new AbuseGuard(resolveOptions({ seed: 1, ...options, clock }), { log, store })
  /** Sends so many requests at this moment; answers how many were refused. */
  const send = (address: string, count: number, headers: Record<string, string> = {}) => {
    let refused = 0
    for (let request = 0; request < count; request += 1) {
      if (guard.arrive(address, 1, { headers }) !== undefined) refused += 1
    }
    return refused
  }
  return { guard, clock, lines, send }
}
