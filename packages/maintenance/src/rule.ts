/*
 * What an operator says about a part of the service, read once and kept in one form. Pure. Guarantees: whatever passes
 * `readRule` can be kept, told to other processes and read there again; nothing in it is longer or more than stated here.
 */
import { createHash } from 'node:crypto'
import { addressesOf, inputs } from './inputs.ts'

/**
 * `block`: nothing passes. `read-only`: what changes something is refused, and the rest is to change nothing.
 * `drain-writes`: the same, and it is known when the last change of all processes has ended. `banner-only`: everything
 * passes, and it is announced.
 */
export type Mode = 'block' | 'read-only' | 'drain-writes' | 'banner-only'

/** Of which part a rule speaks: of everything, of a group of routes, of one tenant, or of one tenant's use of a group. */
export interface Scope {
  readonly group?: string
  readonly tenant?: string
}

/** Whom a rule lets pass. */
export interface Allowance {
  /** By the option `roles`. Default `['admin']`. */
  readonly roles?: readonly string[]
  /** Addresses and networks, and the words `loopback` and `private`. Default none. */
  readonly addresses?: readonly string[]
  /** Beginnings of paths of routes, such as `/api/public`. Default none. */
  readonly paths?: readonly string[]
}

/** A moment: milliseconds since the Unix epoch, a `Date`, or RFC 3339. */
export type Moment = number | Date | string

/** A rule as it is given. */
export interface RuleInput {
  /** Its name, by which it is replaced and removed. Default: made of its scope. */
  readonly id?: string
  /** Default `all`: everything. */
  readonly scope?: Scope | 'all'
  /** Default `block`. */
  readonly mode?: Mode
  /** The methods it is about. Default: all with `block`, else all but GET, HEAD, OPTIONS and TRACE. */
  readonly methods?: readonly string[]
  /** When it begins. Default: at once. */
  readonly from?: Moment
  /** When it ends by itself. Default: never. */
  readonly until?: Moment
  /** For whoever is refused, and for the banner that announces it. At most 500 characters. */
  readonly message?: string
  /** For operators. At most 500 characters. */
  readonly reason?: string
  /** Whom it lets pass. */
  readonly allow?: Allowance
  /** How long before `from` it is announced by a banner, in ms. Default 900,000 (15 minutes); 0 for not at all. */
  readonly announceMs?: number
  /** What whoever is refused is told when no end is known, in ms. Default: that of the option `retryAfterMs`. */
  readonly retryAfterMs?: number
}

/** A rule as it is kept. */
export interface Rule {
  readonly id: string
  readonly scope: Scope
  readonly mode: Mode
  readonly methods?: readonly string[]
  /** Milliseconds since the Unix epoch. */
  readonly fromMs?: number
  readonly untilMs?: number
  readonly message?: string
  readonly reason?: string
  readonly allow: Required<Allowance>
  readonly announceMs: number
  readonly retryAfterMs?: number
}

/** How a moment is asked for. */
export const MOMENT = 'a moment such as 2026-11-22T20:00:00Z, with a time zone'

const MODES: readonly Mode[] = ['block', 'read-only', 'drain-writes', 'banner-only']
const MAX_TEXT = 500
const MAX_LIST = 100
const MAX_METHODS = 20
const NAME = /^[A-Za-z0-9][\w.:-]{0,63}$/
const METHOD = /^[A-Z][A-Z-]{0,19}$/
const PATH = /^\/[^\s?#]{0,255}$/
const ROLE = /^[\w.:-]{1,63}$/
const ANNOUNCE_MS = 900_000
/** The longest time of a rule's members, in ms. */
export const LONGEST_MS = 366 * 86_400_000
/** The last moment that RFC 3339 can write. */
const LAST_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999)

/** Reads what an operator gave. Raises `HOLDFAST_ERR_MAINTENANCE_RULE`. */
export function readRule(given: RuleInput): Rule {
  inputs.object('rule', given)
  const { id, scope = {}, mode = 'block', methods, from, until, message, reason, allow = {} } = given
  inputs.onlyKnown('', given, [
    'id',
    'scope',
    'mode',
    'methods',
    'from',
    'until',
    'message',
    'reason',
    'allow',
    'announceMs',
    'retryAfterMs',
  ])
  const readScope = scopeOf(scope)
  const fromMs = from === undefined ? undefined : momentOf('from', from)
  const untilMs = until === undefined ? undefined : momentOf('until', until)
  if (untilMs !== undefined && fromMs !== undefined && untilMs <= fromMs) {
    inputs.refuse('until', 'later than "from"', until)
  }
  const rule = {
    id: id === undefined ? idOf(readScope) : nameOf('id', id),
    scope: readScope,
    mode: inputs.oneOf('mode', mode, MODES),
    methods: methods === undefined ? undefined : methodsOf(methods),
    fromMs,
    untilMs,
    message: message === undefined ? undefined : lineOf('message', message),
    reason: reason === undefined ? undefined : lineOf('reason', reason),
    allow: allowanceOf(allow),
    announceMs: inputs.duration('announceMs', given.announceMs ?? ANNOUNCE_MS, 0, LONGEST_MS),
    retryAfterMs:
      given.retryAfterMs === undefined
        ? undefined
        : inputs.duration('retryAfterMs', given.retryAfterMs, 1000, LONGEST_MS),
  }
  return withoutUndefined(rule)
}

/** Reads a rule as another process has kept it. Raises `HOLDFAST_ERR_MAINTENANCE_RULE`. */
export function readKept(kept: Rule): Rule {
  const { fromMs, untilMs, ...rest } = inputs.object('rule', kept)
  return readRule({
    ...rest,
    ...(fromMs !== undefined && { from: fromMs }),
    ...(untilMs !== undefined && { until: untilMs }),
  })
}

/** The name of a rule that was given none: one for each scope. */
export function idOf({ group, tenant }: Scope): string {
  const parts = [group && `group:${group}`, tenant && `tenant:${tenant}`].filter((part) => part !== undefined)
  const name = parts.join('.') || 'all'
  if (NAME.test(name)) return name
  // What was cut off is in its digest: the rule of one tenant must not take the place of another's.
  const digest = createHash('sha256').update(name).digest('base64url')
  return `${name.slice(0, 42)}:${digest.slice(0, 21)}`
}

/** The moment in milliseconds since the Unix epoch. Raises `HOLDFAST_ERR_MAINTENANCE_RULE`. */
export function momentOf(name: string, given: Moment): number {
  const isNumber = typeof given === 'number' || given instanceof Date
  const ms =
    typeof given === 'string' ? readInstant(given) : isNumber ? Math.round(Number(given)) : Number.NaN
  if (Number.isSafeInteger(ms) && ms >= 0 && ms <= LAST_MS) return ms
  return inputs.refuse(name, MOMENT, given instanceof Date ? 'a Date' : given)
}

/** One line of text. Raises `HOLDFAST_ERR_MAINTENANCE_RULE`. */
export function lineOf(name: string, given: string): string {
  const text = inputs.text(name, given, MAX_TEXT).trim()
  // It is shown to everybody: text that turns the direction of what follows could say something else than it seems to.
  if (text === '' || /[\p{Cc}\p{Bidi_Control}]/u.test(text) || !text.isWellFormed()) {
    inputs.refuse(name, 'one line of text', given)
  }
  return text
}

/** RFC 3339 as a person writes it: a date, a time, and where that is. */
const INSTANT = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:\d\d)$/

function readInstant(text: string): number {
  if (!INSTANT.test(text)) return Number.NaN
  const upper = text.toUpperCase().replace(' ', 'T')
  const day = Date.parse(`${upper.slice(0, 10)}T00:00:00Z`)
  // Date.parse takes the 30th of February for the 2nd of March.
  const isDay = !Number.isNaN(day) && new Date(day).toISOString().startsWith(upper.slice(0, 10))
  return isDay ? Date.parse(upper) : Number.NaN
}

function scopeOf(given: Scope | 'all'): Scope {
  if (given === 'all') return {}
  if (typeof given === 'string')
    inputs.refuse('scope', '"all", or an object with "group" and "tenant"', given)
  inputs.object('scope', given)
  inputs.onlyKnown('scope.', given, ['group', 'tenant'])
  const { group, tenant } = given
  return withoutUndefined({
    group: group === undefined ? undefined : nameOf('scope.group', group),
    tenant: tenant === undefined ? undefined : nameOf('scope.tenant', tenant),
  })
}

function allowanceOf(given: Allowance): Required<Allowance> {
  inputs.object('allow', given)
  inputs.onlyKnown('allow.', given, ['roles', 'addresses', 'paths'])
  const { roles = ['admin'], addresses = [], paths = [] } = given
  return {
    roles: listOf('allow.roles', roles, ROLE, 'names of roles'),
    addresses: addressesOf('allow.addresses', addresses, MAX_LIST).entries,
    paths: listOf('allow.paths', paths, PATH, 'beginnings of paths, such as /api/public'),
  }
}

function methodsOf(given: readonly string[]): readonly string[] {
  const methods = listOf('methods', given, METHOD, 'methods such as POST', MAX_METHODS)
  if (methods.length === 0) inputs.refuse('methods', 'left out, or at least one', given)
  return methods
}

function listOf(
  name: string,
  given: readonly string[],
  pattern: RegExp,
  what: string,
  most = MAX_LIST,
): readonly string[] {
  if (!Array.isArray(given) || given.length > most)
    inputs.refuse(name, `a list of at most ${most} ${what}`, given)
  for (const entry of given) {
    if (typeof entry !== 'string' || !pattern.test(entry)) inputs.refuse(name, `a list of ${what}`, entry)
  }
  return [...given]
}

function nameOf(name: string, given: unknown): string {
  if (typeof given === 'string' && NAME.test(given)) return given
  return inputs.refuse(name, 'a name of 1 to 64 letters, digits, "_", ".", ":" and "-"', given)
}

type Present<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>
}

function withoutUndefined<T extends object>(given: T): Present<T> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Present<T>
}
