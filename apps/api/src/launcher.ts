// A package manager that is told to end (`kill`, a test runner) ends without telling the process it runs, which
// would go on, unseen, and keep the port. So a service that was started through one ends with it.

import { readFileSync } from 'node:fs'

const LOOK_MS = 1000

/**
 * Calls back once when the launcher is gone: the parent of this process, or that one's parent, because package
 * managers put a shell in between. Knows only Linux's way of telling; elsewhere it never calls. Returns a function
 * that ends the watch.
 */
export function onLauncherGone(callback: () => void): () => void {
  const parent = process.ppid
  const grandparent = parentOf(parent)
  const timer = setInterval(() => {
    if (process.ppid === parent && parentOf(parent) === grandparent) return
    clearInterval(timer)
    callback()
  }, LOOK_MS)
  timer.unref()
  return () => clearInterval(timer)
}

function parentOf(pid: number): number | undefined {
  try {
    // "pid (name) state parent ...", and the name may hold anything, even parentheses.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ')
    return Number(fields?.[1])
  } catch {
    return undefined
  }
}
