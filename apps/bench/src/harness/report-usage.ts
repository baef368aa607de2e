/**
 * Loaded into every measured process by `--import`, ours or not: tells what the process has used so far, and
 * ends it in the way that lets `--cpu-prof` write its file.
 */
import { answerParent } from './parent.ts'

/** CPU of all threads of the process since its start, and its memory now. */
export interface Usage {
  readonly cpuMicroseconds: number
  /** The part of it that was not spent in the kernel. */
  readonly userMicroseconds: number
  readonly residentBytes: number
}

answerParent({
  usage: (): Usage => {
    const { user, system } = process.cpuUsage()
    return {
      cpuMicroseconds: user + system,
      userMicroseconds: user,
      residentBytes: process.memoryUsage.rss(),
    }
  },
  exit: () => {
    setImmediate(() => process.exit())
  },
})
