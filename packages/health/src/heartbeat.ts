/**
 * The memory that the main thread and the liveness thread share: when the main loop last turned, and whether a critical
 * check of the group `live` fails. Both sides read `process.hrtime`, which counts alike in all threads of a process.
 */
export class Heartbeat {
  /** To be handed to the other thread. */
  readonly memory: SharedArrayBuffer
  readonly #cells: BigInt64Array

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(16)) {
    this.memory = memory
    this.#cells = new BigInt64Array(memory)
  }

  /** Called by the main loop: it turns, and its live checks are well or not. */
  beat(alive: boolean, nowNs: bigint): void {
    Atomics.store(this.#cells, 0, nowNs)
    Atomics.store(this.#cells, 1, alive ? 0n : 1n)
  }

  /** For how long the main loop has not turned, in ms. */
  stalledMs(nowNs: bigint): number {
    return Math.max(0, Number(nowNs - Atomics.load(this.#cells, 0)) / 1e6)
  }

  /** Whether the live checks were well at the last beat. */
  get alive(): boolean {
    return Atomics.load(this.#cells, 1) === 0n
  }
}
