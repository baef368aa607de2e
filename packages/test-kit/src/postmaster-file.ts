import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** What PostgreSQL writes about itself into `postmaster.pid`. */
export interface PostmasterFile {
  readonly pid: number
  readonly port: number
  readonly ready: boolean
}

/** Reads `postmaster.pid`; undefined when there is none, or not yet a whole one. */
export async function readPostmasterFile(dataDirectory: string): Promise<PostmasterFile | undefined> {
  const text = await readFile(join(dataDirectory, 'postmaster.pid'), 'utf8').catch(() => '')
  // pid, data directory, start time, port, socket directory, address, shared memory, state
  const [pid, , , port, , , , state] = text.split('\n')
  if (port === undefined) return undefined
  return { pid: Number(pid), port: Number(port), ready: state?.trim() === 'ready' }
}
