// A client that says exactly what it is told to, and goes away when it is told to.

import { RawConnection } from './raw-connection.ts'
import { waitUntil } from './wait-until.ts'

/** One connection at a time, which asks one thing after the other; a new one where the last has ended. */
export class RawClient {
  readonly #port: number
  #connection: RawConnection | undefined

  constructor(port: number) {
    this.#port = port
  }

  /** What is answered: all of it, also where the connection goes on. `ends`: it is over when the connection is. */
  async ask(text: string, ends: boolean): Promise<string> {
    const connection = this.#connected()
    connection.say(text)
    const isOver = () => connection.closed || (!ends && isWhole(connection.text, text.startsWith('HEAD')))
    await waitUntil(isOver, { timeoutMs: 60_000, intervalMs: 1 })
    const heard = connection.text
    connection.text = ''
    if (ends || /^connection: close\r$/im.test(heard)) this.#connection = undefined
    return heard
  }

  /** Sends, and is gone as soon as `isThere` says that the request has come. */
  async cut(text: string, isThere: () => boolean): Promise<void> {
    const connection = this.#connected()
    connection.say(text)
    await waitUntil(isThere, { timeoutMs: 60_000, intervalMs: 1 })
    this.#connection = undefined
    connection.socket.resetAndDestroy()
  }

  close(): void {
    this.#connection?.socket.destroy()
  }

  #connected(): RawConnection {
    if (this.#connection === undefined || this.#connection.closed || this.#connection.socket.destroyed)
      this.#connection = new RawConnection(this.#port)
    return this.#connection
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
