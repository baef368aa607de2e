// One service from its first instant to its exit code: `app.lifecycle`. The start is run by phases.ts, the end by
// way-down.ts; this file joins them, hears the signals, and knows which state the service is in.

import type { IncomingMessage } from 'node:http'
import { AttachedApplication, type ServedApplication, type Surroundings } from './attached-application.ts'
import type { Ending } from './ending.ts'
import { AlreadyRegisteredError, PhaseOrderError, PhaseTimeoutError, StoppedError } from './errors.ts'
import { channels } from './events.ts'
import {
  checks,
  type LifecycleLog,
  type LifecycleOptions,
  type ResolvedLifecycle,
  resolveOptions,
} from './options.ts'
import { Phases, type PhaseWork } from './phases.ts'
import type { HoldFor } from './shutdown.ts'
import { listenToProcess } from './signals.ts'
import type { LifecycleSnapshot, LifecycleState } from './snapshot.ts'
import { isSilent, standardError } from './standard-error.ts'
import { type StartPhase, startPhases } from './start-up.ts'
import type { Steps } from './steps.ts'
import { WayDown } from './way-down.ts'

/**
 * A service's way up and down. Make it first of all: signals are heard from then on. Raises
 * `HOLDFAST_ERR_LIFECYCLE_OPTION`.
 */
export class Lifecycle {
  readonly #options: ResolvedLifecycle
  readonly #wayDown: WayDown
  readonly #phases: Phases
  #log: LifecycleLog
  #app: AttachedApplication | undefined
  #startedInMs: number | undefined
  #listened = false
  #cordon: { readonly reason: string; readonly sinceMs: number } | undefined
  #state: LifecycleState = 'starting'

  constructor(options: LifecycleOptions = {}) {
    this.#options = resolveOptions(options)
    const { clock, process, log } = this.#options
    this.#log = log ?? standardError
    const stopListening = listenToProcess(process, this.#options, {
      signal: (name) => this.#hear(name),
      exception: (error) => this.#catch(error),
    })
    this.#wayDown = new WayDown({
      options: this.#options,
      log: () => this.#log,
      app: () => this.#app,
      startWork: () => this.#phases.workUnderWay,
      become: (state, reason) => this.#become(state, reason),
      stopListening,
    })
    this.#phases = new Phases(clock, this.drainSignal)
  }

  get state(): LifecycleState {
    return this.#state
  }

  /** Whether a balancer should send requests here. */
  get ready(): boolean {
    return this.#state === 'serving'
  }

  /** Whether the way down has begun. */
  get stopping(): boolean {
    return this.#wayDown.hasBegun
  }

  /** Aborts when the drain begins: for streams, subscriptions and whatever else would hold it. */
  get drainSignal(): AbortSignal {
    return this.#wayDown.drainSignal
  }

  /** Aborts when requests under way have had their time (`requestTimeoutMs`), shortly before they are cut. */
  get abortSignal(): AbortSignal {
    return this.#wayDown.abortSignal
  }

  /** How it ended; resolves right before the process exits. */
  get ended(): Promise<Ending> {
    return this.#wayDown.ended
  }

  /**
   * Runs a phase of the start and answers what it answers. Phases come in the order of `startPhases`; any may be left
   * out. Raises `HOLDFAST_ERR_LIFECYCLE_OPTION`, `_PHASE_ORDER`, `_PHASE_TIMEOUT` (the work is told by its signal) and,
   * from a signal on, `_STOPPED`.
   */
  async phase<T>(
    name: StartPhase,
    work: PhaseWork<T>,
    { timeoutMs = this.#options.phaseTimeoutMs }: { readonly timeoutMs?: number } = {},
  ): Promise<T> {
    checks.oneOf('phase', name, startPhases)
    checks.duration('timeoutMs', timeoutMs, 0)
    if (this.stopping) throw new StoppedError(`the phase "${name}" cannot begin`)
    return this.#phases.run(name, work, timeoutMs)
  }

  /**
   * Puts the phase `config` on record, from the start of the process until now: it is over before there can be a
   * lifecycle with options. Raises `HOLDFAST_ERR_LIFECYCLE_PHASE_ORDER` once there is a phase.
   */
  configured(): void {
    const [first] = this.#phases.records
    if (first !== undefined) throw new PhaseOrderError('config', first.phase)
    this.#phases.keep('config', 0)
  }

  /** Takes an application into care. The plugin does this. Raises `HOLDFAST_ERR_LIFECYCLE_ALREADY_REGISTERED`. */
  attach(app: ServedApplication, surroundings: Surroundings, log: LifecycleLog): void {
    if (this.#app !== undefined) throw new AlreadyRegisteredError()
    const attached = new AttachedApplication(app, surroundings, this.#options)
    this.#app = attached
    if (this.#options.log === undefined && !isSilent(log)) this.#log = log
    // What was said before there was an application holds for it.
    if (this.#cordon !== undefined) attached.cordon()
    if (this.stopping) attached.drain()
  }

  /**
   * Waits until health is confirmed, for at most `healthTimeoutMs`, listens, and is ready: the phases `health`, `listen`
   * and `ready`. A service whose health is not confirmed by then listens all the same; its readiness says no. `fields`
   * makes of what was answered what `started()` says.
   */
  async listen<T>(listen: () => PromiseLike<T>, fields: (answer: T) => object = () => ({})): Promise<T> {
    await this.#confirmHealth()
    this.#listened = true
    const answer = await this.phase('listen', listen)
    this.started(fields(answer))
    return answer
  }

  /**
   * The start is over: says so, in one line with the phases and these fields. Only the first call does, and none once
   * the way down has begun. `listen()` calls it, and so does the plugin when the application listens by itself.
   */
  started(fields: object = {}): void {
    if (this.stopping || this.#startedInMs !== undefined) return
    const nowMs = this.#options.clock.nowMs()
    if (this.#phases.mayBegin('ready')) this.#phases.keep('ready', nowMs)
    this.#startedInMs = Math.round(nowMs)
    const phases = Object.fromEntries(
      this.#phases.records.map(({ phase, durationMs }) => [phase, Math.round(durationMs)]),
    )
    this.#become(this.#cordon === undefined ? 'serving' : 'cordoned', 'the start is over')
    this.#log.info({ ...fields, startedInMs: this.#startedInMs, phases }, 'started')
  }

  /** When Fastify listens: the rest of the start, for those who did not use `listen()`. */
  async noteListening(): Promise<void> {
    if (this.#listened || this.stopping) return
    await this.#confirmHealth()
    this.started()
  }

  /**
   * Adds work for the beginning of the way down: stop taking jobs, end streams, sign off. All of it begins at once, and
   * connections to databases are still there. The function it returns takes it away. Raises
   * `HOLDFAST_ERR_LIFECYCLE_DUPLICATE_STEP`, `_LIMIT` (100) and `_STOPPED`.
   */
  onDrain(name: string, run: () => unknown, { timeoutMs }: { readonly timeoutMs?: number } = {}): () => void {
    return this.#addStep(this.#wayDown.drainSteps, name, run, timeoutMs)
  }

  /** Adds work for the very end, when every plugin has closed: one after the other, the last one added first. */
  onClose(name: string, run: () => unknown, { timeoutMs }: { readonly timeoutMs?: number } = {}): () => void {
    return this.#addStep(this.#wayDown.closeSteps, name, run, timeoutMs)
  }

  /**
   * Adds what is done, at once and without waiting, when the process ends before its time. Raises
   * `HOLDFAST_ERR_LIFECYCLE_LIMIT` (100).
   */
  onForce(run: () => void): void {
    if (typeof run !== 'function') checks.refuse('run', 'a function', run)
    this.#wayDown.addLastResort(run)
  }

  /**
   * Takes the instance out of the balancers' rotation: readiness is 503 and answers say `Connection: close`, everything
   * is served. Answers false when it is on its way down.
   */
  cordon(reason: string): boolean {
    checks.text('reason', reason, 200)
    if (this.stopping) return false
    this.#cordon = { reason, sinceMs: this.#options.clock.nowMs() }
    this.#app?.cordon()
    if (this.#state === 'serving') this.#become('cordoned', reason)
    this.#log.warn({ reason }, 'cordoned')
    return true
  }

  /** Undoes `cordon()`. Answers whether it was. */
  uncordon(): boolean {
    if (this.#cordon === undefined || this.stopping) return false
    const forMs = Math.round(this.#options.clock.nowMs() - this.#cordon.sinceMs)
    this.#cordon = undefined
    this.#app?.uncordon()
    if (this.#state === 'cordoned') this.#become('serving', 'uncordoned')
    this.#log.info({ forMs }, 'uncordoned')
    return true
  }

  /**
   * The way down, once: whoever calls again waits for the same. `hold: false` leaves out the hold. Ends the process with
   * 0, or with `exitCode`, or with 1 when something was left behind.
   */
  stop(
    reason: string,
    { exitCode = 0, hold = true }: { readonly exitCode?: number; readonly hold?: boolean } = {},
  ): Promise<Ending> {
    checks.count('exitCode', exitCode, 0, 255)
    this.#wayDown.expectExitCode(exitCode)
    if (!this.stopping) this.#wayDown.begin(reason, hold ? this.#usualHold : 'none')
    return this.ended
  }

  /** Whether the options ask that requests be turned away (`turnAwayMs`). */
  get turnsRequestsAway(): boolean {
    return this.#options.times.turnAwayMs > 0
  }

  /** Whether this request was turned away: its connection is destroyed, and nobody is to execute it. */
  turnedAway(request: IncomingMessage): boolean {
    return this.#app?.sockets?.turnedThisAway(request) ?? false
  }

  /** Fastify closes: by our own doing, or by that of somebody who leaves the process alone. */
  async closing(): Promise<void> {
    if (!this.stopping) this.#wayDown.begin('the application is closed', 'none', { closesApp: false })
    await this.#wayDown.drained()
  }

  /** Fastify has closed, but for what was registered before the plugin: the end of somebody else's `app.close()`. */
  closed(): Promise<void> {
    return this.#wayDown.applicationClosed()
  }

  /** Everything, as plain data. */
  snapshot(): LifecycleSnapshot {
    const cordon = this.#cordon
    return {
      state: this.#state,
      phases: this.#phases.records,
      startedInMs: this.#startedInMs,
      cordon: cordon && { reason: cordon.reason, forMs: this.#options.clock.nowMs() - cordon.sinceMs },
      stage: this.#wayDown.stage,
      stages: this.#wayDown.stages,
      connections: this.#app?.sockets?.open ?? 0,
      inFlight: this.#app?.sockets?.inFlight ?? 0,
    }
  }

  get #usualHold(): HoldFor {
    return this.#startedInMs === undefined ? 'start' : 'traffic'
  }

  #addStep(steps: Steps, name: string, run: () => unknown, timeoutMs: number | undefined): () => void {
    checks.text('name', name, 63)
    if (typeof run !== 'function') checks.refuse(name, 'a function', run)
    const longestMs = checks.duration('timeoutMs', timeoutMs ?? this.#options.stepTimeoutMs, 1)
    if (this.stopping) throw new StoppedError(`the step "${name}" cannot be added`)
    return steps.add(name, run, longestMs)
  }

  async #confirmHealth(): Promise<void> {
    const health = this.#app?.health
    if (health === undefined || !this.#phases.mayBegin('health')) return
    const timeoutMs = this.#options.healthTimeoutMs
    try {
      await this.phase('health', () => health.confirmed(), { timeoutMs })
    } catch (error) {
      if (!(error instanceof PhaseTimeoutError)) throw error
      this.#log.warn({ timeoutMs }, 'health is not confirmed yet; the service listens all the same')
    }
  }

  #hear(signal: string): void {
    if (this.stopping) this.#wayDown.hearAgain(signal)
    else this.#wayDown.begin(signal, this.#usualHold, { signalled: true })
  }

  #catch(error: unknown): void {
    this.#wayDown.noteException(error)
    if (!this.stopping) this.#wayDown.begin('an exception that nobody caught', 'none')
  }

  #become(to: LifecycleState, reason: string): void {
    const from = this.#state
    if (from === to) return
    this.#state = to
    if (channels.state.hasSubscribers) channels.state.publish({ from, to, reason })
  }
}
