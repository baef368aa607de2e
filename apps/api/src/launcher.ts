// A package manager that is told to end (`kill`, a test runner) ends without telling the process it runs, which
// would go on, unseen, and keep the port. So a service that was started through one ends with it.

import { readFileSync } from 'node:fs'

const LOOK_MS = 1000
const MAX_GENERATIONS = 32

/**
 * Calls back once when the launcher, or any process between it and this one, is gone: `npx pnpm start` is a
 * package manager that runs a shell that runs a package manager, and so on. Knows only Linux's way of telling;
 * elsewhere it sees the parent alone. Returns a function that ends the watch.
 */
export function onLauncherGone(callback: () => void): () => void {
  const ancestors = ancestorsToLauncher()
  // A process whose parent ends is given to another one.
  const isWhole = () =>
    process.ppid === ancestors[0] &&
    ancestors.every((pid, index) => index === ancestors.length - 1 || parentOf(pid) === ancestors[index + 1])
  const timer = setInterval(() => {
    if (isWhole()) return
    clearInterval(timer)
    callback()
  }, LOOK_MS)
  timer.unref()
  return () => clearInterval(timer)
}

/**
 * The parent of this process, its parent and so on, up to the package manager that a person called: the first
 * one whose own environment does not say that it is part of a script.
 */
function ancestorsToLauncher(): number[] {
  const ancestors = [process.ppid]
  for (let pid = process.ppid; ancestors.length < MAX_GENERATIONS && isPartOfScript(pid); ) {
    const parent = parentOf(pid)
    if (parent === undefined) break
    ancestors.push(parent)
    pid = parent
  }
  return ancestors
}

function isPartOfScript(pid: number): boolean {
  return `\0${read(pid, 'environ')}`.includes('\0npm_lifecycle_event=')
}

function parentOf(pid: number): number | undefined {
  // "pid (name) state parent ...", and the name may hold anything, even parentheses.
  const parent = Number(read(pid, 'stat').split(') ').at(-1)?.split(' ')[1])
  return Number.isInteger(parent) && parent > 0 ? parent : undefined
}

function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return ''
  }
}
