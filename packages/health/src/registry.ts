import { type Clock, LONGEST_TIMER_MS } from '@holdfast/footing'
import { type CheckLevel, type CheckState, initialState, levelOf, observe } from './check-state.ts'
import { ClosedError, DuplicateCheckError, LimitError } from './errors.ts'
import { publishCheck, publishFeature, publishPhase } from './events.ts'
import { type DegradedFeature, DegradedFeatures } from './features.ts'
import { type Cause, cut, type Execution, type ObservedExecution, readExecution } from './observation.ts'
import { OperatorReports, type ReportPage } from './operator-reports.ts'
import { type CheckOptions, type ResolvedCheck, requireName, resolveCheck, type Severity } from './options.ts'
import { Poller } from './poller.ts'
import { livenessOf, type Status, statusOfChecks, worse } from './verdict.ts'

/**
 * `starting` until every critical check has succeeded once, then `serving`; `cordoned` between `cordon()` and
 * `uncordon()`, `draining` from `drain()` on.
 */
export type Phase = 'starting' | 'serving' | 'cordoned' | 'draining'

/** One check as plain data. */
export interface CheckSnapshot {
  readonly name: string
  readonly level: CheckLevel
  readonly severity: Severity
  readonly groups: readonly string[]
  /** How long the last execution took, in ms. */
  readonly responseMs: number | undefined
  /** When it ended, in ms since the Unix epoch. */
  readonly checkedAtMs: number | undefined
  /** How the last execution was found, before hysteresis. */
  readonly lastOutcome: string | undefined
  readonly cause: Cause | undefined
  readonly code: string | undefined
  readonly reason: string | undefined
  readonly data: unknown
  /** An execution that has not settled. */
  readonly busy: boolean
  readonly executions: number
  /** How often the level changed. */
  readonly changes: number
}

/** Everything the registry knows, as plain data with the details: for authorised eyes. */
export interface HealthSnapshot {
  readonly service: string
  readonly version: string
  readonly phase: Phase
  /** Of all checks and features, as `/health/summary` tells it. */
  readonly status: Status
  readonly checks: readonly CheckSnapshot[]
  readonly features: readonly DegradedFeature[]
  /** Features that could not be noted because there were `maxFeatures` already. */
  readonly refusedFeatures: number
}

/** What the registry reports to; pino fits. */
export interface HealthLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}

/** What the registry needs; the plugin fills it from its options. */
export interface RegistryOptions {
  readonly service: string
  readonly version: string
  readonly jitter: number
  readonly maxChecks: number
  readonly maxFeatures: number
  readonly maxReports: number
  readonly clock: Clock
  readonly random: () => number
  readonly log: HealthLog
}

interface Entry {
  readonly check: ResolvedCheck
  readonly poller: Poller
  state: CheckState
  last: ObservedExecution | undefined
  checkedAtMs: number | undefined
  /** The level last told to log and channel. */
  told: CheckLevel
  executions: number
  changes: number
}

/**
 * The checks, features and reports of one application. Checks run in the background from `start()` on; every other
 * method reads or changes memory and returns at once.
 */
export class HealthRegistry {
  readonly service: string
  readonly version: string
  readonly clock: Clock
  readonly #options: RegistryOptions
  readonly #checks = new Map<string, Entry>()
  readonly #features: DegradedFeatures
  readonly #featureTimers = new Map<string, () => void>()
  readonly #reports: OperatorReports
  readonly #confirmation = Promise.withResolvers<void>()
  #confirmed = false
  #cordoned = false
  #draining = false
  #started = false
  #closed = false
  #revision = 0

  constructor(options: RegistryOptions) {
    this.#options = options
    this.service = options.service
    this.version = options.version
    this.clock = options.clock
    this.#features = new DegradedFeatures(options.maxFeatures)
    this.#reports = new OperatorReports(options.maxReports)
    // Whoever waits gets the rejection; nobody waiting is no accident.
    this.#confirmation.promise.catch(() => {})
  }

  /** Grows with every change that a probe's answer can show. */
  get revision(): number {
    return this.#revision
  }

  get phase(): Phase {
    if (this.#draining) return 'draining'
    if (!this.#confirmed) return 'starting'
    return this.#cordoned ? 'cordoned' : 'serving'
  }

  /**
   * Registers a check; it runs from `start()` on, or at once when that has been. Returns a function that removes it.
   * Raises `HOLDFAST_ERR_HEALTH_NAME`, `_CHECK_OPTION`, `_DUPLICATE_CHECK`, `_LIMIT`, `_CLOSED`.
   */
  addCheck(name: string, options: CheckOptions): () => void {
    return this.add(resolveCheck(name, options))
  }

  /** As `addCheck()`, for a check that is validated already. */
  add(check: ResolvedCheck): () => void {
    const { clock, random, jitter, maxChecks } = this.#options
    const { name, intervalMs, timeoutMs } = check
    if (this.#closed) throw new ClosedError(`cannot add check "${name}"`)
    if (this.#checks.has(name)) throw new DuplicateCheckError(name)
    if (this.#checks.size >= maxChecks) throw new LimitError('that many checks', maxChecks, 'maxChecks')
    const onExecution = (execution: Execution): void => this.#note(entry, execution)
    const poller = new Poller({
      check: check.check,
      intervalMs,
      timeoutMs,
      jitter,
      clock,
      random,
      onExecution,
    })
    const entry: Entry = {
      check,
      poller,
      state: initialState,
      last: undefined,
      checkedAtMs: undefined,
      told: 'starting',
      executions: 0,
      changes: 0,
    }
    this.#checks.set(name, entry)
    this.#revision += 1
    if (this.#started) poller.start()
    return () => {
      // A later check of the same name is not ours to remove.
      if (this.#checks.get(name) !== entry) return
      poller.stop()
      this.#checks.delete(name)
      this.#revision += 1
      this.#confirmIfDue()
    }
  }

  /**
   * Adds what `produce` returns to an operator's page, under `name`. It is called per request of an authorised caller,
   * must answer at once, and may throw: that is shown there and nowhere else. Returns a function that removes it.
   * Raises `HOLDFAST_ERR_HEALTH_NAME`, `_DUPLICATE_REPORT`, `_LIMIT`.
   */
  addReport(page: ReportPage, name: string, produce: () => object): () => void {
    return this.#reports.add(page, name, produce)
  }

  /** The reports of a page, each at most 64 KiB, errors contained. */
  readReports(page: ReportPage): Record<string, unknown> {
    return this.#reports.read(page)
  }

  /**
   * Notes that a feature works worse than it should; readiness says `degraded` (200) until it recovers. `untilMs`, in ms
   * since the Unix epoch, ends it by itself; one that is no date is none. The reason is cut at 200 characters. Tells the
   * channel what changed, the log when the feature was well before. Answers false, and counts, when `maxFeatures` are
   * degraded already: a failure path must not fail on its own report.
   * Raises `HOLDFAST_ERR_HEALTH_NAME` for a name that is none.
   */
  degrade(feature: string, reason: string, end: { untilMs?: number | undefined } = {}): boolean {
    requireName('feature', feature)
    const { clock, log } = this.#options
    const wallMs = clock.wallMs()
    const untilMs = isDate(end.untilMs) ? end.untilMs : undefined
    if (untilMs !== undefined && untilMs <= wallMs) {
      this.recover(feature)
      return true
    }
    const text = cut(String(reason))
    const outcome = this.#features.degrade(feature, text, untilMs, wallMs)
    if (outcome === 'full') {
      // Once: whoever degrades names without end would log without end.
      if (this.#features.refused === 1) log.warn({ feature }, 'too many degraded features, no more are shown')
      return false
    }
    if (outcome === 'same') return true
    this.#featureTimers.get(feature)?.()
    this.#featureTimers.delete(feature)
    if (untilMs !== undefined && !this.#closed) this.#endAt(feature, untilMs)
    this.#revision += 1
    if (outcome === 'new') log.warn({ feature, reason: text }, 'feature degraded')
    publishFeature({ feature, state: 'degraded', reason: text, degradedForMs: 0 })
    return true
  }

  /** Ends a degradation; tells log and channel. Answers whether the feature was degraded. */
  recover(feature: string): boolean {
    const known = this.#features.recover(feature)
    if (known === undefined) return false
    this.#featureTimers.get(feature)?.()
    this.#featureTimers.delete(feature)
    const { clock, log } = this.#options
    const degradedForMs = Math.max(0, clock.wallMs() - known.sinceMs)
    this.#revision += 1
    log.info({ feature, degradedForMs }, 'feature recovered')
    publishFeature({ feature, state: 'recovered', reason: known.reason, degradedForMs })
    return true
  }

  /** Resolves once every critical check has succeeded; rejects with `HOLDFAST_ERR_HEALTH_CLOSED` when closed before. */
  confirmed(): Promise<void> {
    return this.#confirmation.promise
  }

  /** Turns readiness to 503 until `uncordon()`: no more requests for this instance, which serves what comes. */
  cordon(): void {
    this.#setCordon(true)
  }

  /** Undoes `cordon()`. */
  uncordon(): void {
    this.#setCordon(false)
  }

  /** Turns readiness to 503 for good while liveness stays: the first step of a shutdown. */
  drain(): void {
    if (this.#draining) return
    const from = this.phase
    this.#draining = true
    this.#tellPhase(from)
  }

  /** Starts the background checks. */
  start(): void {
    if (this.#started || this.#closed) return
    this.#started = true
    for (const entry of this.#checks.values()) entry.poller.start()
    this.#confirmIfDue()
  }

  /** Ends every timer and aborts running checks. Readiness is 503 from here on. */
  close(): void {
    if (this.#closed) return
    this.drain()
    this.#closed = true
    for (const entry of this.#checks.values()) entry.poller.stop()
    for (const cancel of this.#featureTimers.values()) cancel()
    this.#featureTimers.clear()
    this.#confirmation.reject(new ClosedError('the health of the service was not confirmed'))
  }

  /** The checks with their present levels; those of one group, or all. */
  read(group?: string): CheckSnapshot[] {
    const nowMs = this.clock.nowMs()
    const checks: CheckSnapshot[] = []
    for (const entry of this.#checks.values()) {
      if (group === undefined || belongs(entry.check, group)) checks.push(this.#describe(entry, nowMs))
    }
    return checks
  }

  /** The features degraded at present. */
  readFeatures(): DegradedFeature[] {
    return this.#features.list()
  }

  /** The status of a group whose checks are given: they may be fewer than it has, when some are excluded. */
  statusOf(group: string | undefined, checks: readonly CheckSnapshot[]): Status {
    if (group === 'live') return livenessOf(checks)
    if (group === 'startup') return this.#confirmed ? 'ok' : 'error'
    let status = statusOfChecks(checks)
    if (group !== undefined && group !== 'ready') return status
    if (this.#features.size > 0) status = worse(status, 'degraded')
    return this.phase === 'serving' ? status : 'error'
  }

  /** Everything, as plain data. */
  snapshot(): HealthSnapshot {
    const checks = this.read()
    return {
      service: this.service,
      version: this.version,
      phase: this.phase,
      status: this.statusOf(undefined, checks),
      checks,
      features: this.readFeatures(),
      refusedFeatures: this.#features.refused,
    }
  }

  #describe(entry: Entry, nowMs: number): CheckSnapshot {
    const { check, state, last, checkedAtMs, poller, executions, changes } = entry
    return {
      name: check.name,
      level: levelOf(state, check.policy, nowMs),
      severity: check.severity,
      groups: check.groups,
      responseMs: last?.durationMs,
      checkedAtMs,
      lastOutcome: last?.outcome,
      cause: last?.cause,
      code: last?.code,
      reason: last?.reason,
      data: last?.data,
      busy: poller.busy,
      executions,
      changes,
    }
  }

  #note(entry: Entry, execution: Execution): void {
    const { check } = entry
    const nowMs = this.clock.nowMs()
    const observed = readExecution(execution, check.degradedAboveMs)
    const from = entry.told
    entry.state = observe(entry.state, check.policy, observed, nowMs)
    entry.last = observed
    entry.checkedAtMs = this.clock.wallMs()
    entry.executions += execution.kind === 'hung' ? 0 : 1
    const to = levelOf(entry.state, check.policy, nowMs)
    if (to !== from) {
      entry.told = to
      entry.changes += 1
      this.#revision += 1
      const { cause, code, reason } = observed
      const event = { check: check.name, from, to, cause, code, reason }
      this.#options.log[to === 'healthy' ? 'info' : 'warn'](event, 'health check changed')
      publishCheck(event)
    }
    this.#confirmIfDue()
  }

  #confirmIfDue(): void {
    if (this.#confirmed || !this.#started) return
    for (const { check, state } of this.#checks.values()) {
      if (check.severity === 'critical' && !state.succeeded) return
    }
    const from = this.phase
    this.#confirmed = true
    this.#confirmation.resolve()
    this.#tellPhase(from)
  }

  #setCordon(cordoned: boolean): void {
    if (this.#cordoned === cordoned) return
    const from = this.phase
    this.#cordoned = cordoned
    this.#tellPhase(from)
  }

  #tellPhase(from: Phase): void {
    const to = this.phase
    this.#revision += 1
    if (to === from) return
    this.#options.log.info({ from, to }, 'health phase changed')
    publishPhase({ from, to })
  }

  #endAt(feature: string, untilMs: number): void {
    const { clock } = this.#options
    // A wait longer than a timer can hold is made of several.
    const waitMs = Math.max(0, Math.min(untilMs - clock.wallMs(), LONGEST_TIMER_MS))
    const cancel = clock.schedule(waitMs, () => {
      if (clock.wallMs() >= untilMs) this.recover(feature)
      else this.#endAt(feature, untilMs)
    })
    this.#featureTimers.set(feature, cancel)
  }
}

/** Whether `new Date(atMs)` is one: NaN, infinity and times past the year 275760 are not. */
function isDate(atMs: number | undefined): atMs is number {
  return !Number.isNaN(new Date(atMs ?? Number.NaN).getTime())
}

function belongs(check: ResolvedCheck, group: string): boolean {
  return group === 'startup' ? check.severity === 'critical' : check.groups.includes(group)
}
