import { Client, type ClientConfig } from 'pg'

const unitsMs: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  s: 1000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/** A time limit as PostgreSQL reads it, in ms: `3s`, `250ms`, `3000`. NaN when it is none. */
export function timeoutMs(text: string): number {
  const [, number, unit = 'ms'] = /^\s*'?(\d+(?:\.\d+)?)\s*(us|ms|s|min|h|d)?'?\s*$/.exec(text) ?? []
  return Math.round(Number(number) * (unitsMs[unit] ?? Number.NaN))
}

/** The time limits among the startup parameters of a connection, in ms by their names. */
export function startupTimeouts(config: ClientConfig): Readonly<Record<string, number>> {
  // Only pg knows what it makes of a connection string and of the environment.
  const { connectionParameters } = new Client(config) as unknown as {
    connectionParameters: Readonly<Record<string, unknown>>
  }
  const found: Record<string, number> = {}
  for (const name of ['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout']) {
    const value = connectionParameters[name]
    if (value !== undefined && value !== null && value !== false) found[name] = timeoutMs(String(value))
  }
  const { options } = connectionParameters
  if (typeof options === 'string') {
    for (const [, name = '', value = ''] of options.matchAll(
      /(?:-c\s*|--)(\w+_timeout)=((?:\\.|[^\s\\])+)/g,
    )) {
      found[name] = timeoutMs(value)
    }
  }
  return found
}
