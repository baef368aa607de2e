// The words after `pnpm --filter @holdfast/api demo`. Pure.

import { parseArgs } from 'node:util'

/** What a person may choose. */
export interface DemoOptions {
  /** How long the load is measured. */
  readonly seconds: number
  /** Users who are connected at the same time. Undefined: as many as the machine lets, up to 5,000. */
  readonly users: number | undefined
  /** Where the report goes, from where the command was called. */
  readonly report: string
  /** Of who does what when. */
  readonly seed: number
  readonly help: boolean
}

/** Words that cannot be followed; the message says which, and what would be right. */
export class DemoUsageError extends Error {
  override readonly name = 'DemoUsageError'
}

/** What REQUIREMENTS wants to see. */
export const DEFAULT_USERS = 5000
const DEFAULT_SECONDS = 60
const DEFAULT_SEED = 1
const DEFAULT_REPORT = 'apps/api/.data/demo.html'
const BOUNDS = {
  seconds: [5, 3600],
  users: [20, 20_000],
  seed: [0, 4_294_967_295],
} as const

export const USAGE = `usage: pnpm --filter @holdfast/api demo [options]
  --seconds ${DEFAULT_SECONDS}     how long the load is measured, ${BOUNDS.seconds[0]} to ${BOUNDS.seconds[1]}
  --users ${DEFAULT_USERS}     users who are connected at once, ${BOUNDS.users[0]} to ${BOUNDS.users[1]}; left out: fewer where the limit of
                   open files is lower, which is said
  --report <file>  where the report goes, ${DEFAULT_REPORT}
  --seed ${DEFAULT_SEED}         the same users do the same
  --help           this text
Starts the service with PostgreSQL, PgBouncer, Redis, a provider of odds and a webhook of its own, loads it, breaks what it
depends on, and says what held. The exit code is 0 when every claim that was measured holds, 1 when one does not, and 2 when
the words were not understood.`

/** @throws {DemoUsageError} */
export function parseDemoOptions(words: readonly string[]): DemoOptions {
  const { values, positionals } = parsed(words.filter((word) => word !== '--'))
  if (positionals.length > 0) throw new DemoUsageError(`There is nothing called '${positionals[0]}' here.`)
  if (values.report === '') throw new DemoUsageError('--report is empty. Name a file.')
  return {
    seconds: wholeNumber('seconds', values.seconds) ?? DEFAULT_SECONDS,
    users: wholeNumber('users', values.users),
    report: values.report ?? DEFAULT_REPORT,
    seed: wholeNumber('seed', values.seed) ?? DEFAULT_SEED,
    help: values.help ?? false,
  }
}

/** How many users the limit of open files leaves room for: each is a socket on both sides, in a process of its own. */
export function usersWithin(openFiles: number, wanted = DEFAULT_USERS): number {
  const SPARE_FILES = 500
  return Math.max(0, Math.min(wanted, openFiles - SPARE_FILES))
}

function wholeNumber(name: keyof typeof BOUNDS, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const [min, max] = BOUNDS[name]
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= min && value <= max) return value
  throw new DemoUsageError(`--${name} is '${text.slice(0, 80)}'. Write a whole number from ${min} to ${max}.`)
}

function parsed(words: readonly string[]) {
  try {
    return parseArgs({
      args: [...words],
      allowPositionals: true,
      options: {
        seconds: { type: 'string' },
        users: { type: 'string' },
        report: { type: 'string' },
        seed: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    throw new DemoUsageError(error instanceof Error ? error.message : String(error))
  }
}
