// One stream of lines to several places: all of them to one file, those of errors to one more.

import type { Destination } from './options.ts'

/** pino tells the level of a line to a stream that has this. */
export const METADATA: unique symbol = Symbol.for('pino.metadata') as never
const ERROR = 50

/** Where lines go besides the destination. */
export interface Files {
  readonly all: Destination
  readonly errors: Destination
}

/** A destination that writes to all. */
export class SplitDestination implements Destination {
  readonly [METADATA] = true
  /** Set by pino before each line. */
  lastLevel = 0
  readonly #main: Destination
  readonly #files: Files

  constructor(main: Destination, files: Files) {
    this.#main = main
    this.#files = files
  }

  write(line: string): void {
    this.#main.write(line)
    this.#files.all.write(line)
    if (this.lastLevel >= ERROR) this.#files.errors.write(line)
  }
}
