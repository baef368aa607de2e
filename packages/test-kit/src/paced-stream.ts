import type { Socket } from 'node:net'

/** How a proxy hands on bytes. */
export interface Pace {
  /** Every byte arrives so much later. */
  readonly latencyMs: number
  /** At most so many bytes per second, `Infinity` for no limit. */
  readonly bytesPerSecond: number
}

interface Piece {
  readonly bytes: Buffer
  dueMs: number
}

const maxQueuedBytes = 1024 * 1024

/**
 * Hands on what one socket reads to another: in order, at a pace, with back-pressure, and with the end.
 * Holds at most 1 MiB plus one chunk; then it stops reading from the source.
 */
export class PacedStream {
  readonly #source: Socket
  readonly #target: Socket
  readonly #pieces: Piece[] = []
  #pace: Pace
  #queuedBytes = 0
  #lastDueMs = 0
  #ended = false
  #held = false
  #draining = false
  #timer: NodeJS.Timeout | undefined

  constructor(source: Socket, target: Socket, pace: Pace, onBytes: (bytes: Buffer) => void) {
    this.#source = source
    this.#target = target
    this.#pace = pace
    source.on('data', (bytes: Buffer) => {
      onBytes(bytes)
      this.#take(bytes)
    })
    source.on('end', () => {
      this.#ended = true
      this.#pump()
    })
    target.on('drain', () => {
      this.#draining = false
      this.#pump()
    })
    target.on('close', () => clearTimeout(this.#timer))
  }

  /** From now on at this pace. What is under way arrives at once. */
  setPace(pace: Pace): void {
    this.#pace = pace
    this.#lastDueMs = 0
    for (const piece of this.#pieces) piece.dueMs = 0
    this.#pump()
  }

  /** Hands on nothing more, and reads nothing more, until `release`. */
  hold(): void {
    this.#held = true
    clearTimeout(this.#timer)
    this.#source.pause()
  }

  release(): void {
    this.#held = false
    this.#pump()
  }

  #take(bytes: Buffer): void {
    const { latencyMs, bytesPerSecond } = this.#pace
    // Twenty pieces per second look like a slow line rather than like one late delivery.
    const pieceBytes = Math.max(1, Math.min(bytes.length, Math.floor(bytesPerSecond / 20)))
    for (let start = 0; start < bytes.length; start += pieceBytes) {
      const piece = bytes.subarray(start, start + pieceBytes)
      const arrivalMs = Math.max(performance.now() + latencyMs, this.#lastDueMs)
      this.#lastDueMs = arrivalMs + (piece.length / bytesPerSecond) * 1000
      this.#pieces.push({ bytes: piece, dueMs: this.#lastDueMs })
    }
    this.#queuedBytes += bytes.length
    this.#pump()
  }

  #pump(): void {
    clearTimeout(this.#timer)
    while (!this.#held && !this.#draining) {
      const piece = this.#pieces[0]
      if (piece === undefined) break
      const waitMs = piece.dueMs - performance.now()
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#pump(), Math.ceil(waitMs)).unref()
        break
      }
      this.#pieces.shift()
      this.#queuedBytes -= piece.bytes.length
      this.#draining = !this.#target.write(piece.bytes)
    }
    if (this.#held) return
    if (this.#ended && this.#pieces.length === 0) this.#target.end()
    if (this.#queuedBytes > maxQueuedBytes) this.#source.pause()
    else this.#source.resume()
  }
}
