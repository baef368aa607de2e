// A client that says exactly what it is told to, and goes away when it is told to.

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { waitUntil } from './wait-until.ts'

/** One connection at a time, which asks one thing after the other; a new one where the last has ended. */
export class RawClient {
  readonly #port: number
  #socket: Socket | undefined
  #heard = ''

  constructor(port: number) {
    this.#port = port
  }

  /** What is answered: all of it, also where the connection goes on. `ends`: it is over when the connection is. */
  async ask(text: string, ends: boolean): Promise<string> {
    const socket = await this.#connected()
    socket.write(text)
    const isOver = () => socket.destroyed || (!ends && isWhole(this.#heard, text.startsWith('HEAD')))
    await waitUntil(isOver, { timeoutMs: 60_000, intervalMs: 1 })
    const heard = this.#heard
    this.#heard = ''
    if (ends || /^connection: close\r$/im.test(heard)) this.#socket = undefined
    return heard
  }

  /** Sends, and is gone as soon as `isThere` says that the request has come. */
  async cut(text: string, isThere: () => boolean): Promise<void> {
    const socket = await this.#connected()
    socket.write(text)
    await waitUntil(isThere, { timeoutMs: 60_000, intervalMs: 1 })
    this.#socket = undefined
    socket.resetAndDestroy()
  }

  close(): void {
    this.#socket?.destroy()
  }

  async #connected(): Promise<Socket> {
    if (this.#socket !== undefined && !this.#socket.destroyed) return this.#socket
    const socket = connect(this.#port, '127.0.0.1')
    this.#socket = socket
    this.#heard = ''
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      this.#heard += chunk
    })
    await once(socket, 'connect')
    return socket
  }
}

function isWhole(heard: string, isHead: boolean): boolean {
  const end = heard.indexOf('\r\n\r\n')
  if (end === -1) return false
  if (isHead) return true
  const length = /^content-length: (\d+)\r$/im.exec(heard.slice(0, end + 2))?.[1]
  if (length !== undefined) return Buffer.byteLength(heard.slice(end + 4)) >= Number(length)
  return heard.endsWith('0\r\n\r\n')
}
