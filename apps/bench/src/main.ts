/** `pnpm bench`: measures the rows that were named, or all of them. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CommandLineError, parseCommandLine, usageText } from './command-line.ts'
import { benchDirectory, pinThisProcess } from './harness/child.ts'
import { runFloodRow } from './harness/flood-row.ts'
import { runLoopRow } from './harness/loop-row.ts'
import { describeOrigin } from './harness/machine.ts'
import { goalsTable, type RowResult, resultOf, resultText } from './harness/report.ts'
import type { Row } from './harness/row.ts'
import type { RunOptions } from './harness/run.ts'
import { runServerRow } from './harness/server-row.ts'
import type { Slice } from './harness/statistics.ts'
import { runTrialRow } from './harness/trial-row.ts'
import { rows } from './rows/all.ts'

/** Slices long enough to average out a garbage collection, short enough to have a near neighbour. */
const FULL = {
  server: { warmUpMs: 1_000, sliceMs: 500, turns: 4 },
  loop: { warmUpMs: 2_000, sliceMs: 60, turns: 15 },
  trial: { warmUpMs: 1_500, sliceMs: 0, turns: 1, trialScale: 1 },
  // A p99 needs a thousand requests.
  flood: { warmUpMs: 500, sliceMs: 1_000, turns: 4 },
}
const QUICK = {
  server: { warmUpMs: 150, sliceMs: 150, turns: 1 },
  loop: { warmUpMs: 30, sliceMs: 10, turns: 3 },
  trial: { warmUpMs: 150, sliceMs: 0, turns: 1, trialScale: 0.1 },
  flood: { warmUpMs: 50, sliceMs: 150, turns: 1 },
}

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  let command: ReturnType<typeof parseCommandLine>
  try {
    command = parseCommandLine(args, rows)
  } catch (error) {
    if (!(error instanceof CommandLineError)) throw error
    console.error(`${error.message}\n\n${usageText}`)
    return 2
  }
  if (command.help) {
    console.log(usageText)
    return 0
  }
  if (command.list) {
    for (const row of rows) console.log(`${row.name.padEnd(10)} ${row.title}`)
    console.log(`\n${goalsTable(rows)}`)
    return 0
  }

  const pinning = pinThisProcess()
  const profileDirectory = command.profile ? join(benchDirectory, '.data', 'profiles') : undefined
  // A quick run must not replace the figures of a real one.
  const resultsDirectory = command.out ?? join(benchDirectory, command.quick ? '.data/results' : 'results')
  await mkdir(resultsDirectory, { recursive: true })
  let failedRows = 0
  let unmetGoals = 0
  for (const row of command.rows) {
    const times = (command.quick ? QUICK : FULL)[row.kind]
    const options = {
      trialScale: 1,
      ...times,
      sliceMs: times.sliceMs * (row.kind === 'server' ? (row.sliceFactor ?? 1) : 1),
      rounds: command.rounds,
      quick: command.quick,
      pinning,
      profileDirectory,
      wrk: command.wrk && row.kind === 'server',
      progress: (text: string) => process.stderr.write(`${text}\n`),
    }
    try {
      const slices = await runRow(row, options)
      const result = resultOf(row, slices, describeOrigin(new Date()), options)
      console.log(resultText(result))
      await writeFile(
        join(resultsDirectory, `${row.name}${options.wrk ? '.wrk' : ''}.json`),
        resultJson(result),
      )
      unmetGoals += result.goals.filter((goal) => goal.verdict !== 'met').length
    } catch (error) {
      failedRows += 1
      console.error(`${row.name}: not measured: ${error instanceof Error ? error.message : error}\n`)
    }
  }
  if (failedRows > 0) return 1
  return command.gate && unmetGoals > 0 ? 1 : 0
}

function runRow(row: Row, options: RunOptions): Promise<readonly Slice[]> {
  if (row.kind === 'server') return runServerRow(row, options)
  if (row.kind === 'flood') return runFloodRow(row, options)
  return row.kind === 'loop' ? runLoopRow(row, options) : runTrialRow(row, options)
}

/** Readable where a person looks, one line per slice where only a program does. */
function resultJson(result: RowResult): string {
  const { slices, ...summary } = result
  const lines = slices.map((slice) => `    ${JSON.stringify(slice)}`)
  return `${JSON.stringify(summary, undefined, 2).slice(0, -2)},\n  "slices": [\n${lines.join(',\n')}\n  ]\n}\n`
}
