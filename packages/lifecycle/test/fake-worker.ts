import type { EndReason, ForkedWorker } from '../src/index.ts'

/** A worker that does what a test says. */
export class FakeWorker implements ForkedWorker {
  readonly pid: number
  readonly place: number
  readonly told: string[] = []
  readonly #ready = Promise.withResolvers<void>()
  readonly #exited = Promise.withResolvers<number>()
  readonly ready = this.#ready.promise
  readonly exited = this.#exited.promise

  constructor(pid: number, place: number) {
    this.pid = pid
    this.place = place
  }

  serve(): void {
    this.#ready.resolve()
  }

  exit(code: number): void {
    this.#exited.resolve(code)
  }

  end(reason: EndReason): void {
    this.told.push(reason)
  }

  kill(): void {
    this.told.push('kill')
    this.exit(1)
  }
}
