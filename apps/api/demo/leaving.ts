// Somebody wants the demonstration to end before it is over: a person at the terminal, or whoever has started it.

import { constants } from 'node:os'
import { isStartedByPackageManager } from '../src/config.ts'
import { onLauncherGone } from '../src/launcher.ts'
import type { Endings } from './endings.ts'

export class Leaving {
  readonly #endings: Endings
  readonly #code = Promise.withResolvers<number>()
  hasBegun = false

  constructor(endings: Endings) {
    this.#endings = endings
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.on(signal, () => void this.#leave(signal, 128 + constants.signals[signal]))
    // A package manager that is told to end does not hand that on.
    if (isStartedByPackageManager())
      onLauncherGone(() => void this.#leave('the package manager has ended', 128 + constants.signals.SIGTERM))
  }

  /** The exit code, once everything has been ended. */
  get code(): Promise<number> {
    return this.#code.promise
  }

  /** Who asks for it again is as patient as who asked first. */
  async #leave(why: string, code: number): Promise<void> {
    if (this.hasBegun) return
    this.hasBegun = true
    console.error(`\n${why}: everything is ended`)
    await this.#endings.close(true).catch((error: unknown) => console.error(error))
    this.#code.resolve(code)
  }
}
