import { Pool } from 'undici'

/** What a load has seen. */
export interface LoadReport {
  readonly requests: number
  /** Answers that were neither 200 nor 304, and requests that got none, by what they were. */
  readonly wrong: Readonly<Record<string, number>>
  readonly p50Ms: number
  readonly p99Ms: number
}

/** Keeps a fixed number of requests in flight, each on its own connection, until it is told to stop. */
export class SteadyLoad {
  readonly #client: Pool
  readonly #workers: Promise<void>[]
  #running = true
  #stopped: Promise<void> | undefined
  #latenciesMs: number[] = []
  #wrong: Record<string, number> = {}

  constructor(url: string, paths: readonly string[], inFlight: number) {
    this.#client = new Pool(url, { connections: inFlight, pipelining: 1 })
    this.#workers = Array.from({ length: inFlight }, (_, index) => this.#work(paths, index))
  }

  /** Requests that have been answered since the last report. */
  get requests(): number {
    return this.#latenciesMs.length
  }

  /** What was seen since the last report. */
  report(): LoadReport {
    const sorted = this.#latenciesMs.toSorted((left, right) => left - right)
    const report = {
      requests: sorted.length,
      wrong: this.#wrong,
      p50Ms: at(sorted, 0.5),
      p99Ms: at(sorted, 0.99),
    }
    this.#latenciesMs = []
    this.#wrong = {}
    return report
  }

  /** Ends it once the requests that are under way are answered; further calls wait for the same. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop(): Promise<void> {
    this.#running = false
    await Promise.all(this.#workers)
    await this.#client.close()
  }

  async #work(paths: readonly string[], start: number): Promise<void> {
    let etag: string | undefined
    for (let index = start; this.#running; index += 1) {
      const path = paths[index % paths.length] ?? '/'
      // Every third request is conditional, so that both kinds of answers are under load.
      const headers = index % 3 === 0 && etag !== undefined ? { 'if-none-match': etag } : {}
      const startMs = performance.now()
      try {
        const {
          statusCode,
          headers: { etag: tag },
          body,
        } = await this.#client.request({ path, method: 'GET', headers })
        await body.dump()
        etag = typeof tag === 'string' ? tag : undefined
        if (statusCode !== 200 && statusCode !== 304) this.#note(String(statusCode))
      } catch (error) {
        this.#note(error instanceof Error ? error.message : String(error))
      }
      this.#latenciesMs.push(performance.now() - startMs)
    }
  }

  #note(what: string): void {
    this.#wrong[what] = (this.#wrong[what] ?? 0) + 1
  }
}

function at(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
