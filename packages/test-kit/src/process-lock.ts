import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digest } from './digest.ts'

/** A lock that this process holds until it lets go or ends, however it ends. */
export interface ProcessLock {
  release(): void
}

/**
 * Takes the lock of that name, unless a living process (this one included) holds it: then answers undefined.
 *
 * On Linux it is an abstract socket address, which the kernel gives up with its process. Elsewhere it is a
 * socket file, which may outlive its process and is then replaced; two processes that replace it at the very
 * same moment could both succeed, and PostgreSQL's own lock file is what is left between them.
 */
export async function takeProcessLock(
  name: string,
  abstract = process.platform === 'linux',
  directory = tmpdir(),
): Promise<ProcessLock | undefined> {
  const id = `holdfast-lock-${digest(name)}`
  if (abstract) return listenOn(`\0${id}`)
  const path = join(directory, id)
  const lock = await listenOn(path)
  if (lock !== undefined || (await isAnswered(path))) return lock
  await rm(path, { force: true })
  return listenOn(path)
}

async function listenOn(path: string): Promise<ProcessLock | undefined> {
  const server = createServer((socket) => socket.destroy())
  server.listen(path).unref()
  try {
    await once(server, 'listening')
    return { release: () => server.close() }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') return undefined
    throw error
  }
}

async function isAnswered(path: string): Promise<boolean> {
  const socket = connect(path)
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
