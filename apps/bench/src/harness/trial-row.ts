/**
 * Runs trials: one service after the other, each in a fresh process on the server core, under the same load and the
 * same events. The load generator and the database are on the other core.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '@holdfast/test-kit'
import { Child, untilReady } from './child.ts'
import type { MixPlan, MixResult } from './mixed-load.ts'
import type { TrialRow, TrialVariant, World } from './row.ts'
import type { RunOptions } from './run.ts'
import type { Slice } from './statistics.ts'

/** How long answers are waited for when the load is over: a client that got none by then hangs. */
const DRAIN_MS = 10_000
/** A trial takes long, and shows what happens and not how fast: two rounds say whether it happens again. */
const MAX_ROUNDS = 2

/** Runs every variant of the row; throws when a process fails. Wrong answers are figures here, not failures. */
export async function runTrialRow(row: TrialRow, options: RunOptions): Promise<readonly Slice[]> {
  const slices: Slice[] = []
  const rounds = Math.min(options.rounds, MAX_ROUNDS)
  for (let round = 0; round < rounds; round += 1) {
    const world = await row.prepare()
    try {
      for (const [position, variant] of row.variants.entries()) {
        options.progress(`${row.name}: round ${round + 1} of ${rounds}, ${variant.name}`)
        const figures = await runTrial(row, variant, world, options)
        slices.push({ variant: variant.name, round, position, figures })
      }
    } finally {
      await world.close()
    }
  }
  return slices
}

async function runTrial(
  row: TrialRow,
  variant: TrialVariant,
  world: World,
  options: RunOptions,
): Promise<Slice['figures']> {
  const port = await freePort()
  const server = new Child(options.pinning, {
    script: variant.script,
    args: [...variant.args, String(port)],
    environment: world.environment,
    core: 'server',
    profileDirectory: options.profileDirectory,
  })
  const load = new Child(options.pinning, { script: 'src/harness/load-generator.ts', core: 'load' })
  const scale = options.trialScale
  const durationMs = (variant.durationMs ?? row.durationMs) * scale
  try {
    await untilReady(server, port, '/ready')
    const entered: Record<string, number> = {}
    const wallMs: Record<string, number> = {}
    await warmUp(row, port, load, options)
    // First, so that the events are timed from the begin of the load.
    const plan: MixPlan = { port, load: variant.load, mix: row.mix, durationMs, drainMs: DRAIN_MS * scale }
    await load.ask('prepareMix', plan)
    const before = await server.usage()
    const startedMs = performance.now()
    const driven = load.ask<MixResult>('driveMix')
    for (const { atMs, state } of row.events) {
      await sleep(Math.max(0, atMs * scale - (performance.now() - startedMs)))
      await world.enter(state)
      wallMs[state] = Date.now()
    }
    const { beganWallMs, samples, lateMs } = await driven
    for (const [state, atWallMs] of Object.entries(wallMs)) entered[state] = atWallMs - beganWallMs
    const after = await server.usage()
    // Until the last answer came, which may be after the load was over.
    const serverBusy =
      (after.cpuMicroseconds - before.cpuMicroseconds) / 1_000 / (performance.now() - startedMs)
    const report = await server.ask<Record<string, number>>('report')
    const requests = samples.map(([kind, startedAtMs, tookMs, status, database]) => ({
      kind: row.mix[kind]?.name ?? '',
      startedMs: startedAtMs,
      tookMs,
      status,
      fromDatabase: database === 1,
    }))
    return { ...row.figures({ requests, durationMs, entered, report }), serverBusy, lateMs }
  } finally {
    await load.stop()
    await server.stop()
  }
}

/** A few clients that read, so that a service is not judged by what it does while it is compiled. Nothing is counted. */
const WARM_UP_LOAD = { clients: 10, pauseMs: 0 }

async function warmUp(row: TrialRow, port: number, load: Child, options: RunOptions): Promise<void> {
  const mix = row.mix.filter(({ method }) => method === 'GET')
  if (options.warmUpMs === 0 || mix.length === 0) return
  const plan: MixPlan = { port, load: WARM_UP_LOAD, mix, durationMs: options.warmUpMs, drainMs: DRAIN_MS }
  await load.ask('prepareMix', plan)
  await load.ask('driveMix')
}
