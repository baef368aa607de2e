import { constants, PerformanceObserver, performance } from 'node:perf_hooks'

/** Why memory was collected. */
export type GarbageKind = 'major' | 'minor' | 'incremental' | 'weakcb'

/** What the runtime tells about its own time. */
export interface RuntimeClock {
  /** How long the event loop has been busy and idle, in ms, since the process began. */
  loop(): { readonly active: number; readonly idle: number }
  /** Calls back for every garbage collection until the answer is called. */
  onGarbage(callback: (kind: GarbageKind, ms: number) => void): () => void
  /** When the process began, in ms since 1970. */
  readonly startedWallMs: number
}

const KINDS: Readonly<Record<number, GarbageKind>> = {
  [constants.NODE_PERFORMANCE_GC_MAJOR]: 'major',
  [constants.NODE_PERFORMANCE_GC_MINOR]: 'minor',
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL]: 'incremental',
  [constants.NODE_PERFORMANCE_GC_WEAKCB]: 'weakcb',
}

/** The machine's. */
export const systemRuntimeClock: RuntimeClock = {
  loop: () => performance.eventLoopUtilization(),
  startedWallMs: performance.timeOrigin,
  onGarbage(callback) {
    const observer = new PerformanceObserver((list) => {
      // There are many of them in one list when the loop was busy.
      for (const entry of list.getEntries()) {
        const { kind } = (entry as typeof entry & { readonly detail: { readonly kind: number } }).detail
        callback(KINDS[kind] ?? 'major', entry.duration)
      }
    })
    observer.observe({ entryTypes: ['gc'] })
    return () => observer.disconnect()
  },
}
