import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

const maxAttempts = 100

/**
 * A TCP port of 127.0.0.1 on which nothing listens at this moment.
 *
 * It lies below the ports that systems lend to outgoing connections (from 32768 on Linux), so that it
 * stays free while a server restarts. Another process may still take it first: a launcher tries again.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
    const port = randomInt(10_000, 32_000)
    if (await isFree(port)) return port
  }
  throw new Error(`none of ${maxAttempts} ports of 127.0.0.1 was free`)
}

/** Whether nothing listens on a port of 127.0.0.1. */
export async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  server.listen(port, '127.0.0.1')
  try {
    await once(server, 'listening')
    return true
  } catch {
    return false
  } finally {
    server.close()
  }
}
