// One service from its first instant to its exit code: phases up, a cordon that can be lifted, stages down. What is
// decided is decided in start-up.ts and shutdown.ts; this file asks them and does what they say.

import type { IncomingMessage } from 'node:http'
import { afterTurn, holdProcess } from '@holdfast/footing'
import { AlreadyRegisteredError, PhaseOrderError, PhaseTimeoutError, StoppedError } from './errors.ts'
import { channels } from './events.ts'
import {
  checks,
  type LifecycleLog,
  type LifecycleOptions,
  type ResolvedLifecycle,
  resolveOptions,
} from './options.ts'
import {
  advance,
  beginShutdown,
  type HoldFor,
  hasReached,
  hearAgain,
  type Shutdown,
  type ShutdownStage,
  type StageRecord,
  stagesSoFar,
} from './shutdown.ts'
import { listenToProcess } from './signals.ts'
import { type OpenRequest, SocketTable, speaksHttp1 } from './sockets.ts'
import {
  enter,
  leave,
  noStartUp,
  obstacleTo,
  type PhaseOutcome,
  type PhaseRecord,
  running,
  type StartPhase,
  startPhases,
} from './start-up.ts'
import { type StepOutcome, Steps } from './steps.ts'

/**
 * `starting` until it listens and health is confirmed; `serving`; `cordoned`: it serves and asks for no more;
 * `draining`: the same, for good; `closing`: nobody new; `ended`.
 */
export type LifecycleState = 'starting' | 'serving' | 'cordoned' | 'draining' | 'closing' | 'ended'

/** How a service ended. */
export interface Ending {
  readonly reason: string
  /** 0: in order. 1: something was left behind, an exception began it, or somebody asked for it. */
  readonly exitCode: number
  /** From the signal to the end of the hold. */
  readonly drainMs: number
  /** From there to the last step of `onClose()`. */
  readonly closeMs: number
  /** How long each stage took, in ms. */
  readonly stages: Readonly<Partial<Record<ShutdownStage, number>>>
  /** Requests that came while draining, and were answered like any other. */
  readonly drainedRequests: number
  /** Requests that got no answer, so that a balancer asks another instance (`turnAwayMs`). */
  readonly turnedAwayRequests: number
  /** Connections that were destroyed while somebody waited for an answer. */
  readonly cutRequests: number
  /** What was not over in its time, in words. */
  readonly held: readonly string[]
}

/** Everything as plain data. */
export interface LifecycleSnapshot {
  readonly state: LifecycleState
  /** The phases of the start so far. */
  readonly phases: readonly PhaseRecord[]
  /** From the start of the process to `serving`; undefined before. */
  readonly startedInMs: number | undefined
  readonly cordon: { readonly reason: string; readonly forMs: number } | undefined
  /** The stage of the way down; undefined while there is none. */
  readonly stage: ShutdownStage | undefined
  /** How long each stage of the way down has taken so far. */
  readonly stages: readonly StageRecord[]
  readonly connections: number
  readonly inFlight: number
}

/** What a lifecycle needs of an application; Fastify fits. */
export interface ServedApplication {
  readonly server: object & {
    readonly listening: boolean
    once(event: 'close', listener: () => void): unknown
  }
  close(): PromiseLike<unknown>
}

/** What `@holdfast/health` offers, as far as it is asked here. */
export interface HealthPort {
  drain(): void
  cordon?(): void
  uncordon?(): void
  confirmed(): Promise<void>
}

/** What else is known of an application, each looked up when it is needed. */
export interface Surroundings {
  readonly health: () => HealthPort | undefined
  /** What the first line of the way down tells, such as the states of breakers. */
  readonly report: () => object
}

const LOOK_MS = 50
const SWEEP_MS = 100
const nowhere: LifecycleLog = { info() {}, warn() {}, error() {}, fatal() {} }

/**
 * A service's way up and down. Make it first of all: signals are heard from then on. Raises
 * `HOLDFAST_ERR_LIFECYCLE_OPTION`.
 */
export class Lifecycle {
  readonly #options: ResolvedLifecycle
  readonly #drainSteps: Steps
  readonly #closeSteps: Steps
  readonly #lastResorts: (() => void)[] = []
  readonly #drainController = new AbortController()
  readonly #abortController = new AbortController()
  readonly #ended = Promise.withResolvers<Ending>()
  readonly #stopListening: () => void
  #log: LifecycleLog
  #app: ServedApplication | undefined
  #surroundings: Surroundings | undefined
  #sockets: SocketTable | undefined
  #serverClosed = false
  #startUp = noStartUp
  #startWork: Promise<unknown> | undefined
  #startedInMs: number | undefined
  #listened = false
  #cordon: { readonly reason: string; readonly sinceMs: number } | undefined
  #shutdown: Shutdown | undefined
  #reason = ''
  #exitCode = 0
  /** The application is closed by somebody else: the process is not ours to end. */
  #ownExit = true
  #appClosed = false
  #appClosing: Promise<unknown> | undefined
  #drainWork: Promise<void> | undefined
  #closeWork: Promise<void> | undefined
  #closeBeganMs = 0
  #cancelLook: () => void = () => {}
  #sweptMs = Number.NEGATIVE_INFINITY
  #cutRequests = 0
  readonly #held: string[] = []
  #state: LifecycleState = 'starting'

  constructor(options: LifecycleOptions = {}) {
    this.#options = resolveOptions(options)
    const { clock, process, log } = this.#options
    this.#log = log ?? nowhere
    this.#drainSteps = new Steps('drain', clock)
    this.#closeSteps = new Steps('close', clock)
    this.#stopListening = listenToProcess(process, this.#options, {
      signal: (name) => this.#hear(name),
      exception: (error) => this.#catch(error),
    })
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
    return this.#shutdown !== undefined
  }

  /** Aborts when the drain begins: for streams, subscriptions and whatever else would hold it. */
  get drainSignal(): AbortSignal {
    return this.#drainController.signal
  }

  /** Aborts when requests under way have had their time (`requestTimeoutMs`), shortly before they are cut. */
  get abortSignal(): AbortSignal {
    return this.#abortController.signal
  }

  /** How it ended; resolves right before the process exits. */
  get ended(): Promise<Ending> {
    return this.#ended.promise
  }

  /**
   * Runs a phase of the start and answers what it answers. Phases come in the order of `startPhases`; any may be left
   * out. Raises `HOLDFAST_ERR_LIFECYCLE_OPTION`, `_PHASE_ORDER`, `_PHASE_TIMEOUT` (the work is told by its signal) and,
   * from a signal on, `_STOPPED`.
   */
  async phase<T>(
    name: StartPhase,
    work: (context: { readonly signal: AbortSignal }) => T | PromiseLike<T>,
    { timeoutMs = this.#options.phaseTimeoutMs }: { readonly timeoutMs?: number } = {},
  ): Promise<T> {
    checks.oneOf('phase', name, startPhases)
    checks.duration('timeoutMs', timeoutMs, 0)
    if (this.stopping) throw new StoppedError(`the phase "${name}" cannot begin`)
    const obstacle = obstacleTo(this.#startUp, name)
    if (obstacle !== undefined) throw new PhaseOrderError(name, obstacle)
    const { clock } = this.#options
    this.#startUp = enter(this.#startUp, name, clock.nowMs())
    const controller = new AbortController()
    const late = Promise.withResolvers<never>()
    const giveUp = (error: Error) => {
      controller.abort(error)
      late.reject(error)
    }
    const cancel = clock.schedule(timeoutMs, () => giveUp(new PhaseTimeoutError(name, timeoutMs)))
    const onDrain = () => giveUp(new StoppedError(`the phase "${name}" was interrupted`))
    this.drainSignal.addEventListener('abort', onDrain, { once: true })
    const release = holdProcess()
    const doing = (async () => work({ signal: controller.signal }))()
    this.#startWork = doing
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
      this.drainSignal.removeEventListener('abort', onDrain)
      this.#leave(name, outcome)
    }
  }

  /**
   * Puts the phase `config` on record, from the start of the process until now: it is over before there can be a
   * lifecycle with options.
   */
  configured(): void {
    this.#startUp = enter(this.#startUp, 'config', 0)
    this.#leave('config', 'done')
  }

  /** Takes an application into care. The plugin does this. Raises `HOLDFAST_ERR_LIFECYCLE_ALREADY_REGISTERED`. */
  attach(app: ServedApplication, surroundings: Surroundings, log: LifecycleLog): void {
    if (this.#app !== undefined) throw new AlreadyRegisteredError()
    this.#app = app
    this.#surroundings = surroundings
    if (this.#options.log === undefined) this.#log = log
    app.server.once('close', () => {
      this.#serverClosed = true
    })
    if (speaksHttp1(app.server)) {
      this.#sockets = new SocketTable(app.server, () => this.#options.clock.nowMs(), this.#options.isProbe)
    }
  }

  /**
   * Waits until health is confirmed, for at most `healthTimeoutMs`, listens, and is ready: the phases `health`, `listen`
   * and `ready`. A service whose health is not confirmed by then listens all the same; its readiness says no.
   */
  async listen<T>(listen: () => PromiseLike<T>): Promise<T> {
    await this.#confirmHealth()
    this.#listened = true
    return this.phase('listen', listen)
  }

  /**
   * The start is over: says so, in one line with the phases and these fields. Only the first call does, and none once
   * the way down has begun. The plugin calls it when the application listens, unless `listen()` was used.
   */
  started(fields: object = {}): void {
    if (this.stopping || this.#startedInMs !== undefined) return
    const { clock } = this.#options
    const nowMs = clock.nowMs()
    if (obstacleTo(this.#startUp, 'ready') === undefined) {
      this.#startUp = enter(this.#startUp, 'ready', nowMs)
      this.#leave('ready', 'done')
    }
    this.#startedInMs = Math.round(nowMs)
    const phases = Object.fromEntries(
      this.#startUp.records.map(({ phase, durationMs }) => [phase, Math.round(durationMs)]),
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
    return this.#addStep(this.#drainSteps, name, run, timeoutMs)
  }

  /** Adds work for the very end, when every plugin has closed: one after the other, the last one added first. */
  onClose(name: string, run: () => unknown, { timeoutMs }: { readonly timeoutMs?: number } = {}): () => void {
    return this.#addStep(this.#closeSteps, name, run, timeoutMs)
  }

  /** Adds what is done, at once and without waiting, when the process ends before its time. */
  onForce(run: () => void): void {
    this.#lastResorts.push(run)
  }

  /**
   * Takes the instance out of the balancers' rotation: readiness is 503 and answers say `Connection: close`, everything
   * is served. Answers false when it is on its way down.
   */
  cordon(reason: string): boolean {
    checks.text('reason', reason, 200)
    if (this.stopping) return false
    this.#cordon = { reason, sinceMs: this.#options.clock.nowMs() }
    this.#surroundings?.health()?.cordon?.()
    this.#sockets?.sendAway(true)
    if (this.#state === 'serving') this.#become('cordoned', reason)
    this.#log.warn({ reason }, 'cordoned')
    return true
  }

  /** Undoes `cordon()`. Answers whether it was. */
  uncordon(): boolean {
    if (this.#cordon === undefined || this.stopping) return false
    const forMs = Math.round(this.#options.clock.nowMs() - this.#cordon.sinceMs)
    this.#cordon = undefined
    this.#surroundings?.health()?.uncordon?.()
    this.#sockets?.sendAway(false)
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
    this.#exitCode = Math.max(this.#exitCode, exitCode)
    if (!this.stopping) this.#begin(reason, hold ? this.#usualHold : 'none', false)
    return this.ended
  }

  /** Whether the options ask that requests be turned away (`turnAwayMs`). */
  get turnsRequestsAway(): boolean {
    return this.#options.times.turnAwayMs > 0
  }

  /** Whether this request was turned away: its connection is destroyed, and nobody is to execute it. */
  turnedAway(request: IncomingMessage): boolean {
    return this.#sockets?.turnedThisAway(request) ?? false
  }

  /** Fastify closes: by our own doing, or by that of somebody who leaves the process alone. */
  async closing(): Promise<void> {
    if (!this.stopping) {
      this.#ownExit = false
      this.#appClosing = Promise.resolve()
      this.#begin('the application is closed', 'none', false)
    }
    await this.#drainWork
  }

  /** Fastify has closed, but for what was registered before the plugin: the end of somebody else's `app.close()`. */
  async closed(): Promise<void> {
    if (this.#ownExit) return
    this.#appClosed = true
    await this.#runCloseSteps()
    await this.ended
  }

  /** Everything, as plain data. */
  snapshot(): LifecycleSnapshot {
    const cordon = this.#cordon
    return {
      state: this.#state,
      phases: this.#startUp.records,
      startedInMs: this.#startedInMs,
      cordon: cordon && { reason: cordon.reason, forMs: this.#options.clock.nowMs() - cordon.sinceMs },
      stage: this.#shutdown?.stage,
      stages: this.#shutdown === undefined ? [] : stagesSoFar(this.#shutdown, this.#options.clock.nowMs()),
      connections: this.#sockets?.open ?? 0,
      inFlight: this.#sockets?.inFlight ?? 0,
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

  #leave(phase: StartPhase, outcome: Exclude<PhaseOutcome, 'running'>): void {
    this.#startUp = leave(this.#startUp, phase, outcome, this.#options.clock.nowMs())
    const record = this.#startUp.records.at(-1)
    if (record !== undefined && channels.phase.hasSubscribers) channels.phase.publish(record)
  }

  async #confirmHealth(): Promise<void> {
    const health = this.#surroundings?.health()
    if (health === undefined || obstacleTo(this.#startUp, 'health') !== undefined) return
    const timeoutMs = this.#options.healthTimeoutMs
    try {
      await this.phase('health', () => health.confirmed(), { timeoutMs })
    } catch (error) {
      if (!(error instanceof PhaseTimeoutError)) throw error
      this.#log.warn({ timeoutMs }, 'health is not confirmed yet; the service listens all the same')
    }
  }

  #hear(signal: string): void {
    const shutdown = this.#shutdown
    if (shutdown === undefined) {
      this.#begin(signal, this.#usualHold, true)
      return
    }
    const heard = hearAgain(shutdown, this.#options.clock.nowMs(), this.#options.times)
    this.#shutdown = heard.shutdown
    if (heard.answer === 'force') this.#force(`one more ${signal}`)
    if (heard.answer === 'skip-hold') {
      this.#log.warn({ signal }, 'the hold is skipped')
      this.#look()
    }
  }

  #catch(error: unknown): void {
    const first = this.#exitCode === 0
    this.#exitCode = 1
    // One that repeats itself must not fill the log.
    if (first) this.#log.fatal({ err: error }, 'nobody caught this')
    if (!this.stopping) this.#begin('an exception that nobody caught', 'none', false)
  }

  #begin(reason: string, holdFor: HoldFor, signalled: boolean): void {
    const { clock } = this.#options
    const startWork = running(this.#startUp) === undefined ? undefined : this.#startWork
    this.#reason = reason
    this.#shutdown = beginShutdown(holdFor, clock.nowMs(), signalled)
    this.#log.info({ reason, ...this.#report() }, 'closing')
    this.#surroundings?.health()?.drain()
    this.#sockets?.drain()
    this.#become('draining', reason)
    const release = holdProcess()
    this.#ended.promise.then(release)
    this.#drainWork = this.#drainSteps.runTogether().then((outcomes) => this.#note(outcomes))
    this.#drainController.abort(new StoppedError(reason))
    this.#startWork = startWork
    const over = () => {
      this.#startWork = undefined
    }
    startWork?.then(over, over)
    this.#look()
  }

  /** Never throws: a report must not keep a service from ending. */
  #report(): object {
    try {
      return this.#surroundings?.report() ?? {}
    } catch {
      return {}
    }
  }

  #look(): void {
    const before = this.#shutdown
    if (before === undefined || before.stage === 'over') return
    const { clock, times } = this.#options
    const nowMs = clock.nowMs()
    const after = advance(before, this.#seen(), nowMs, times)
    this.#shutdown = after
    if (before.stage !== after.stage) this.#enterStages(before, after)
    if (hasReached(after, 'requests') && nowMs - this.#sweptMs >= SWEEP_MS) {
      this.#sweptMs = nowMs
      // What has come to the sockets is read by then, and in flight.
      afterTurn(() => this.#sockets?.sweep())
    }
    // Whatever asked for a look in between: there is one next look.
    this.#cancelLook()
    if (after.stage !== 'over') this.#cancelLook = clock.schedule(LOOK_MS, () => this.#look())
  }

  #seen() {
    return {
      lastArrivalMs: this.#sockets?.lastArrivalMs() ?? Number.NEGATIVE_INFINITY,
      turnedAway: this.#sockets?.turnedAway ?? 0,
      stepsRunning: this.#drainSteps.running.length,
      startRunning: this.#startWork !== undefined,
      serverClosed: this.#sockets?.closed ?? this.#serverClosed,
      appClosed: this.#appClosed,
    }
  }

  #enterStages(before: Shutdown, after: Shutdown): void {
    const enters = (stage: ShutdownStage) => !hasReached(before, stage) && hasReached(after, stage)
    this.#sockets?.turnAway(after.stage === 'turn-away')
    if (enters('requests')) this.#close()
    if (after.overran.includes('requests') && !before.overran.includes('requests')) {
      this.#abortController.abort(new StoppedError(this.#reason))
    }
    if (after.overran.includes('aborted') && !before.overran.includes('aborted')) {
      for (const request of this.#sockets?.openRequests() ?? []) this.#held.push(requestText(request))
      this.#cutRequests = this.#sockets?.cut() ?? 0
    }
    if (enters('over')) {
      if (!this.#appClosed) this.#held.push('plugins that close (onClose hooks)')
      this.#end()
    }
  }

  #close(): void {
    this.#closeBeganMs = this.#options.clock.nowMs()
    this.#become('closing', this.#reason)
    const app = this.#app
    const failed = (error: unknown) => {
      this.#log.error({ err: error }, 'a plugin failed to close')
      this.#held.push('a plugin that failed to close')
    }
    const over = () => {
      this.#appClosed = true
      this.#look()
    }
    // Before Fastify does it, in the middle of a turn.
    this.#appClosing ??= Promise.resolve(this.#sockets?.stopListening())
      .then(() => app?.close())
      .catch(failed)
      .then(over)
  }

  #runCloseSteps(): Promise<void> {
    this.#closeWork ??= this.#closeSteps.runBackwards().then((outcomes) => this.#note(outcomes))
    return this.#closeWork
  }

  #end(): void {
    const { clock, process } = this.#options
    const shutdown = this.#shutdown
    this.#runCloseSteps().then(() => {
      const exitCode = this.#held.length > 0 ? 1 : this.#exitCode
      const ending: Ending = {
        reason: this.#reason,
        exitCode,
        drainMs: Math.round(this.#closeBeganMs - (shutdown?.beganMs ?? 0)),
        closeMs: Math.round(clock.nowMs() - this.#closeBeganMs),
        stages: Object.fromEntries(
          shutdown?.stages.map(({ stage, durationMs }) => [stage, Math.round(durationMs)]) ?? [],
        ),
        drainedRequests: this.#sockets?.drained ?? 0,
        turnedAwayRequests: this.#sockets?.turnedAway ?? 0,
        cutRequests: this.#cutRequests,
        held: this.#held,
      }
      this.#log[exitCode === 0 ? 'info' : 'error'](ending, 'closed')
      this.#dispose()
      this.#ended.resolve(ending)
      // Whoever waits for the end still hears of it.
      if (this.#ownExit) afterTurn(() => process.exit(exitCode))
    })
  }

  #force(reason: string): void {
    const held = [...this.#held, ...this.#drainSteps.running, ...this.#closeSteps.running]
    const requests = this.#sockets?.openRequests().map(requestText) ?? []
    this.#log.fatal({ reason, held: [...held, ...requests] }, 'ending at once')
    for (const run of this.#lastResorts) {
      try {
        run()
      } catch {
        // Whatever else there is still has its turn, and then the process ends.
      }
    }
    this.#options.process.exit(1)
  }

  #dispose(): void {
    this.#become('ended', this.#reason)
    this.#stopListening()
    this.#sockets?.dispose()
  }

  #note(outcomes: readonly StepOutcome[]): void {
    for (const { name, outcome, error } of outcomes) {
      if (outcome === 'done') continue
      this.#held.push(`step ${name} (${outcome})`)
      this.#log.error({ step: name, err: error }, 'a step of the way down is not done')
    }
  }

  #become(to: LifecycleState, reason: string): void {
    const from = this.#state
    if (from === to) return
    this.#state = to
    if (channels.state.hasSubscribers) channels.state.publish({ from, to, reason })
  }
}

function requestText({ method, path }: OpenRequest): string {
  return `request ${method} ${path}`
}
