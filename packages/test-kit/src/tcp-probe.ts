import { once } from 'node:events'
import { connect } from 'node:net'

/**
 * Connects to a port of 127.0.0.1, says `message`, and resolves when the answer begins with `answer`. An empty
 * answer asks for the connection only. Rejects otherwise, and after two seconds.
 */
export async function probeTcp(port: number, message: Uint8Array | string, answer: string): Promise<void> {
  const signal = AbortSignal.timeout(2000)
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect', { signal })
    if (answer === '') return
    socket.write(message)
    const [received]: Buffer[] = await once(socket, 'data', { signal })
    const text = String(received)
    if (!text.startsWith(answer)) throw new Error(`port ${port} answered ${text}`)
  } finally {
    socket.on('error', () => {})
    socket.destroy()
  }
}
