// Where operators are told: counts what it has taken, by the id of each message, and can be down.

import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export class WebhookReceiver {
  readonly #server: Server
  readonly #taken = new Map<string, number>()
  isDown = false
  refused = 0

  private constructor() {
    this.#server = createServer((request, response) => {
      request.resume()
      if (this.isDown) {
        this.refused += 1
        response.writeHead(503).end()
        return
      }
      const id = String(request.headers['webhook-id'])
      this.#taken.set(id, (this.#taken.get(id) ?? 0) + 1)
      response.writeHead(204).end()
    })
  }

  static async start(): Promise<WebhookReceiver> {
    const receiver = new WebhookReceiver()
    receiver.#server.listen(0, '127.0.0.1')
    await once(receiver.#server, 'listening')
    return receiver
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/told`
  }

  /** Different messages. */
  get taken(): number {
    return this.#taken.size
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}
