/*
 * Everything that is in force or planned, as one document with a version. Pure: a state and an edit make the next
 * state. Guarantees: at most `MAX_RULES` rules; a document that another process has written is read completely or not
 * at all; what is over is forgotten with the next edit.
 */
import { type Banner, readKeptBanner } from './banner.ts'
import { FullError, UnknownError } from './errors.ts'
import { inputs } from './inputs.ts'
import { type Rule, type RuleInput, readKept, readRule } from './rule.ts'

/** Who changed what, and why. */
export interface Change {
  /** `rule.set`, `rule.removed`, `rules.cleared`, `banner.set`, `banner.cleared` or `bypass.revoked`. */
  readonly action: ChangeAction
  /** What was changed: the id of a rule. */
  readonly subject?: string
  /** Who did it, as the application calls him. */
  readonly by?: string
  readonly reason?: string
  /** The request with which it was done. */
  readonly requestId?: string
}

export type ChangeAction =
  | 'rule.set'
  | 'rule.removed'
  | 'rules.cleared'
  | 'banner.set'
  | 'banner.cleared'
  | 'bypass.revoked'

/** What all processes agree on. */
export interface MaintenanceState {
  /** Grows with every change; 0: nothing was ever changed. By the clock of the store, in ms since the Unix epoch. */
  readonly version: number
  /** Bypasses of an earlier epoch are over. */
  readonly epoch: number
  readonly rules: readonly Rule[]
  readonly banner?: Banner
  /** What made it; undefined for what the options say. */
  readonly change?: Change
}

/** A state without its version, which the store gives. */
export type Document = Omit<MaintenanceState, 'version'>

/** The most rules at one time. */
export const MAX_RULES = 100
/** The most characters of a document: every rule with everything at its longest is below it. */
export const MAX_DOCUMENT = 8_000_000
const ACTIONS: readonly ChangeAction[] = [
  'rule.set',
  'rule.removed',
  'rules.cleared',
  'banner.set',
  'banner.cleared',
  'bypass.revoked',
]

/** Nothing is in force. */
export const NOTHING: MaintenanceState = { version: 0, epoch: 1, rules: [] }

/** Reads rules that are given together. Raises `HOLDFAST_ERR_MAINTENANCE_RULE`. */
export function readRules(given: readonly RuleInput[]): readonly Rule[] {
  if (!Array.isArray(given) || given.length > MAX_RULES) return refuseRules(given)
  const rules = given.map((rule: RuleInput) => readRule(rule))
  const ids = new Set<string>()
  for (const { id } of rules) {
    // They would be one for whoever replaces it, or takes it out.
    if (ids.has(id)) inputs.refuse('id', 'that of no other rule of the list', id)
    ids.add(id)
  }
  return rules
}

/** Puts a rule in the place of the one with its id. Raises `HOLDFAST_ERR_MAINTENANCE_FULL`. */
export function withRule(state: MaintenanceState, rule: Rule, nowMs: number): Document {
  const rules = lasting(state.rules, nowMs).filter(({ id }) => id !== rule.id)
  if (rules.length >= MAX_RULES) throw new FullError(MAX_RULES)
  return { ...documentOf(state, nowMs), rules: [...rules, rule] }
}

/** Takes a rule out. Raises `HOLDFAST_ERR_MAINTENANCE_UNKNOWN`. */
export function withoutRule(state: MaintenanceState, id: string, nowMs: number): Document {
  if (!lasting(state.rules, nowMs).some((rule) => rule.id === id)) throw new UnknownError(`rule "${id}"`)
  return withoutRules(state, (rule) => rule.id === id, nowMs)
}

/** Takes rules out. */
export function withoutRules(
  state: MaintenanceState,
  isMeant: (rule: Rule) => boolean,
  nowMs: number,
): Document {
  return { ...documentOf(state, nowMs), rules: lasting(state.rules, nowMs).filter((rule) => !isMeant(rule)) }
}

/** Sets the banner, or takes it away. */
export function withBanner(state: MaintenanceState, banner: Banner | undefined, nowMs: number): Document {
  const { banner: _before, ...rest } = documentOf(state, nowMs)
  return banner === undefined ? rest : { ...rest, banner }
}

/** Ends all bypasses. */
export function withNextEpoch(state: MaintenanceState, nowMs: number): Document {
  return { ...documentOf(state, nowMs), epoch: state.epoch + 1 }
}

/** The text in which a state is told to others. */
export function textOf({ epoch, rules, banner, change }: Document): string {
  return JSON.stringify({ epoch, rules, banner, change })
}

/** Reads the text of another process. Raises `HOLDFAST_ERR_MAINTENANCE_RULE`, or a `SyntaxError`. */
export function stateFrom(text: string, version: number): MaintenanceState {
  inputs.text('state', text, MAX_DOCUMENT)
  const given: unknown = JSON.parse(text)
  const { epoch, rules, banner, change } = inputs.object('state', given) as Partial<Document>
  if (!Array.isArray(rules) || rules.length > MAX_RULES) return refuseRules(rules)
  const state: MaintenanceState = {
    version: inputs.count('version', version, 0),
    epoch: inputs.count('epoch', epoch, 1),
    rules: rules.map((rule: Rule) => readKept(rule)),
    ...(banner !== undefined && { banner: readKeptBanner(banner) }),
  }
  return change === undefined ? state : { ...state, change: changeOf(change) }
}

function refuseRules(given: unknown): never {
  return inputs.refuse('rules', `a list of at most ${MAX_RULES} rules`, given)
}

function changeOf(given: Change): Change {
  const { action, ...rest } = inputs.object('change', given)
  inputs.onlyKnown('change.', rest, ['subject', 'by', 'reason', 'requestId'])
  for (const [name, value] of Object.entries(rest)) inputs.text(`change.${name}`, value, 1000)
  return { action: inputs.oneOf('change.action', action, ACTIONS), ...rest }
}

function documentOf(
  { version: _version, change: _change, ...document }: MaintenanceState,
  nowMs: number,
): Document {
  const { banner, ...rest } = document
  const isOver = banner?.untilMs !== undefined && banner.untilMs <= nowMs
  return banner === undefined || isOver ? rest : { ...rest, banner }
}

function lasting(rules: readonly Rule[], nowMs: number): readonly Rule[] {
  return rules.filter(({ untilMs }) => untilMs === undefined || untilMs > nowMs)
}
