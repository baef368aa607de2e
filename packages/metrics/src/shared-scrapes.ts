/*
 * One scrape for all who ask at one time. Guarantees: however many collectors ask, one scrape of each format is under way
 * and is zipped once; one that has ended is told again for `keepMs`; one that failed is told to those who waited for it.
 */
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { Clock } from '@holdfast/footing'
import type { Format } from './accept.ts'

const zip = promisify(gzip)

/** A text, and the same zipped, when somebody wants that. */
export class ScrapedText {
  readonly text: string
  #zipped: Promise<Buffer> | undefined

  constructor(text: string) {
    this.text = text
  }

  /** Zipped once, whoever asks. */
  zipped(): Promise<Buffer> {
    this.#zipped ??= zip(this.text)
    return this.#zipped
  }
}

/** What is under way, and what has just ended. */
export class SharedScrapes {
  readonly #read: (format: Format) => Promise<string>
  readonly #clock: Pick<Clock, 'nowMs'>
  readonly #keepMs: number
  readonly #running = new Map<Format, Promise<ScrapedText>>()
  readonly #kept = new Map<Format, { readonly scraped: ScrapedText; readonly beganMs: number }>()

  constructor(
    read: (format: Format) => Promise<string>,
    { clock, keepMs }: { readonly clock: Pick<Clock, 'nowMs'>; readonly keepMs: number },
  ) {
    this.#read = read
    this.#clock = clock
    this.#keepMs = keepMs
  }

  /** The scrape that is under way, or was a moment ago, or a new one. */
  read(format: Format): Promise<ScrapedText> {
    const running = this.#running.get(format)
    if (running !== undefined) return running
    const beganMs = this.#clock.nowMs()
    const kept = this.#kept.get(format)
    if (kept !== undefined && beganMs - kept.beganMs < this.#keepMs) return Promise.resolve(kept.scraped)
    const reading = this.#begin(format, beganMs).finally(() => this.#running.delete(format))
    this.#running.set(format, reading)
    return reading
  }

  async #begin(format: Format, beganMs: number): Promise<ScrapedText> {
    const scraped = new ScrapedText(await this.#read(format))
    if (this.#keepMs > 0) this.#kept.set(format, { scraped, beganMs })
    return scraped
  }
}
