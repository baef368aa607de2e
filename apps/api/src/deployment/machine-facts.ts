// What the machine says about itself, read once for all checks, and made up by tests.

import { readFileSync, statfsSync } from 'node:fs'
import inspector from 'node:inspector'
import { availableParallelism, totalmem } from 'node:os'

/** Undefined is what this kind of machine does not tell. */
export interface MachineFacts {
  readonly nodeVersion: string
  /** 0 is root. */
  readonly userId: number | undefined
  /** Most files and connections of one process. */
  readonly descriptors: number | undefined
  /** Most connections that wait to be accepted (`net.core.somaxconn`). */
  readonly backlog: number | undefined
  /** What the container may use, or what the machine has. */
  readonly memoryBytes: number
  readonly cpus: number
  /** Where a debugger may connect. */
  readonly debuggerUrl: string | undefined
  /** What is free for this user where a directory is. */
  readonly freeBytes: (directory: string) => number
}

/** Those of this machine. */
export function readMachine(): MachineFacts {
  return {
    nodeVersion: process.versions.node,
    userId: process.getuid?.(),
    descriptors: numberIn('/proc/self/limits', /^Max open files +(\d+)/m),
    backlog: numberIn('/proc/sys/net/core/somaxconn', /^(\d+)/),
    memoryBytes: memoryBytes(process.constrainedMemory(), totalmem()),
    cpus: availableParallelism(),
    debuggerUrl: inspector.url(),
    freeBytes: (directory) => {
      const { bavail, bsize } = statfsSync(directory)
      return bavail * bsize
    },
  }
}

/** A container without a limit says 0, or more than there is. */
export function memoryBytes(constrained: number, total: number): number {
  return constrained > 0 ? Math.min(constrained, total) : total
}

/** The number that a pattern finds in a file; undefined when there is no such file, or no number in it. */
export function numberIn(path: string, pattern: RegExp): number | undefined {
  try {
    const [, digits] = pattern.exec(readFileSync(path, 'utf8')) ?? []
    return digits === undefined ? undefined : Number(digits)
  } catch {
    return undefined
  }
}
