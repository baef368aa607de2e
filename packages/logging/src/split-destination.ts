// One stream of lines to several places: all of them to one file, those of errors to one more.

import type { Destination } from './options.ts'

/** pino tells the level of a line to a stream that has this. */
const METADATA = Symbol.for('pino.metadata')
const ERROR = 50

/** Where lines go besides the destination. */
export interface Files {
  readonly all: Destination
  readonly errors: Destination
}

/** A destination that writes to all. */
export function splitDestination(main: Destination, { all, errors }: Files): Destination {
  return {
    [METADATA]: true,
    lastLevel: 0,
    write(line: string) {
      main.write(line)
      all.write(line)
      if (this.lastLevel >= ERROR) errors.write(line)
    },
  } as Destination & { lastLevel: number }
}
