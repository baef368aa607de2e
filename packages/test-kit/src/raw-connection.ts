// A connection that says exactly what a test wants, and keeps what it hears: what no HTTP client would send, or would
// hide.

import { connect, type Socket } from 'node:net'
import { waitUntil } from './wait-until.ts'

/** Who ends what a test has begun; a test of tap fits. */
export interface Teardown {
  teardown(run: () => unknown): unknown
}

/** One connection to a port of this machine. */
export class RawConnection {
  readonly socket: Socket
  /** What it has heard. */
  text = ''
  /** Whether it is over, whoever ended it. */
  closed = false
  /** Whether it broke, as by a reset. */
  broken = false

  /** Connects; what is said before that is sent then. The test, where one is given, destroys it at its end. */
  constructor(port: number, t?: Teardown) {
    this.socket = connect(port, '127.0.0.1')
    this.socket.setEncoding('utf8').on('data', (chunk) => {
      this.text += chunk
    })
    this.socket.on('error', () => {
      this.broken = true
    })
    this.socket.on('close', () => {
      this.closed = true
    })
    t?.teardown(() => this.socket.destroy())
  }

  say(text: string): void {
    this.socket.write(text)
  }

  /** Asks for a path. */
  ask(path: string, method = 'GET'): void {
    this.say(`${method} ${path} HTTP/1.1\r\nhost: x\r\n\r\n`)
  }

  /** How many answers have begun. */
  get answers(): number {
    return this.text.split('HTTP/1.1 ').length - 1
  }
}

/** All that a port answers to a text, until the connection is over. */
export async function exchange(port: number, text: string): Promise<string> {
  const connection = new RawConnection(port)
  connection.say(text)
  await waitUntil(() => connection.closed, { timeoutMs: 60_000, intervalMs: 1 })
  return connection.text
}
