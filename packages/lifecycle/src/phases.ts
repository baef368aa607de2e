// Runs the phases of a start, one at a time, each with a longest time. In which order they may come and what is kept of
// them is decided in start-up.ts.

import { type Clock, holdProcess } from '@holdfast/footing'
import { PhaseOrderError, PhaseTimeoutError, StoppedError } from './errors.ts'
import { channels } from './events.ts'
import {
  enter,
  leave,
  noStartUp,
  obstacleTo,
  type PhaseOutcome,
  type PhaseRecord,
  running,
  type StartPhase,
} from './start-up.ts'

/** What a phase does. Its signal aborts when its time is up, and when the way down begins. */
export type PhaseWork<T> = (context: { readonly signal: AbortSignal }) => T | PromiseLike<T>

/** The phases of one start. */
export class Phases {
  readonly #clock: Clock
  readonly #drainSignal: AbortSignal
  #startUp = noStartUp
  #work: Promise<unknown> | undefined

  /** `drainSignal` interrupts the phase that runs. */
  constructor(clock: Clock, drainSignal: AbortSignal) {
    this.#clock = clock
    this.#drainSignal = drainSignal
  }

  /** Those so far. */
  get records(): readonly PhaseRecord[] {
    return this.#startUp.records
  }

  /** What the phase does that runs; undefined when none does. */
  get workUnderWay(): Promise<unknown> | undefined {
    return running(this.#startUp) === undefined ? undefined : this.#work
  }

  /** Whether a phase can begin now. */
  mayBegin(phase: StartPhase): boolean {
    return obstacleTo(this.#startUp, phase) === undefined
  }

  /**
   * Runs a phase and answers what it answers. Rejects with `HOLDFAST_ERR_LIFECYCLE_PHASE_ORDER`, `_PHASE_TIMEOUT` and,
   * when the way down begins meanwhile, `_STOPPED`.
   */
  async run<T>(phase: StartPhase, work: PhaseWork<T>, timeoutMs: number): Promise<T> {
    const obstacle = obstacleTo(this.#startUp, phase)
    if (obstacle !== undefined) throw new PhaseOrderError(phase, obstacle)
    this.#startUp = enter(this.#startUp, phase, this.#clock.nowMs())
    const controller = new AbortController()
    const late = Promise.withResolvers<never>()
    const giveUp = (error: Error) => {
      controller.abort(error)
      late.reject(error)
    }
    const cancel = this.#clock.schedule(timeoutMs, () => giveUp(new PhaseTimeoutError(phase, timeoutMs)))
    const onDrain = () => giveUp(new StoppedError(`the phase "${phase}" was interrupted`))
    this.#drainSignal.addEventListener('abort', onDrain, { once: true })
    const release = holdProcess()
    const doing = (async () => work({ signal: controller.signal }))()
    this.#work = doing
    let outcome: PhaseOutcome = 'failed'
    try {
      const value = await Promise.race([doing, late.promise])
      outcome = 'done'
      return value
    } catch (error) {
      if (error instanceof PhaseTimeoutError) outcome = 'late'
      throw error
    } finally {
      cancel()
      release()
      this.#drainSignal.removeEventListener('abort', onDrain)
      this.#leave(phase, outcome)
    }
  }

  /** Puts a phase on record that began at `sinceMs` and is over now. */
  keep(phase: StartPhase, sinceMs: number): void {
    this.#startUp = enter(this.#startUp, phase, sinceMs)
    this.#leave(phase, 'done')
  }

  #leave(phase: StartPhase, outcome: Exclude<PhaseOutcome, 'running'>): void {
    this.#startUp = leave(this.#startUp, phase, outcome, this.#clock.nowMs())
    const record = this.#startUp.records.at(-1)
    if (record !== undefined && channels.phase.hasSubscribers) channels.phase.publish(record)
  }
}
