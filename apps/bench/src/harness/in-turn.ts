/**
 * Two applications in one process get the requests in turn, twenty at a time, and it is noted how much CPU each used. A
 * machine on which a route is twice as fast in one second as in the next is the same machine for twenty requests and for
 * the next twenty; and processes, which differ by how their code was compiled, are one. Pure.
 *
 * The median of the ratios leaves out the few turns in which memory was collected, so what was used in all stands beside
 * it, and is less steady. Neither sees code that is compiled for one application alone.
 */
import { median } from './statistics.ts'

/** About a millisecond: long beside a reading of the CPU, short beside the moods of a machine. */
const BLOCK_REQUESTS = 20
/** Forward and backward, so that a machine that becomes slower favours nobody. */
const ORDER = ['measured', 'reference', 'reference', 'measured'] as const

export type Turn = (typeof ORDER)[number]

export class InTurn {
  readonly #cpuMicroseconds: () => number
  #ratios: number[] = []
  #inAll = { measured: 0, reference: 0 }
  #readings: number[] = []
  #requests = 0

  /** `cpuMicroseconds`: what the process has used so far. */
  constructor(cpuMicroseconds: () => number) {
    this.#cpuMicroseconds = cpuMicroseconds
  }

  /** Whose the next request is. */
  next(): Turn {
    if (this.#requests % BLOCK_REQUESTS === 0) this.#read()
    const block = Math.floor(this.#requests / BLOCK_REQUESTS)
    this.#requests += 1
    return ORDER[block] ?? ORDER[0]
  }

  /** The figures since the last time it was asked; none when fewer than four blocks went by. Begins anew. */
  figures(): Readonly<Record<string, number>> {
    const ratios = this.#ratios
    const { measured, reference } = this.#inAll
    this.#ratios = []
    this.#inAll = { measured: 0, reference: 0 }
    this.#readings = []
    this.#requests = 0
    if (ratios.length === 0) return {}
    return { cpuOfReference: median(ratios), cpuInAll: measured / reference }
  }

  #read(): void {
    this.#readings.push(this.#cpuMicroseconds())
    if (this.#readings.length <= ORDER.length) return
    const used = { measured: 0, reference: 0 }
    ORDER.forEach((turn, block) => {
      used[turn] += (this.#readings[block + 1] ?? 0) - (this.#readings[block] ?? 0)
    })
    this.#inAll.measured += used.measured
    this.#inAll.reference += used.reference
    if (used.reference > 0) this.#ratios.push(used.measured / used.reference)
    this.#readings = this.#readings.slice(-1)
    this.#requests = 0
  }
}
