// What a person sees meanwhile: on a terminal one line that changes, elsewhere a line now and then.

const QUIET_EVERY_MS = 10_000
/** Something to write on: a terminal, or not. */
export interface Screen {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

export class Progress {
  readonly #screen: Screen
  readonly #nowMs: () => number
  readonly #startMs: number
  #stage = ''
  #lastMs = Number.NEGATIVE_INFINITY

  constructor(screen: Screen, nowMs: () => number) {
    this.#screen = screen
    this.#nowMs = nowMs
    this.#startMs = nowMs()
  }

  /** Something else begins. */
  stage(text: string): void {
    this.#stage = text
    this.#lastMs = this.#nowMs()
    if (this.#screen.isTTY === true) this.#screen.write(`\r\u001b[K${this.#clock()} ${text}\n`)
    else this.#screen.write(`${this.#clock()} ${text}\n`)
  }

  /** How it goes. */
  tell(text: string): void {
    if (this.#screen.isTTY === true) {
      const line = `${this.#clock()} ${text}`.slice(0, (this.#screen.columns ?? 80) - 1)
      this.#screen.write(`\r\u001b[K${line}`)
      return
    }
    if (this.#nowMs() - this.#lastMs < QUIET_EVERY_MS) return
    this.#lastMs = this.#nowMs()
    this.#screen.write(`${this.#clock()} ${this.#stage}: ${text}\n`)
  }

  /** The changing line goes. */
  clear(): void {
    if (this.#screen.isTTY === true) this.#screen.write('\r\u001b[K')
  }

  #clock(): string {
    const seconds = Math.floor((this.#nowMs() - this.#startMs) / 1000)
    return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
  }
}
