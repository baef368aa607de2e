/*
 * Metrics of the process and of Node.js. Guarantees: nothing is reset by reading, so that several collectors see the
 * same; every garbage collection is counted, also those that the runtime tells about together; what `stop` leaves behind
 * is no timer and no observer.
 */
import { getHeapStatistics } from 'node:v8'
import type { Clock } from '@holdfast/footing'
import type { RuntimeClock } from './clock.ts'
import type { MetricSet } from './metric-set.ts'
import {
  CPU,
  CPU_SYSTEM,
  CPU_USER,
  EXTERNAL,
  GC_SECONDS,
  HEAP_LIMIT,
  HEAP_TOTAL,
  HEAP_USED,
  LOOP_ACTIVE,
  LOOP_DELAY,
  LOOP_IDLE,
  MAX_FILES,
  NODE_VERSION,
  OPEN_FILES,
  RESIDENT,
  RESOURCES,
  START_TIME,
} from './metrics.ts'
import { maxOpenFiles, openFiles } from './open-files-directory.ts'

/** The delay of the loop is looked at so often. */
const LOOK_MS = 20

/** What the runtime is read with. */
export interface RuntimeSources {
  readonly clock: Clock
  readonly runtime: RuntimeClock
}

/** Registers them; the answer ends what they need. Raises `HOLDFAST_ERR_METRICS_DUPLICATE`. */
export function collectRuntime(set: MetricSet, { clock, runtime }: RuntimeSources): () => void {
  set.readCounter(CPU_USER, () => process.cpuUsage().user / 1e6)
  set.readCounter(CPU_SYSTEM, () => process.cpuUsage().system / 1e6)
  set.readCounter(CPU, () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
  set.readCounter(LOOP_ACTIVE, () => runtime.loop().active / 1000)
  set.readCounter(LOOP_IDLE, () => runtime.loop().idle / 1000)

  readGauge(set, { ...RESIDENT }, () => process.memoryUsage.rss())
  readGauge(set, { ...HEAP_TOTAL }, () => getHeapStatistics().total_heap_size)
  readGauge(set, { ...HEAP_USED }, () => getHeapStatistics().used_heap_size)
  readGauge(set, { ...HEAP_LIMIT }, () => getHeapStatistics().heap_size_limit)
  readGauge(set, { ...EXTERNAL }, () => getHeapStatistics().external_memory)
  readGauge(set, { ...OPEN_FILES }, () => openFiles() ?? Number.NaN)
  set.gauge({ ...MAX_FILES, aggregate: 'min' }).set(maxOpenFiles() ?? Number.NaN)
  set.gauge({ ...START_TIME, aggregate: 'min' }).set(runtime.startedWallMs / 1000)
  set
    .gauge({ ...NODE_VERSION, labels: { version: [process.version] }, aggregate: 'max' })
    .set({ version: process.version }, 1)
  readResources(set)

  const collections = set.histogram(GC_SECONDS)
  const endGarbage = runtime.onGarbage((kind, ms) => collections.observe({ kind }, ms / 1000))
  const endLoop = watchLoop(clock, set.histogram(LOOP_DELAY).observe)
  return () => {
    endGarbage()
    endLoop()
  }
}

function readGauge(
  set: MetricSet,
  definition: { readonly name: string; readonly help: string },
  read: () => number,
): void {
  const gauge = set.gauge({ ...definition, collect: () => gauge.set(read()) })
}

function readResources(set: MetricSet): void {
  const seen = new Set<string>()
  const gauge = set.gauge({
    ...RESOURCES,
    collect: () => {
      const counts = new Map<string, number>([...seen].map((type) => [type, 0]))
      for (const type of process.getActiveResourcesInfo()) counts.set(type, (counts.get(type) ?? 0) + 1)
      for (const [type, count] of counts) {
        if (seen.size < RESOURCES.labels.type.max) seen.add(type)
        gauge.set({ type }, count)
      }
    },
  })
}

/** Tells how much later than asked for each timer runs, in seconds. */
function watchLoop(clock: Clock, observe: (seconds: number) => void): () => void {
  let cancel = () => {}
  const look = (): void => {
    const dueMs = clock.nowMs() + LOOK_MS
    cancel = clock.schedule(LOOK_MS, () => {
      observe(Math.max(0, clock.nowMs() - dueMs) / 1000)
      look()
    })
  }
  look()
  return () => cancel()
}
