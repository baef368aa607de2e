// Processes that keep odds, inside the test's process and on a clock that it moves: a real provider, a real database,
// and a pool for each sport of each process, so that it can be told which of them holds a connection, and when.

import { CircuitBreaker } from '@holdfast/circuit-breaker'
import { currentScope, PoolGuard } from '@holdfast/pool-guard'
import { HandClock, type SeededRandom } from '@holdfast/test-kit'
import type { Test } from 'tap'
import { Leases } from '../src/db/leases.ts'
import { ProviderClient } from '../src/provider/provider-client.ts'
import type { FixtureOptions } from '../src/provider/simulator/fixture.ts'
import { ProviderSimulator } from '../src/provider/simulator/simulator.ts'
import type { FetchOutcome } from '../src/workers/odds/odds-metrics.ts'
import { type OddsPause, OddsWorker } from '../src/workers/odds/odds-worker.ts'
import { ProviderPace } from '../src/workers/odds/provider-pace.ts'
import { tableQueue } from './odds-database.ts'

/** What a fleet is like. */
export interface OddsFleetOptions {
  readonly url: string
  readonly sports: readonly string[]
  readonly intervalMs: number
  readonly requestsPerMinute: number
  readonly random: SeededRandom
  readonly fixture?: Partial<FixtureOptions>
  readonly breaker?: { readonly failureThreshold: number; readonly openMs: number }
}

const LEASE_MS = 2000
const STILL_TURNS = 3

/** A process that keeps odds. */
export interface OddsProcess {
  readonly name: string
  readonly worker: OddsWorker
  /** How many connections of the sport are in use. */
  held(sport: string): number
  isBusy(): boolean
  stop(): Promise<void>
}

export class OddsFleet {
  readonly clock: HandClock
  readonly provider: ProviderSimulator
  readonly pauses: OddsPause[] = []
  readonly outcomes: FetchOutcome[] = []
  /** When a sport was first asked for, by the clock. */
  readonly firstAskedMs = new Map<string, number>()
  /** Where a connection was in use that should not have been. */
  readonly heldWrongly: string[] = []
  readonly #options: OddsFleetOptions
  readonly #processes = new Set<OddsProcess>()
  /** Who asks for which sport at the moment. */
  readonly #askers = new Map<string, OddsProcess>()
  #asking = 0
  #started = 0

  private constructor(options: OddsFleetOptions, clock: HandClock, provider: ProviderSimulator) {
    this.#options = options
    this.clock = clock
    this.provider = provider
  }

  static async start(t: Test, options: OddsFleetOptions): Promise<OddsFleet> {
    const clock = new HandClock()
    const seen: { fleet?: OddsFleet } = {}
    const provider = await ProviderSimulator.start({
      clock,
      sports: options.sports,
      fixture: { everyMs: 600_000, oddsTickMs: 10_000, ...options.fixture },
      onRequest: (sport) => seen.fleet?.checkAsker(sport),
    })
    const fleet = new OddsFleet(options, clock, provider)
    seen.fleet = fleet
    t.teardown(async () => {
      await Promise.all(fleet.processes.map((process) => process.stop()))
      await provider.close()
    })
    return fleet
  }

  get processes(): readonly OddsProcess[] {
    return [...this.#processes]
  }

  /** One more process, started. */
  launch(): OddsProcess {
    const { url, sports, intervalMs, requestsPerMinute, random, breaker } = this.#options
    const { clock } = this
    this.#started += 1
    const name = `p${this.#started}`
    const rest = this.#poolOf(url)
    const pools = new Map<string, PoolGuard>(
      sports.map((sport) => [`worker odds/${sport}`, this.#poolOf(url)] as const),
    )
    const poolNow = () => pools.get(currentScope()?.route ?? '') ?? rest
    const pool: Pick<PoolGuard, 'query'> = { query: (...given) => poolNow().query(...given) }
    const leases = new Leases({ pool, owner: name, leaseMs: LEASE_MS, clock })
    const client = new ProviderClient({ url: this.provider.url, timeoutMs: 600_000, clock })
    const worker = new OddsWorker({
      pool: { startWorker: (options) => (pools.get(`worker ${options.name}`) ?? rest).startWorker(options) },
      leases,
      provider: {
        feed: async (sport, context) => {
          this.#asking += 1
          this.#askers.set(sport, process)
          try {
            return await client.feed(sport, context)
          } finally {
            this.checkSport(process, sport, 'when it has been asked for')
            this.#askers.delete(sport)
            this.#asking -= 1
          }
        },
      },
      pace: new ProviderPace({
        pool,
        provider: 'simulator',
        requestsPerMinute,
        clock,
        now: () => new Date(clock.wallMs()),
      }),
      breaker: new CircuitBreaker('odds-provider', { ...breaker, clock, random: () => random.next() }),
      queue: tableQueue,
      sports,
      intervalMs,
      clock,
      random: () => random.next(),
      countFetch: (outcome) => void this.outcomes.push(outcome),
      onPause: (pause) => {
        this.pauses.push(pause)
        if (pause.after !== 'first') this.checkSport(process, pause.sport, 'as a pause begins')
      },
    })
    const all = [rest, ...pools.values()]
    const process: OddsProcess = {
      name,
      worker,
      held: (sport) => pools.get(`worker odds/${sport}`)?.snapshot().connections.inUse ?? 0,
      isBusy: () =>
        all.some((each) => {
          const { inUse, waiting } = each.snapshot()
          return inUse + waiting > 0
        }),
      stop: async () => {
        if (!this.#processes.delete(process)) return
        await worker.stop()
        await leases.close()
        await client.close()
        await Promise.all(all.map((each) => each.close()))
      },
    }
    this.#processes.add(process)
    worker.start()
    return process
  }

  /** Moves time on in steps, and after each lets everything come to rest that does not wait for time. */
  async pass(ms: number, stepMs = 250): Promise<void> {
    const endMs = this.clock.nowMs() + ms
    while (this.clock.nowMs() < endMs) {
      await this.clock.advance(Math.min(stepMs, endMs - this.clock.nowMs()))
      this.#checkPauses()
      await this.rest()
    }
  }

  /** Resolves when nobody asks the provider or the database. */
  async rest(): Promise<void> {
    for (let still = 0; still < STILL_TURNS; ) {
      await new Promise((resolve) => setImmediate(resolve))
      const busy = this.#asking > 0 || this.processes.some((process) => process.isBusy())
      still = busy ? 0 : still + 1
    }
  }

  /** A request for the sport has arrived. */
  checkAsker(sport: string): void {
    if (!this.firstAskedMs.has(sport)) this.firstAskedMs.set(sport, this.clock.nowMs())
    const process = this.#askers.get(sport)
    if (process === undefined) this.heldWrongly.push(`nobody known asks for ${sport}`)
    else this.checkSport(process, sport, 'while it is asked for')
  }

  checkSport(process: OddsProcess, sport: string, when: string): void {
    const held = process.held(sport)
    if (held > 0) this.heldWrongly.push(`${process.name} holds ${held} of ${sport} ${when}`)
  }

  #checkPauses(): void {
    for (const process of this.#processes) {
      for (const { sport, state } of process.worker.snapshot()) {
        if (state === 'pausing') this.checkSport(process, sport, 'during a pause')
      }
    }
  }

  #poolOf(url: string): PoolGuard {
    return new PoolGuard({
      connectionString: url,
      max: 2,
      min: 0,
      clock: this.clock,
      processType: 'worker_odds',
    })
  }
}
