import { createServer, type Socket } from 'node:net'
import { freePort } from '@holdfast/test-kit'
import type { Test } from 'tap'

/** A server that accepts and never answers. */
export async function silentServer(t: Test): Promise<{ url: string; open: Set<Socket> }> {
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    open.add(socket)
    socket.on('error', () => {}).on('close', () => open.delete(socket))
    socket.resume()
  })
  const port = await freePort()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  return { url: `postgresql://postgres@127.0.0.1:${port}/postgres`, open }
}
