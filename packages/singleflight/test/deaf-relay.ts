/** A way to a Redis on which subscribers, and they alone, can be cut off: connected, and silent. */
import { connect, createServer, type Server, type Socket } from 'node:net'
import { freePort } from '@holdfast/test-kit'

export class DeafRelay {
  readonly port: number
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #deaf = false

  static async start(targetPort: number): Promise<DeafRelay> {
    const relay = new DeafRelay(await freePort(), targetPort)
    await new Promise<void>((resolve) => relay.#server.listen(relay.port, '127.0.0.1', resolve))
    return relay
  }

  private constructor(port: number, targetPort: number) {
    this.port = port
    this.#server = createServer((client) => this.#lead(client, connect(targetPort, '127.0.0.1')))
  }

  /** From now on nothing reaches a connection that has ever subscribed. */
  deafen(): void {
    this.#deaf = true
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #lead(client: Socket, upstream: Socket): void {
    let subscribed = false
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        client.destroy()
        upstream.destroy()
      })
    }
    client.on('data', (bytes) => {
      subscribed ||= /\r\nsubscribe\r\n/i.test(bytes.toString('latin1'))
      upstream.write(bytes)
    })
    upstream.on('data', (bytes) => {
      if (!(subscribed && this.#deaf)) client.write(bytes)
    })
  }
}
