import { setTimeout as sleep } from 'node:timers/promises'
import type { PoolGuard } from '../src/index.ts'

/** What became of the writes of a run. */
export interface WriteResult {
  readonly acknowledged: number
  /** Acknowledged, and not found afterwards. */
  readonly lost: readonly number[]
  /** Found more than once. */
  readonly twice: readonly number[]
  /** Refused for sure, and found all the same. */
  readonly ghosts: readonly number[]
  /** How many failed, by code. */
  readonly failures: Readonly<Record<string, number>>
  readonly slowestMs: number
}

/** After these a transaction may be stored or not; after every other error it is not. */
const unknown = /TX_OUTCOME_UNKNOWN$/

/**
 * Closed-loop clients that write one row after the other, each with its own number: every second client in a
 * transaction, the others in single statements. The table has no key, so that a row written twice is seen.
 */
export class Writers {
  readonly #guard: PoolGuard
  readonly #acknowledged = new Set<number>()
  readonly #refused = new Set<number>()
  readonly #failures: Record<string, number> = {}
  #next = 0
  #running = true
  #done: Promise<unknown> = Promise.resolve()
  #slowestMs = 0
  #lastAckMs = 0

  constructor(guard: PoolGuard) {
    this.#guard = guard
  }

  async start(clients: number): Promise<void> {
    await this.#guard.query('drop table if exists writes', [], { criticality: 'critical' })
    await this.#guard.query('create table writes (number int not null)', [], { criticality: 'critical' })
    this.#done = Promise.all(Array.from({ length: clients }, (_, client) => this.#loop(client % 2 === 0)))
  }

  get acknowledged(): number {
    return this.#acknowledged.size
  }

  /** When the last write was acknowledged, by `performance.now()`. */
  get lastAckMs(): number {
    return this.#lastAckMs
  }

  /** Ends the clients. */
  async halt(): Promise<void> {
    this.#running = false
    await this.#done
  }

  /** Ends the clients and compares what they were told with what is stored. */
  async stop(): Promise<WriteResult> {
    await this.halt()
    const { rows } = await this.#guard.query(
      'select number, count(*)::int as times from writes group by 1',
      [],
      { criticality: 'critical' },
    )
    const stored = new Map(rows.map((row) => [Number(row['number']), Number(row['times'])]))
    return {
      acknowledged: this.#acknowledged.size,
      lost: [...this.#acknowledged].filter((number) => !stored.has(number)),
      twice: [...stored].filter(([, times]) => times > 1).map(([number]) => number),
      ghosts: [...this.#refused].filter((number) => stored.has(number)),
      failures: this.#failures,
      slowestMs: Math.round(this.#slowestMs),
    }
  }

  async #loop(inTransaction: boolean): Promise<void> {
    while (this.#running) {
      const number = this.#next
      this.#next += 1
      const startMs = performance.now()
      try {
        await (inTransaction ? this.#transaction(number) : this.#statement(number))
        this.#acknowledged.add(number)
        this.#lastAckMs = performance.now()
      } catch (error) {
        const { code = 'none', sqlState = '' } = error as { code?: string; sqlState?: string }
        const name = `${code.replace('HOLDFAST_ERR_POOL_GUARD_', '')} ${sqlState}`.trim()
        this.#failures[name] = (this.#failures[name] ?? 0) + 1
        if (inTransaction && !unknown.test(code)) this.#refused.add(number)
        await sleep(5)
      }
      this.#slowestMs = Math.max(this.#slowestMs, performance.now() - startMs)
    }
  }

  #statement(number: number): Promise<unknown> {
    return this.#guard.query('insert into writes values ($1)', [number], { criticality: 'critical' })
  }

  #transaction(number: number): Promise<unknown> {
    return this.#guard.transaction({ criticality: 'critical' }, async (tx) => {
      await tx.query('insert into writes values ($1)', [number])
    })
  }
}
