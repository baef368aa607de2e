/*
 * What is in force in this process at this moment. It is made anew when something else is said, and when a rule or a
 * banner is announced, begins or ends by itself; rules that begin and end are told.
 */
import { type Clock, LONGEST_TIMER_MS } from '@holdfast/footing'
import { holds } from './banner.ts'
import { publishBegun, publishEnded } from './events.ts'
import { nextChangeMs, type Plan, planAt } from './plan.ts'
import type { Log } from './replica.ts'
import type { Rule } from './rule.ts'
import type { MaintenanceState } from './state.ts'
import { type Status, statusAt } from './status.ts'

/** What it works with. */
export interface InForceParts {
  readonly clock: Clock
  /** Milliseconds since the Unix epoch, by the clock that all processes share. */
  readonly wallMs: () => number
  readonly log: Log
  /** What is said at that moment. The rules may be others than those of the state: a setting or a file wins. */
  readonly said: () => { readonly state: MaintenanceState; readonly rules: readonly Rule[] }
  /** A rule `drain-writes` holds from now on. */
  readonly drainBegun: () => void
}

const MEASURED_MS = 1000

/** What is in force in one process. */
export class InForce {
  readonly #parts: InForceParts
  #plan: Plan | undefined
  #status: Status
  #rules: ReadonlyMap<string, Rule> = new Map()
  #madeMs = Number.NEGATIVE_INFINITY
  #nextChangeMs = Number.POSITIVE_INFINITY
  #cancelChange: () => void = () => {}
  #closed = false

  constructor(parts: InForceParts) {
    const { state, rules } = parts.said()
    this.#parts = parts
    this.#status = statusAt(state, rules, parts.wallMs())
    this.apply()
  }

  /** What a request asks; undefined when nothing is in force. */
  get plan(): Plan | undefined {
    return this.#plan
  }

  /** What everybody may know. */
  get status(): Status {
    return this.#status
  }

  /** The rules that hold. */
  get rules(): Iterable<Rule> {
    return this.#rules.values()
  }

  /** Makes it of what is said now. */
  apply(): void {
    if (this.#closed) return
    const { clock, said } = this.#parts
    const wallMs = this.#parts.wallMs()
    const { state, rules } = said()
    this.#madeMs = wallMs
    this.#plan = planAt(rules, wallMs)
    this.#status = statusAt(state, rules, wallMs)
    this.#tellBegunAndEnded(
      new Map(rules.filter((rule) => holds(rule, wallMs)).map((rule) => [rule.id, rule])),
    )
    const { banner } = state
    this.#nextChangeMs = nextChangeMs(banner === undefined ? rules : [...rules, banner], wallMs)
    this.#cancelChange()
    if (this.#nextChangeMs === Number.POSITIVE_INFINITY) return
    const delayMs = Math.min(Math.ceil(this.#nextChangeMs - wallMs), LONGEST_TIMER_MS)
    this.#cancelChange = clock.schedule(delayMs, () => this.apply())
  }

  /** The clock may have been told to be later than it was, or much earlier. */
  clockTold(): void {
    const wallMs = this.#parts.wallMs()
    // A little earlier it is by measuring: what has begun a moment ago must not end for that.
    if (wallMs >= this.#nextChangeMs || wallMs < this.#madeMs - MEASURED_MS) this.apply()
  }

  /** Nothing changes any more. */
  close(): void {
    this.#closed = true
    this.#cancelChange()
  }

  #tellBegunAndEnded(inForce: ReadonlyMap<string, Rule>): void {
    const { log, drainBegun } = this.#parts
    const before = this.#rules
    this.#rules = inForce
    for (const rule of inForce.values()) {
      const { id, mode, scope, reason } = rule
      if (isSameClosing(before.get(id), rule)) continue
      log.warn({ rule: id, mode, scope, reason }, 'maintenance has begun')
      publishBegun({ id, mode, scope })
      if (mode === 'drain-writes') drainBegun()
    }
    for (const rule of before.values()) {
      const { id, mode, scope } = rule
      if (isSameClosing(inForce.get(id), rule)) continue
      log.warn({ rule: id, mode, scope }, 'maintenance has ended')
      publishEnded({ id, mode, scope })
    }
  }
}

/** Whether the same is closed in the same way. What people are told, and until when, may differ. */
function isSameClosing(one: Rule | undefined, { mode, scope: { group, tenant } }: Rule): boolean {
  return one?.mode === mode && one.scope.group === group && one.scope.tenant === tenant
}
