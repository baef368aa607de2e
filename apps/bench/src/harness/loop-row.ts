/**
 * Measures operations inside a process. Every variant has a process of its own on the server core (so that one
 * variant's garbage and compiled code are not another's), and they run in turn, never at once.
 */
import { Child } from './child.ts'
import type { LoopSlice } from './loop-runner.ts'
import type { LoopRow } from './row.ts'
import type { RunOptions } from './run.ts'
import { orderOfTurn, type Slice } from './statistics.ts'

const NANOSECONDS_PER_MS = 1_000_000
const NANOSECONDS_PER_MICROSECOND = 1_000

/** Runs every variant of the row; throws when a process fails or a loop produced a wrong result. */
export async function runLoopRow(row: LoopRow, options: RunOptions): Promise<readonly Slice[]> {
  const world = await row.prepare?.()
  try {
    return await runRounds(row, options, world?.args ?? [])
  } finally {
    await world?.close()
  }
}

async function runRounds(
  row: LoopRow,
  options: RunOptions,
  worldArgs: readonly string[],
): Promise<readonly Slice[]> {
  const slices: Slice[] = []
  for (let round = 0; round < options.rounds; round += 1) {
    options.progress(`${row.name}: round ${round + 1} of ${options.rounds}`)
    const loops = new Map<string, Child>()
    try {
      for (const variant of row.variants) {
        const child = new Child(options.pinning, {
          script: 'src/harness/loop-runner.ts',
          args: [variant.module, ...worldArgs, ...(variant.args ?? [])],
          core: 'server',
          profileDirectory: options.profileDirectory,
        })
        loops.set(variant.name, child)
        await child.ask('prepare', { warmUpMs: options.warmUpMs, sliceMs: options.sliceMs })
      }
      let position = 0
      for (let turn = 0; turn < options.turns; turn += 1) {
        for (const [variant, child] of orderOfTurn([...loops], turn)) {
          const slice = await child.ask<LoopSlice>('slice')
          slices.push({ variant, round, position, figures: figuresOf(slice) })
          position += 1
        }
      }
    } finally {
      for (const child of loops.values()) await child.stop()
    }
  }
  return slices
}

function figuresOf(slice: LoopSlice): Slice['figures'] {
  return {
    nanoseconds: (slice.elapsedMs * NANOSECONDS_PER_MS) / slice.operations,
    cpuNanoseconds: (slice.cpuMicroseconds * NANOSECONDS_PER_MICROSECOND) / slice.operations,
    ...slice.figures,
    ...(slice.executions === undefined ? {} : { executions: slice.executions / slice.operations }),
  }
}
