/** What a run is told, and what it gives back. */
import type { Pinning } from './child.ts'

export interface RunOptions {
  readonly pinning: Pinning
  /** Rounds with fresh processes. */
  readonly rounds: number
  /** Times every variant is measured within a round. */
  readonly turns: number
  readonly warmUpMs: number
  readonly sliceMs: number
  readonly profileDirectory: string | undefined
  /** By how much the times of trials are shortened: 1, or less in a quick run. */
  readonly trialScale: number
  /** Whether wrk drives the server rows, in the place of our own load generator. */
  readonly wrk: boolean
  /** Told what is happening, for the person who waits. */
  readonly progress: (text: string) => void
}
