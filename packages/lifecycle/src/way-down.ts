// Takes a service down, once. Which stage it is in and when that is over is decided in shutdown.ts; this file looks again
// and again, asks there, and does what each stage is for.

import { afterTurn, holdProcess } from '@holdfast/footing'
import type { AttachedApplication } from './attached-application.ts'
import type { Ending } from './ending.ts'
import { LimitError, StoppedError } from './errors.ts'
import type { LifecycleLog, ResolvedLifecycle } from './options.ts'
import {
  advance,
  beginShutdown,
  type HoldFor,
  hasReached,
  hearAgain,
  type Seen,
  type Shutdown,
  type ShutdownStage,
  type StageRecord,
  stagesSoFar,
} from './shutdown.ts'
import type { LifecycleState } from './snapshot.ts'
import type { OpenRequest } from './sockets.ts'
import { MAX_STEPS, type StepOutcome, Steps } from './steps.ts'

/** What it works with. What comes later than a lifecycle, or changes, is asked for when it is needed. */
export interface WayDownParts {
  readonly options: Pick<ResolvedLifecycle, 'clock' | 'process' | 'times'>
  readonly log: () => LifecycleLog
  readonly app: () => AttachedApplication | undefined
  /** What the start is doing at that moment; undefined for nothing. */
  readonly startWork: () => Promise<unknown> | undefined
  readonly become: (state: LifecycleState, reason: string) => void
  /** What comes to the process from then on is treated by Node as always. */
  readonly stopListening: () => void
}

const LOOK_MS = 50
const SWEEP_MS = 100

/** The way down of one service. */
export class WayDown {
  /** Work for its beginning. */
  readonly drainSteps: Steps
  /** Work for its end. */
  readonly closeSteps: Steps
  readonly #parts: WayDownParts
  readonly #lastResorts: (() => void)[] = []
  readonly #drainController = new AbortController()
  readonly #abortController = new AbortController()
  readonly #ended = Promise.withResolvers<Ending>()
  #shutdown: Shutdown | undefined
  #reason = ''
  #exitCode = 0
  /** Otherwise the application is closed by somebody else. */
  #closesApp = true
  /** Otherwise the process is not ours to end. */
  #exits = true
  #exceptionTold = false
  #isOver = false
  #startRunning = false
  #appClosed = false
  #appClosing: Promise<unknown> | undefined
  #drainWork: Promise<void> | undefined
  #closeWork: Promise<void> | undefined
  #closeBeganMs = 0
  #cancelLook: () => void = () => {}
  #sweptMs = Number.NEGATIVE_INFINITY
  #cutRequests = 0
  readonly #held: string[] = []

  constructor(parts: WayDownParts) {
    const { clock } = parts.options
    this.#parts = parts
    this.drainSteps = new Steps('drain', clock)
    this.closeSteps = new Steps('close', clock)
  }

  get hasBegun(): boolean {
    return this.#shutdown !== undefined
  }

  /** The present stage; undefined before. */
  get stage(): ShutdownStage | undefined {
    return this.#shutdown?.stage
  }

  /** How long each stage has taken so far. */
  get stages(): readonly StageRecord[] {
    return this.#shutdown === undefined ? [] : stagesSoFar(this.#shutdown, this.#nowMs())
  }

  /** Aborts when it begins. */
  get drainSignal(): AbortSignal {
    return this.#drainController.signal
  }

  /** Aborts when requests under way have had their time. */
  get abortSignal(): AbortSignal {
    return this.#abortController.signal
  }

  /** How it ended; resolves right before the process exits. */
  get ended(): Promise<Ending> {
    return this.#ended.promise
  }

  /** Adds what is done when the process ends before its time. */
  addLastResort(run: () => void): void {
    if (this.#lastResorts.length >= MAX_STEPS) throw new LimitError(MAX_STEPS, 'force')
    this.#lastResorts.push(run)
  }

  /** The exit code is at least this. */
  expectExitCode(exitCode: number): void {
    this.#exitCode = Math.max(this.#exitCode, exitCode)
  }

  /** An exception that nobody caught: the exit code is at least 1. */
  noteException(error: unknown): void {
    const first = !this.#exceptionTold
    this.#exceptionTold = true
    this.expectExitCode(1)
    // One that repeats itself must not fill the log.
    if (first) this.#log.fatal({ err: error }, 'nobody caught this')
  }

  /** Begins. Only the first call may be made. */
  begin(
    reason: string,
    holdFor: HoldFor,
    {
      signalled = false,
      closesApp = true,
    }: { readonly signalled?: boolean; readonly closesApp?: boolean } = {},
  ): void {
    const startWork = this.#parts.startWork()
    this.#reason = reason
    this.#closesApp = closesApp
    this.#exits = closesApp
    if (!closesApp) this.#appClosing = Promise.resolve()
    this.#shutdown = beginShutdown(holdFor, this.#nowMs(), signalled)
    this.#log.info({ reason, ...this.#app?.report() }, 'closing')
    this.#app?.drain()
    this.#parts.become('draining', reason)
    const release = holdProcess()
    this.ended.then(release)
    this.#drainWork = this.drainSteps.runTogether().then((outcomes) => this.#note(outcomes))
    this.#drainController.abort(new StoppedError(reason))
    this.#startRunning = startWork !== undefined
    const over = () => {
      this.#startRunning = false
    }
    startWork?.then(over, over)
    this.#look()
  }

  /** One more signal, once it has begun. */
  hearAgain(signal: string): void {
    if (this.#shutdown === undefined || this.#isOver) return
    // Whoever closes the application, somebody wants the process to end.
    this.#exits = true
    const { answer, shutdown } = hearAgain(this.#shutdown, this.#nowMs(), this.#parts.options.times)
    this.#shutdown = shutdown
    if (answer === 'force') this.#force(`one more ${signal}`)
    if (answer === 'skip-hold') {
      this.#log.warn({ signal }, 'the hold is skipped')
      this.#look()
    }
  }

  /** The steps of its beginning are over. */
  async drained(): Promise<void> {
    await this.#drainWork
  }

  /** Fastify has closed, but for what was registered before the plugin: the end where the process is not ours to end. */
  async applicationClosed(): Promise<void> {
    if (this.#closesApp) return
    this.#appClosed = true
    await this.#runCloseSteps()
    await this.ended
  }

  get #app(): AttachedApplication | undefined {
    return this.#parts.app()
  }

  get #log(): LifecycleLog {
    return this.#parts.log()
  }

  #nowMs(): number {
    return this.#parts.options.clock.nowMs()
  }

  #look(): void {
    const before = this.#shutdown
    if (before === undefined || before.stage === 'over') return
    const { clock, times } = this.#parts.options
    const nowMs = clock.nowMs()
    const after = advance(before, this.#seen(), nowMs, times)
    this.#shutdown = after
    if (before.stage !== after.stage) this.#enterStages(before, after)
    if (hasReached(after, 'requests') && nowMs - this.#sweptMs >= SWEEP_MS) {
      this.#sweptMs = nowMs
      // What has come to the sockets is read by then, and in flight.
      afterTurn(() => this.#app?.sockets?.sweep())
    }
    // Whatever asked for a look in between: there is one next look.
    this.#cancelLook()
    if (after.stage !== 'over') this.#cancelLook = clock.schedule(LOOK_MS, () => this.#look())
  }

  #seen(): Seen {
    const sockets = this.#app?.sockets
    return {
      lastArrivalMs: sockets?.lastArrivalMs() ?? Number.NEGATIVE_INFINITY,
      turnedAway: sockets?.turnedAway ?? 0,
      stepsRunning: this.drainSteps.running.length,
      startRunning: this.#startRunning,
      serverClosed: this.#app?.serverClosed ?? false,
      appClosed: this.#appClosed,
    }
  }

  #enterStages(before: Shutdown, after: Shutdown): void {
    const enters = (stage: ShutdownStage) => !hasReached(before, stage) && hasReached(after, stage)
    const overruns = (stage: ShutdownStage) =>
      after.overran.includes(stage) && !before.overran.includes(stage)
    const sockets = this.#app?.sockets
    sockets?.turnAway(after.stage === 'turn-away')
    if (enters('requests')) this.#close()
    if (overruns('requests')) this.#abortController.abort(new StoppedError(this.#reason))
    if (overruns('aborted')) {
      this.#held.push(...this.#openRequests())
      this.#cutRequests = sockets?.cut() ?? 0
    }
    if (enters('over')) {
      if (!this.#appClosed) this.#held.push('plugins that close (onClose hooks)')
      this.#end()
    }
  }

  #close(): void {
    this.#closeBeganMs = this.#nowMs()
    this.#parts.become('closing', this.#reason)
    const failed = (error: unknown) => {
      this.#log.error({ err: error }, 'a plugin failed to close')
      this.#held.push('a plugin that failed to close')
    }
    const over = () => {
      this.#appClosed = true
      this.#look()
    }
    this.#appClosing ??= Promise.resolve(this.#app?.close()).catch(failed).then(over)
  }

  #runCloseSteps(): Promise<void> {
    this.#closeWork ??= this.closeSteps.runBackwards().then((outcomes) => this.#note(outcomes))
    return this.#closeWork
  }

  #end(): void {
    this.#runCloseSteps().then(() => {
      const ending = this.#ending()
      const { exitCode } = ending
      this.#log[exitCode === 0 ? 'info' : 'error'](ending, 'closed')
      this.#parts.become('ended', this.#reason)
      this.#app?.sockets?.dispose()
      this.#isOver = true
      this.#leave(exitCode)
      this.#ended.resolve(ending)
    })
  }

  #leave(exitCode: number): void {
    const { options, stopListening } = this.#parts
    if (!this.#exits) {
      stopListening()
      return
    }
    // Whoever waits for the end still hears of it, and no signal ends the process in between.
    afterTurn(() => {
      options.process.exit(exitCode)
      stopListening()
    })
  }

  #ending(): Ending {
    const sockets = this.#app?.sockets
    const beganMs = this.#shutdown?.beganMs ?? 0
    return {
      reason: this.#reason,
      exitCode: this.#held.length > 0 ? 1 : this.#exitCode,
      drainMs: Math.round(this.#closeBeganMs - beganMs),
      closeMs: Math.round(this.#nowMs() - this.#closeBeganMs),
      stages: Object.fromEntries(this.stages.map(({ stage, durationMs }) => [stage, Math.round(durationMs)])),
      drainedRequests: sockets?.drained ?? 0,
      turnedAwayRequests: sockets?.turnedAway ?? 0,
      cutRequests: this.#cutRequests,
      held: this.#held,
    }
  }

  #force(reason: string): void {
    const held = [...this.#held, ...this.drainSteps.running, ...this.closeSteps.running]
    this.#log.fatal({ reason, held: [...held, ...this.#openRequests()] }, 'ending at once')
    for (const run of this.#lastResorts) {
      try {
        run()
      } catch {
        // Whatever else there is still has its turn, and then the process ends.
      }
    }
    this.#parts.options.process.exit(1)
  }

  #openRequests(): string[] {
    return this.#app?.sockets?.openRequests().map(requestText) ?? []
  }

  #note(outcomes: readonly StepOutcome[]): void {
    for (const { name, outcome, error } of outcomes) {
      if (outcome === 'done') continue
      this.#held.push(`step ${name} (${outcome})`)
      this.#log.error({ step: name, err: error }, 'a step of the way down is not done')
    }
  }
}

function requestText({ method, path }: OpenRequest): string {
  return `request ${method} ${path}`
}
