/** The process of one loop variant: `node loop-runner.ts <module> [arguments]`. */
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { answerParent } from './parent.ts'
import type { CreateLoop, Loop } from './row.ts'

/** One slice of a loop. */
export interface LoopSlice {
  readonly operations: number
  readonly elapsedMs: number
  readonly cpuMicroseconds: number
  readonly executions: number | undefined
  readonly figures: Readonly<Record<string, number>>
}

const [module = '', ...args] = process.argv.slice(2)
let operations = 1

async function createLoop(): Promise<Loop> {
  const loaded: { default: CreateLoop } = await import(pathToFileURL(resolve(module)).href)
  return loaded.default(args)
}

// Not awaited here: a question that comes before somebody listens is lost.
const ready = createLoop()

async function slice(): Promise<LoopSlice> {
  const loop = await ready
  const cpuBefore = process.cpuUsage()
  const startedAt = performance.now()
  const outcome = await loop.run(operations)
  const elapsedMs = performance.now() - startedAt
  const cpu = process.cpuUsage(cpuBefore)
  if (outcome.results !== operations * loop.resultsPerOperation) {
    throw new Error(
      `${operations} operations produced ${outcome.results} right results instead of ${operations * loop.resultsPerOperation}`,
    )
  }
  const { executions, figures = {} } = outcome
  return { operations, elapsedMs, cpuMicroseconds: cpu.user + cpu.system, executions, figures }
}

answerParent({
  /** Warms up for at least `warmUpMs` and settles how many operations fill a slice of `sliceMs`. */
  prepare: async (argument) => {
    const { warmUpMs, sliceMs } = argument as { warmUpMs: number; sliceMs: number }
    await ready
    const endsAt = performance.now() + warmUpMs
    let elapsedMs = 0
    do {
      elapsedMs = (await slice()).elapsedMs
      const wanted = (operations * sliceMs) / Math.max(elapsedMs, 0.01)
      operations = Math.max(1, Math.round(Math.min(wanted, operations * 4)))
    } while (performance.now() < endsAt || elapsedMs < sliceMs / 2)
  },
  slice,
})
setInterval(() => {}, 60_000)
