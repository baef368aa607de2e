/**
 * What is closed at this moment, and for whom: `app.maintenance`. A request asks `plan`, which is undefined when nothing
 * is in force; everything else happens when something changes, in the background.
 */
import { withRetryAfter } from '@holdfast/footing'
import { type BannerInput, readBanner } from './banner.ts'
import { BreakGlass, type Override } from './break-glass.ts'
import type { Bypass } from './bypass.ts'
import { Bypasses, type IssuedBypass } from './bypasses.ts'
import { ActiveError, UnknownError } from './errors.ts'
import { publishChanged, publishRefused } from './events.ts'
import { InForce } from './in-force.ts'
import { inputs } from './inputs.ts'
import type { Entry } from './journal.ts'
import { type Note, told } from './note.ts'
import type { MaintenanceSettings } from './options.ts'
import { OwnPresence } from './own-presence.ts'
import {
  type ActiveRule,
  type Asker,
  decide,
  mayOnlyRead,
  type Plan,
  type RouteFacts,
  retryAfterMs,
  type Verdict,
} from './plan.ts'
import { type Quiescence, quiescenceOf } from './quiescence.ts'
import { RememberedChanges } from './remembered-changes.ts'
import { type Changed, type Log, Replica } from './replica.ts'
import { type Mode, type Rule, type RuleInput, readRule, type Scope } from './rule.ts'
import type { MaintenanceSnapshot } from './snapshot.ts'
import {
  type Change,
  type MaintenanceState,
  withBanner,
  withNextEpoch,
  withoutRule,
  withoutRules,
  withRule,
} from './state.ts'
import { type RuleInfo, type Status, stateOf } from './status.ts'
import type { MaintenanceStore } from './store.ts'
import { type Write, WritesInFlight } from './writes-in-flight.ts'

/** What it is made of beside its settings. */
export interface MaintenanceParts {
  readonly log: Log
  readonly store: MaintenanceStore
}

const MODES: readonly Mode[] = ['block', 'read-only', 'drain-writes', 'banner-only']
const MAX_HISTORY = 100

/** The maintenance of one process. */
export class Maintenance {
  readonly #settings: MaintenanceSettings
  readonly #log: Log
  readonly #replica: Replica
  readonly #breakGlass: BreakGlass
  readonly #writes: WritesInFlight
  readonly #presence: OwnPresence
  readonly #inForce: InForce
  readonly #bypasses: Bypasses
  readonly #remembered = new RememberedChanges()
  readonly #refused = { block: 0, 'read-only': 0, 'drain-writes': 0 }
  readonly #passed = { address: 0, role: 0, bypass: 0, path: 0 }
  #changing = 0

  constructor(settings: MaintenanceSettings, { log, store }: MaintenanceParts) {
    const { clock, journal } = settings
    this.#settings = settings
    this.#log = log
    this.#writes = new WritesInFlight(() => this.#presence.writeEnded())
    this.#presence = new OwnPresence({
      clock,
      writes: this.#writes,
      version: () => this.state.version,
      plan: () => this.plan,
      isOverridden: () => this.override !== undefined,
      tell: () => void this.sync(),
    })
    this.#bypasses = new Bypasses({
      settings,
      log,
      epoch: () => this.state.epoch,
      wallMs: () => this.wallMs(),
    })
    this.#breakGlass = new BreakGlass({
      force: settings.force,
      file: settings.file,
      checkMs: settings.fileCheckMs,
      rule: settings.rule,
      clock,
      log,
      changed: () => this.#inForce.apply(),
    })
    this.#replica = new Replica({
      store,
      journal,
      followsJournal: settings.scattered && journal !== undefined,
      clock,
      random: settings.random,
      syncMs: settings.syncMs,
      startupWaitMs: settings.startupWaitMs,
      log,
      initial: settings.initial,
      id: settings.processName,
      report: () => this.#presence.text(),
      adopted: (state, answerLost) => this.#adopted(state, answerLost),
      looked: () => this.#inForce.clockTold(),
    })
    this.#inForce = new InForce({
      clock,
      wallMs: () => this.wallMs(),
      log,
      said: () => ({ state: this.state, rules: this.#rules() }),
      drainBegun: () => this.#presence.tellSoon(),
    })
  }

  /** What is in force; undefined when nothing is. The one test of a request. */
  get plan(): Plan | undefined {
    return this.#inForce.plan
  }

  /** What everybody may know. */
  get status(): Status {
    return this.#inForce.status
  }

  /** The state that all processes agree on, as far as this one knows. */
  get state(): MaintenanceState {
    return this.#replica.state
  }

  /** What a setting or a file says instead. */
  get override(): Override | undefined {
    return this.#breakGlass.override
  }

  /** Milliseconds since the Unix epoch, by the clock that all processes share. */
  wallMs(): number {
    return this.#replica.wallMs()
  }

  /** Learns what the others know, from now on. Resolves when that is known, or after `startupWaitMs`. */
  async start(): Promise<void> {
    await Promise.all([this.#breakGlass.start(), this.#replica.start()])
  }

  async close(): Promise<void> {
    this.#inForce.close()
    this.#presence.close()
    this.#breakGlass.close()
    // What is still under way may write after this: others then wait until this process is believed to be gone.
    await this.#replica.close({ leaves: this.#writes.size === 0 })
  }

  /** Looks at once whether others have changed something; true when that succeeded. Never rejects. */
  sync(): Promise<boolean> {
    return this.#replica.sync()
  }

  /**
   * Sets a rule in all processes, in the place of the one with its id. Raises `HOLDFAST_ERR_MAINTENANCE_RULE`,
   * `..._FULL`, `..._CONFLICT` and `..._UNAVAILABLE`.
   */
  async set(given: RuleInput, note: Note = {}): Promise<Changed & { readonly rule: Rule }> {
    const rule = readRule(given)
    this.#refuseWhatIsOver(rule, given)
    const change = {
      action: 'rule.set',
      subject: rule.id,
      ...told({ ...note, reason: note.reason ?? rule.reason }),
    } as const
    const changed = await this.#change((state, nowMs) => withRule(state, rule, nowMs), change, note)
    return { ...changed, rule }
  }

  /** Takes a rule out in all processes. Raises also `HOLDFAST_ERR_MAINTENANCE_UNKNOWN`. */
  remove(id: string, note: Note = {}): Promise<Changed> {
    const change = { action: 'rule.removed', subject: id, ...told(note) } as const
    return this.#change((state, nowMs) => withoutRule(state, id, nowMs), change, note)
  }

  /** Takes all rules out, but for those of one tenant when `ofTenants` is false. */
  clear({ ofTenants, ...note }: Note & { readonly ofTenants?: boolean } = {}): Promise<Changed> {
    const isMeant = ({ scope }: Rule) => ofTenants === true || scope.tenant === undefined
    const change = { action: 'rules.cleared', ...told(note) } as const
    return this.#change((state, nowMs) => withoutRules(state, isMeant, nowMs), change, note)
  }

  /** Sets the banner in all processes. Raises as `set`. */
  async setBanner(given: BannerInput, note: Note = {}): Promise<Changed> {
    const banner = readBanner(given)
    this.#refuseWhatIsOver(banner, given)
    return this.#change(
      (state, nowMs) => withBanner(state, banner, nowMs),
      { action: 'banner.set', ...told(note) },
      note,
    )
  }

  /** Takes the banner away in all processes. */
  clearBanner(note: Note = {}): Promise<Changed> {
    return this.#change(
      (state, nowMs) => withBanner(state, undefined, nowMs),
      { action: 'banner.cleared', ...told(note) },
      note,
    )
  }

  /** All rules, as operators see them. */
  rules(): RuleInfo[] {
    const wallMs = this.wallMs()
    const isOverridden = this.override !== undefined
    return this.state.rules.map((rule) => ({
      ...rule,
      state: isOverridden ? 'overridden' : stateOf(rule, wallMs),
    }))
  }

  /** Changes, the latest first. Raises what the journal raises. */
  async history(limit = 20, before?: number): Promise<readonly Entry[]> {
    inputs.count('limit', limit, 1, MAX_HISTORY)
    if (before !== undefined) inputs.count('before', before, 0)
    const { journal } = this.#settings
    if (journal !== undefined) return journal.history(limit, before)
    return this.#remembered.history(limit, before)
  }

  /**
   * Whether the last change that a rule `drain-writes` is about has ended, in all processes. Raises
   * `HOLDFAST_ERR_MAINTENANCE_UNKNOWN` when there is no such rule, and `..._UNAVAILABLE`.
   */
  async quiescence(id: string): Promise<Quiescence> {
    const rule = this.state.rules.find((one) => one.id === id && one.mode === 'drain-writes')
    if (rule === undefined) throw new UnknownError(`rule "${id}" that drains writes`)
    // What this process knows of itself may be newer than what it has told.
    await this.#replica.sync()
    const { syncMs, scattered } = this.#settings
    const { heardForMs, members } = await this.#replica.members()
    // Of processes that do not share the store nothing is ever heard.
    const heard = { heardForMs: scattered ? 0 : heardForMs, members }
    return quiescenceOf(id, heard, { version: this.state.version, syncMs })
  }

  /**
   * Gives out a bypass for so many ms, at most a week, and says so in the log. Raises `HOLDFAST_ERR_MAINTENANCE_UNKNOWN`
   * without keys.
   */
  issueBypass(ms: number, note: Note = {}): IssuedBypass {
    return this.#bypasses.issue(ms, note)
  }

  /** What a bypass says, when it is one that holds. Raises `HOLDFAST_ERR_MAINTENANCE_BYPASS`. */
  readBypass(token: string | undefined): Bypass {
    return this.#bypasses.read(token)
  }

  /** What a bypass says; undefined when it is none that holds. */
  findBypass(token: string | undefined): Bypass | undefined {
    return this.#bypasses.find(token)
  }

  /** Ends all bypasses in all processes. Raises as `set`, and `HOLDFAST_ERR_MAINTENANCE_UNKNOWN` without keys. */
  async revokeBypasses(note: Note = {}): Promise<Changed> {
    this.#bypasses.keys()
    return this.#change(withNextEpoch, { action: 'bypass.revoked', ...told(note) }, note)
  }

  /** What becomes of a request. Counts nothing. */
  judge(route: RouteFacts, asker: Asker): Verdict {
    const { plan } = this
    return plan === undefined ? PASS : decide(plan, route, asker)
  }

  /** Whether a request that passes must change nothing all the same. */
  isReadOnly(route: RouteFacts, asker: Asker): boolean {
    const { plan } = this
    return plan !== undefined && mayOnlyRead(plan, route, asker)
  }

  /** How long whoever is refused by a rule is to wait, in ms; undefined when nobody can know. */
  retryAfterMs({ rule }: ActiveRule): number | undefined {
    const { random, retryAfterMs: otherwiseMs } = this.#settings
    return retryAfterMs(rule, { wallMs: this.wallMs(), random: random(), otherwiseMs })
  }

  /** What whoever is refused is told. */
  messageOf({ rule }: ActiveRule): string {
    return rule.message ?? this.#settings.message
  }

  countRefused(active: ActiveRule, method: string, path: string | undefined): void {
    this.#refused[active.mode] += 1
    publishRefused({ id: active.rule.id, mode: active.mode, method, path })
  }

  countPassed(by: keyof MaintenanceSnapshot['passed']): void {
    this.#passed[by] += 1
  }

  /** Notes that something is being changed, until `endWrite` is called. */
  beginWrite(write: Write): void {
    this.#writes.begin(write)
  }

  endWrite(write: Write): void {
    this.#writes.end(write)
  }

  /**
   * Runs work in the background that changes something, unless a rule is about it; it counts as under way until it ends.
   * Rejects with `HOLDFAST_ERR_MAINTENANCE_ACTIVE` without having run it, and with what the work rejects with.
   */
  async write<T>(scope: Scope, work: () => T | PromiseLike<T>): Promise<T> {
    const { group, tenant } = scope
    const nobody: Asker = {
      method: 'POST',
      tenant: () => tenant,
      address: () => undefined,
      roles: () => [],
      hasBypass: () => false,
    }
    const verdict = this.judge({ group, path: undefined, open: false }, nobody)
    if (verdict.pass !== true) {
      const { active } = verdict
      this.countRefused(active, 'write', undefined)
      throw withRetryAfter(
        new ActiveError(this.messageOf(active)),
        this.retryAfterMs(active) ?? this.#settings.retryAfterMs,
      )
    }
    const write = { group, tenant }
    this.#writes.begin(write)
    try {
      return await work()
    } finally {
      this.#writes.end(write)
    }
  }

  snapshot(): MaintenanceSnapshot {
    const wallMs = this.wallMs()
    const active = Object.fromEntries(MODES.map((mode) => [mode, 0])) as Record<Mode, number>
    for (const { mode } of this.#inForce.rules) active[mode] += 1
    return {
      version: this.state.version,
      enabled: this.status.maintenanceEnabled,
      banner: this.status.banner !== undefined,
      active,
      scheduled: this.#rules().filter((rule) => stateOf(rule, wallMs) === 'scheduled').length,
      override: this.override?.origin,
      heard: this.#replica.heard,
      refused: { ...this.#refused },
      passed: { ...this.#passed },
      writesInFlight: this.#writes.size,
      replica: this.#replica.counts(),
    }
  }

  async #change(edit: Parameters<Replica['change']>[0], change: Change, { version }: Note): Promise<Changed> {
    this.#changing += 1
    try {
      return await this.#replica.change(edit, change, version)
    } finally {
      this.#changing -= 1
    }
  }

  #refuseWhatIsOver({ untilMs }: { readonly untilMs?: number }, given: RuleInput | BannerInput): void {
    if (untilMs !== undefined && untilMs <= this.wallMs())
      inputs.refuse('until', 'in the future', given.until)
  }

  #rules(): readonly Rule[] {
    return this.override?.rules ?? this.state.rules
  }

  #adopted(state: MaintenanceState, answerLost: boolean): void {
    const { version, change } = state
    const learnt = this.#changing === 0 && !answerLost
    this.#log.warn({ version, change, learnt }, 'the state of maintenance has changed')
    publishChanged({ version, change, learnt })
    if (change !== undefined) this.#remembered.add({ version, atMs: version, change, text: '' })
    this.#inForce.apply()
    // Others may be waiting for this process to keep to it.
    this.#presence.tellSoon()
  }
}

const PASS: Verdict = { pass: true }
