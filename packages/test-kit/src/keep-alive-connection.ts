/**
 * One keep-alive connection of HTTP/1.1 that has at most one request in flight: prepared bytes go out, and of what comes
 * back only what must be known is parsed (status, length), because a load generator that costs more than the server
 * would measure itself. It speaks to loopback, without TLS, and gives up on chunked answers.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

const HEAD_END = Buffer.from('\r\n\r\n')
const READ_BUFFER_BYTES = 64 * 1024
/** Of all connections: what is read is looked at before anything else is read. */
const READ_BUFFER = Buffer.allocUnsafe(READ_BUFFER_BYTES)

/** Who is told what a connection brings. */
export interface KeepAliveUser {
  /** `head` is the head of the answer in small letters. */
  onAnswer(status: number, head: string): void
  /** The connection is of no use any more, and a request is without an answer. */
  onBroken(what: string): void
}

/** One socket, and the end of one answer at a time in its bytes. */
export class KeepAliveConnection {
  readonly #socket: Socket
  #user: KeepAliveUser | undefined
  #awaitsAnswer = false
  #partialHead: Buffer | undefined
  #bodyBytesLeft = 0
  #status = 0
  #head = ''

  private constructor(port: number) {
    this.#socket = connect({
      host: '127.0.0.1',
      port,
      noDelay: true,
      onread: {
        buffer: READ_BUFFER,
        callback: (count, buffer) => {
          this.#read(Buffer.from(buffer.buffer, buffer.byteOffset, count))
          return true
        },
      },
    })
    this.#socket.on('error', (error) => this.giveUp(`connection error: ${error.message}`))
    this.#socket.on('close', () => this.giveUp('the server closed a connection with a request in flight'))
  }

  /** Rejects when the server does not accept it. */
  static async open(port: number): Promise<KeepAliveConnection> {
    const connection = new KeepAliveConnection(port)
    await once(connection.#socket, 'connect')
    return connection
  }

  get isOpen(): boolean {
    return this.#socket.readyState === 'open'
  }

  use(user: KeepAliveUser): void {
    this.#user = user
  }

  /** Only when the answer before has come. */
  send(request: Buffer): void {
    this.#awaitsAnswer = true
    this.#socket.write(request)
  }

  /** Destroys it; whoever waits for an answer is told why. */
  giveUp(what: string): void {
    this.#socket.destroy()
    if (!this.#awaitsAnswer) return
    this.#awaitsAnswer = false
    this.#user?.onBroken(what)
  }

  close(): void {
    this.#awaitsAnswer = false
    this.#socket.destroy()
  }

  #read(chunk: Buffer): void {
    if (!this.#awaitsAnswer) {
      this.#socket.destroy()
      return
    }
    if (this.#bodyBytesLeft > 0) {
      this.#takeBody(chunk.length)
      return
    }
    const bytes = this.#partialHead === undefined ? chunk : Buffer.concat([this.#partialHead, chunk])
    const headEnd = bytes.indexOf(HEAD_END)
    if (headEnd === -1) {
      // The read buffer is used again for the next read, so what is kept must be copied.
      this.#partialHead = Buffer.from(bytes)
      return
    }
    this.#partialHead = undefined
    const head = bytes.toString('latin1', 0, headEnd).toLowerCase()
    this.#status = Number(head.slice(9, 12))
    this.#head = head
    const length = /\r\ncontent-length: *(\d+)/.exec(head)?.[1]
    const bodiless = this.#status === 304 || this.#status === 204
    if (length === undefined && !bodiless) {
      this.giveUp(`an answer (${this.#status}) without content-length`)
      return
    }
    this.#bodyBytesLeft = bodiless ? 0 : Number(length)
    this.#takeBody(bytes.length - headEnd - HEAD_END.length)
  }

  #takeBody(bytes: number): void {
    this.#bodyBytesLeft -= bytes
    if (this.#bodyBytesLeft > 0) return
    if (this.#bodyBytesLeft < 0) {
      this.giveUp(`${-this.#bodyBytesLeft} bytes more than announced`)
      return
    }
    this.#awaitsAnswer = false
    this.#user?.onAnswer(this.#status, this.#head)
  }
}
