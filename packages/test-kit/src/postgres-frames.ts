/** A message of a client to PostgreSQL: its type letter, and the beginning of its body. */
export interface FrontendFrame {
  /** `Q` query, `P` parse, `B` bind, `E` execute, ... or an empty string for the messages that open a connection. */
  readonly type: string
  /** At most 1024 bytes of the body. */
  readonly body: Buffer
}

const maxBodyBytes = 1024
// These requests open a connection without being its start: after the answer another opening message follows.
const tlsRequest = 80_877_103
const gssRequest = 80_877_104

/**
 * Reads the messages that one client sends to PostgreSQL (PostgreSQL documentation, "Message Formats") from
 * chunks of any size. Keeps at most 1 KiB of each body, whatever its size. Cannot read an encrypted connection:
 * after a request for encryption it expects the client to go on in plain text.
 */
export class FrontendFrames {
  readonly #onFrame: (frame: FrontendFrame) => void
  #opening = true
  /** The bytes of the header so far, or of the part of the body that is kept. */
  #head: Buffer = Buffer.alloc(0)
  #type: string | undefined
  #keepBytes = 0
  /** What follows the kept part of the body. */
  #dropBytes = 0
  #skipBytes = 0

  constructor(onFrame: (frame: FrontendFrame) => void) {
    this.#onFrame = onFrame
  }

  push(chunk: Buffer): void {
    let rest = chunk
    while (rest.length > 0) {
      if (this.#skipBytes > 0) {
        const skipped = Math.min(this.#skipBytes, rest.length)
        this.#skipBytes -= skipped
        rest = rest.subarray(skipped)
      } else {
        rest = this.#type === undefined ? this.#readHeader(rest) : this.#readBody(rest)
      }
    }
  }

  #readHeader(rest: Buffer): Buffer {
    const headerBytes = this.#opening ? 4 : 5
    const taken = this.#fill(rest, headerBytes)
    if (this.#head.length < headerBytes) return taken
    const header = this.#head
    this.#head = Buffer.alloc(0)
    // The length counts itself.
    const bodyBytes = Math.max(0, header.readUInt32BE(headerBytes - 4) - 4)
    this.#type = this.#opening ? '' : header.toString('latin1', 0, 1)
    this.#keepBytes = Math.min(bodyBytes, maxBodyBytes)
    this.#dropBytes = bodyBytes - this.#keepBytes
    if (bodyBytes === 0) this.#finish()
    return taken
  }

  #readBody(rest: Buffer): Buffer {
    const left = this.#fill(rest, this.#keepBytes)
    if (this.#head.length === this.#keepBytes) this.#finish()
    return left
  }

  #finish(): void {
    const frame = { type: this.#type ?? '', body: this.#head }
    this.#head = Buffer.alloc(0)
    this.#type = undefined
    this.#skipBytes = this.#dropBytes
    if (frame.type === '') {
      const code = frame.body.length < 4 ? 0 : frame.body.readUInt32BE(0)
      this.#opening = code === tlsRequest || code === gssRequest
    }
    this.#onFrame(frame)
  }

  /** Moves bytes from `rest` to the head until it has `bytes` of them; answers what is left. */
  #fill(rest: Buffer, bytes: number): Buffer {
    const missing = bytes - this.#head.length
    this.#head = Buffer.concat([this.#head, rest.subarray(0, missing)])
    return rest.subarray(missing)
  }
}
