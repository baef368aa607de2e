/** The arguments of `pnpm bench`. Pure. */
import { parseArgs } from 'node:util'
import type { Row } from './harness/row.ts'

export interface CommandLine {
  /** In the order they were named; all rows when none was. */
  readonly rows: readonly Row[]
  readonly rounds: number
  readonly quick: boolean
  readonly gate: boolean
  readonly list: boolean
  readonly help: boolean
  readonly profile: boolean
  readonly wrk: boolean
  readonly out: string | undefined
}

/** An argument that cannot be followed; the message says which and what would be right. */
export class CommandLineError extends Error {
  override readonly name = 'CommandLineError'
}

const DEFAULT_ROUNDS = 5
const MAX_ROUNDS = 100

export const usageText = `pnpm bench [row ...] [options]

  --list         the rows and what they promise
  --rounds N     rounds with fresh processes, 1 to ${MAX_ROUNDS} (default ${DEFAULT_ROUNDS})
  --quick        one short round: shows that the rows work, proves no figure
  --gate         exit with 1 when a goal is not met or could not be judged
  --wrk          server rows under wrk (Debian) instead of our own load generator; results in <row>.wrk.json
  --profile      also write a CPU profile per process to apps/bench/.data/profiles
  --out DIR      where to write the results, from apps/bench (default results, quick: .data/results)
  --help         this text`

export function parseCommandLine(args: readonly string[], rows: readonly Row[]): CommandLine {
  const { values, positionals } = parsed(args)
  const named = positionals.map((name) => {
    const row = rows.find((candidate) => candidate.name === name)
    if (row !== undefined) return row
    const known = rows.map((candidate) => candidate.name).join(', ')
    throw new CommandLineError(`There is no row '${name}'; the rows are ${known}.`)
  })
  const quick = values.quick ?? false
  return {
    rows: named.length === 0 ? rows : named,
    rounds: values.rounds === undefined ? (quick ? 1 : DEFAULT_ROUNDS) : roundsOf(values.rounds),
    quick,
    gate: values.gate ?? false,
    list: values.list ?? false,
    help: values.help ?? false,
    profile: values.profile ?? false,
    wrk: values.wrk ?? false,
    out: values.out,
  }
}

function roundsOf(text: string): number {
  const rounds = Number(text)
  if (Number.isInteger(rounds) && rounds >= 1 && rounds <= MAX_ROUNDS) return rounds
  throw new CommandLineError(`--rounds must be a whole number from 1 to ${MAX_ROUNDS}, not '${text}'.`)
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        list: { type: 'boolean' },
        rounds: { type: 'string' },
        quick: { type: 'boolean' },
        gate: { type: 'boolean' },
        profile: { type: 'boolean' },
        wrk: { type: 'boolean' },
        out: { type: 'string' },
        help: { type: 'boolean' },
      },
    })
  } catch (error) {
    throw new CommandLineError(error instanceof Error ? error.message : `${error}`)
  }
}
