/*
 * What is in force at a moment, made once for it, so that a request asks whether there is a plan at all, and only then
 * what it says. Pure: rules, a route and a request make a decision; time and chance are arguments.
 *
 * Guarantees: where several rules are about a request, the strictest decides, and of those the one that ends last; a
 * rule of one tenant is about nobody else; a route that is always open is refused by no rule.
 */
import { AddressList } from '@holdfast/footing'
import { holds } from './banner.ts'
import type { Mode, Rule } from './rule.ts'

/** What is known about the route of a request, once for all requests. */
export interface RouteFacts {
  readonly group: string | undefined
  /** The pattern of its path; undefined where there is no route. */
  readonly path: string | undefined
  /** Whether nothing ever closes it. */
  readonly open: boolean
}

/** Whoever asks, as far as a rule may want to know; asked for when it does. */
export interface Asker {
  readonly method: string
  tenant(): string | undefined
  address(): string | undefined
  /** Undefined: that is not known yet. */
  roles(): readonly string[] | undefined
  hasBypass(): boolean
}

/** A rule in force. */
export interface ActiveRule {
  readonly rule: Rule
  readonly mode: Exclude<Mode, 'banner-only'>
  /** Whether it is about requests with this method. */
  concerns(method: string): boolean
  readonly addresses: AddressList
}

/** What becomes of a request. `unsure`: it depends on who asks, and that is not known yet. */
export type Verdict =
  | { readonly pass: true; readonly by?: 'address' | 'role' | 'bypass' | 'path' }
  | { readonly pass: false; readonly active: ActiveRule }
  | { readonly pass: 'unsure'; readonly active: ActiveRule }

const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE'])
const STRICTNESS: Readonly<Record<ActiveRule['mode'], number>> = {
  block: 0,
  'drain-writes': 1,
  'read-only': 2,
}
const PASS: Verdict = { pass: true }

/** Whether a request with this method may change something. */
export function isWrite(method: string): boolean {
  return !SAFE.has(method)
}

/** The rules in force at a moment. */
export class Plan {
  readonly rules: readonly ActiveRule[]
  readonly #byGroup = new Map<string | undefined, readonly ActiveRule[]>()

  constructor(rules: readonly ActiveRule[]) {
    this.rules = rules
    // Whatever a route is called, there are no more entries than rules.
    const everywhere = rules.filter(({ rule }) => rule.scope.group === undefined)
    this.#byGroup.set(undefined, everywhere)
    for (const { rule } of rules) {
      const { group } = rule.scope
      if (group === undefined || this.#byGroup.has(group)) continue
      this.#byGroup.set(
        group,
        rules.filter(({ rule: { scope } }) => scope.group === undefined || scope.group === group),
      )
    }
  }

  /** Those about routes of a group, the strictest first. */
  about(group: string | undefined): readonly ActiveRule[] {
    return this.#byGroup.get(group) ?? this.#byGroup.get(undefined) ?? []
  }
}

/** What is in force at `wallMs`; undefined when nothing is. */
export function planAt(rules: readonly Rule[], wallMs: number): Plan | undefined {
  const active = rules.filter((rule) => holds(rule, wallMs)).flatMap(activeOf)
  if (active.length === 0) return undefined
  return new Plan(
    active.toSorted(
      (left, right) =>
        STRICTNESS[left.mode] - STRICTNESS[right.mode] || endOf(right) - endOf(left) || byId(left, right),
    ),
  )
}

/** When what is in force or announced changes by itself; `Infinity` for never. */
export function nextChangeMs(
  windows: readonly { readonly fromMs?: number; readonly untilMs?: number; readonly announceMs?: number }[],
  wallMs: number,
): number {
  let next = Number.POSITIVE_INFINITY
  for (const { fromMs = 0, untilMs = 0, announceMs = 0 } of windows) {
    for (const moment of [fromMs - announceMs, fromMs, untilMs]) {
      if (moment > wallMs && moment < next) next = moment
    }
  }
  return next
}

/** Decides about a request. */
export function decide(plan: Plan, route: RouteFacts, asker: Asker): Verdict {
  if (route.open) return PASS
  let passed: Verdict = PASS
  for (const active of plan.about(route.group)) {
    const verdict = decideBy(active, route, asker)
    if (verdict.pass !== true) return verdict
    if (verdict.by !== undefined) passed = verdict
  }
  return passed
}

/** Whether a request that passes must change nothing all the same: a rule would refuse it if it did, and lets it read. */
export function mayOnlyRead(plan: Plan, route: RouteFacts, asker: Asker): boolean {
  if (route.open) return false
  const writer: Asker = {
    method: 'POST',
    // They may be getters and methods of a class.
    tenant: () => asker.tenant(),
    address: () => asker.address(),
    roles: () => asker.roles(),
    hasBypass: () => asker.hasBypass(),
  }
  return plan
    .about(route.group)
    .some((active) => active.mode !== 'block' && decideBy(active, route, writer).pass !== true)
}

/**
 * How long whoever is refused by a rule has to wait: until it ends, and up to a tenth more, so that not all come at once.
 * Undefined for one tenant that is blocked without an end: there is nothing to wait for.
 */
export function retryAfterMs(
  { mode, scope, untilMs, retryAfterMs: given }: Rule,
  {
    wallMs,
    random,
    otherwiseMs,
  }: { readonly wallMs: number; readonly random: number; readonly otherwiseMs: number },
): number | undefined {
  const isEndless = untilMs === undefined && given === undefined
  if (isEndless && mode === 'block' && scope.tenant !== undefined) return undefined
  const leftMs = untilMs === undefined ? (given ?? otherwiseMs) : Math.max(0, untilMs - wallMs)
  return leftMs + Math.min(leftMs / 10, LONGEST_JITTER_MS) * random
}

const LONGEST_JITTER_MS = 300_000

function decideBy(active: ActiveRule, route: RouteFacts, asker: Asker): Verdict {
  const { rule, addresses } = active
  const { scope, allow } = rule
  if (!active.concerns(asker.method)) return PASS
  if (scope.tenant !== undefined && asker.tenant() !== scope.tenant) return PASS
  if (allow.paths.length > 0 && beginsWith(route.path, allow.paths)) return { pass: true, by: 'path' }
  if (addresses.entries.length > 0 && addresses.has(asker.address())) return { pass: true, by: 'address' }
  if (asker.hasBypass()) return { pass: true, by: 'bypass' }
  if (allow.roles.length > 0) {
    const roles = asker.roles()
    if (roles === undefined) return { pass: 'unsure', active }
    if (roles.some((role) => allow.roles.includes(role))) return { pass: true, by: 'role' }
  }
  return { pass: false, active }
}

/** Whether a path begins with one of these, at a whole segment. */
export function beginsWith(path: string | undefined, beginnings: readonly string[]): boolean {
  if (path === undefined) return false
  return beginnings.some((beginning) => {
    const start = beginning.endsWith('/') ? beginning.slice(0, -1) : beginning
    return path === start || path.startsWith(`${start}/`)
  })
}

function activeOf(rule: Rule): ActiveRule[] {
  const { mode, methods, allow } = rule
  if (mode === 'banner-only') return []
  const named = methods === undefined ? undefined : new Set(methods)
  const isEverything = mode === 'block'
  return [
    {
      rule,
      mode,
      // A browser that may not ask whether it may ask would not show why.
      concerns: (method) => named?.has(method) ?? (isEverything ? method !== 'OPTIONS' : isWrite(method)),
      addresses: new AddressList(allow.addresses, unreadable),
    },
  ]
}

function endOf({ rule }: ActiveRule): number {
  return rule.untilMs ?? Number.MAX_SAFE_INTEGER
}

function byId({ rule: left }: ActiveRule, { rule: right }: ActiveRule): number {
  return left.id < right.id ? -1 : 1
}

/** They were read when the rule was. */
function unreadable(entry: string): never {
  throw new Error(`${entry} is no network`)
}
