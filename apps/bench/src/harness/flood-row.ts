/**
 * Measures even requests to server processes, beside a flood and without it. All servers of a row are alive at once on
 * the server core, and one variant is driven at a time, so that neighbouring slices see the same machine. Both loads are
 * open loops and processes of their own: neither waits for the server, and neither makes the other late by its own work.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Child } from './child.ts'
import { floodFigures } from './flood-figures.ts'
import type { MixPlan, MixResult } from './mixed-load.ts'
import type { FloodCounts, FloodRow, FloodTraffic, FloodVariant } from './row.ts'
import { RowServers } from './row-servers.ts'
import type { RunOptions } from './run.ts'
import { orderOfTurn, type Slice } from './statistics.ts'

/** How long the flood comes before the steady requests do: until what the bucket held is used up. */
const LEAD_MS = 300
/** How long the flood goes on after them, so that the last of them is not alone. */
const TAIL_MS = 50
/** How long answers are waited for when the load is over. */
const DRAIN_MS = 10_000

/** The processes of a round. */
interface Stage {
  readonly servers: RowServers
  readonly steady: Child
  readonly flood: Child
}

/** Runs every variant of the row; throws when a process fails or one answer was none that may be given. */
export async function runFloodRow(row: FloodRow, options: RunOptions): Promise<readonly Slice[]> {
  const slices: Slice[] = []
  for (let round = 0; round < options.rounds; round += 1) {
    options.progress(`${row.name}: round ${round + 1} of ${options.rounds}`)
    slices.push(...(await runRound(row, options, round)))
  }
  return slices
}

async function runRound(row: FloodRow, options: RunOptions, round: number): Promise<readonly Slice[]> {
  const generator = () =>
    new Child(options.pinning, { script: 'src/harness/load-generator.ts', core: 'load' })
  const world = await row.prepare()
  const servers = new RowServers(row.name)
  const stage: Stage = { servers, steady: generator(), flood: generator() }
  try {
    await servers.start(row.servers, world, options)
    for (const variant of row.variants) await measure(row, variant, stage, options.warmUpMs)
    const slices: Slice[] = []
    for (let turn = 0; turn < options.turns; turn += 1) {
      for (const variant of orderOfTurn(row.variants, turn)) {
        const figures = await measure(row, variant, stage, options.sliceMs)
        slices.push({ variant: variant.name, round, position: slices.length, figures })
      }
    }
    return slices
  } finally {
    await stage.steady.stop()
    await stage.flood.stop()
    await servers.stop()
    await world.close()
  }
}

async function measure(
  row: FloodRow,
  variant: FloodVariant,
  { servers, steady, flood }: Stage,
  durationMs: number,
): Promise<Slice['figures']> {
  const { child, port } = servers.of(variant)
  await steady.ask('prepareMix', planOf(row.steady, port, durationMs))
  let flooding: Promise<MixResult> | undefined
  if (variant.flooded) {
    await flood.ask('prepareMix', planOf(row.flood, port, LEAD_MS + durationMs + TAIL_MS))
    flooding = flood.ask<MixResult>('driveMix')
    // It is waited for below, and may fail before.
    flooding.catch(() => {})
    await sleep(LEAD_MS)
  }
  const startedMs = performance.now()
  const before = await stateOf(child)
  const result = await steady.ask<MixResult>('driveMix')
  const after = await stateOf(child)
  const elapsedMs = performance.now() - startedMs
  return floodFigures({
    durationMs,
    steady: result,
    flood: await flooding,
    counted: {
      steady: after.counts.steady - before.counts.steady,
      flood: after.counts.flood - before.counts.flood,
      redisCalls: after.counts.redisCalls - before.counts.redisCalls,
    },
    cpuMicroseconds: after.cpuMicroseconds - before.cpuMicroseconds,
    elapsedMs,
  })
}

async function stateOf(server: Child): Promise<{ counts: FloodCounts; cpuMicroseconds: number }> {
  const [counts, { cpuMicroseconds }] = await Promise.all([server.ask<FloodCounts>('report'), server.usage()])
  return { counts, cpuMicroseconds }
}

function planOf({ load, path }: FloodTraffic, port: number, durationMs: number): MixPlan {
  return { port, load, mix: [{ name: path, method: 'GET', path, share: 1 }], durationMs, drainMs: DRAIN_MS }
}
