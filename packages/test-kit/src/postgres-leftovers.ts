import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { readPostmasterFile } from './postmaster-file.ts'
import { isRunning, processesIn, signal } from './process-tree.ts'
import { waitUntil } from './wait-until.ts'

/**
 * Ends the PostgreSQL that a dead process left running on a data directory, and removes the lock file of one
 * that is gone (its process id may belong to somebody else by now). Processes are known as ours by their
 * working directory and program. Only for the holder of the directory's lock.
 */
export async function endLeftovers(dataDirectory: string, graceMs = 10_000): Promise<void> {
  const left = () => processesIn(dataDirectory, 'postgres').filter(isRunning)
  const found = left()
  if (found.length > 0) {
    const postmaster = (await readPostmasterFile(dataDirectory))?.pid
    if (postmaster !== undefined && found.includes(postmaster)) signal(postmaster, 'SIGINT')
    // Frozen ones hear nothing.
    for (const pid of found) signal(pid, 'SIGCONT')
    const ended = () => left().length === 0
    await waitUntil(ended, { timeoutMs: graceMs }).catch(() => {
      for (const pid of left()) signal(pid, 'SIGKILL')
    })
    await waitUntil(ended, { what: `the end of the PostgreSQL left in ${dataDirectory}` })
  }
  await rm(join(dataDirectory, 'postmaster.pid'), { force: true })
}
