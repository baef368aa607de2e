/**
 * The operators' routes as a table. The plugin registers them, and lets in whom `authorize` accepts. Members are in
 * snake_case and times RFC 3339, as everywhere over HTTP.
 */

import type { Severity } from './banner.ts'
import { MAX_BYPASS_MS } from './bypass.ts'
import { InputMembers } from './input-members.ts'
import { inputs } from './inputs.ts'
import type { Entry } from './journal.ts'
import type { Maintenance } from './maintenance.ts'
import type { Note } from './note.ts'
import type { BypassOptions } from './options.ts'
import type { ProcessQuiescence } from './quiescence.ts'
import { instant } from './refusal.ts'
import type { Changed } from './replica.ts'
import { LONGEST_MS, type Mode, type Rule, type RuleInput, type Scope } from './rule.ts'
import type { RuleInfo } from './status.ts'

/** What an operator asked, as it came. */
export interface Asked {
  readonly params: Readonly<Record<string, string>>
  readonly query: unknown
  readonly body: unknown
}

/** What it is answered with. */
export interface Answered {
  readonly statusCode?: number
  readonly body?: object
}

/** What the routes know beside what was asked. */
export interface Around {
  readonly note: Note
  /** The rule of `enable` without more. */
  readonly rule: Rule
  readonly bypass: Required<BypassOptions> | undefined
  /** The groups that routes here belong to. */
  readonly groups: ReadonlySet<string>
}

/** One row. */
export interface OperatorRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly path: string
  answer(maintenance: Maintenance, asked: Asked, around: Around): Answered | Promise<Answered>
}

/** The most bytes of a body. */
export const MAX_BODY_BYTES = 65_536
const DEFAULT_ITEMS = 20
const MAX_ITEMS = 100

/** The table. */
export const operatorRoutes: readonly OperatorRoute[] = [
  {
    method: 'GET',
    path: '/maintenance',
    answer: (maintenance) => ({ body: overview(maintenance) }),
  },
  {
    method: 'POST',
    path: '/maintenance/enable',
    async answer(maintenance, { body }, { note, rule, groups }) {
      const members = InputMembers.of(body)
      const given = { ...inputOf(rule), ...ruleMembers(members) }
      // The name of the usual rule is for the usual scope.
      if (members.has('scope') && !members.has('id')) Object.assign(given, { id: undefined })
      return { body: await set(maintenance, given, noteOf(members, note), groups) }
    },
  },
  {
    method: 'POST',
    path: '/maintenance/disable',
    async answer(maintenance, { body }, { note }) {
      const members = InputMembers.of(body)
      members.onlyKnown(['id', 'tenants', 'reason', 'version'])
      const id = members.text('id')
      const noted = noteOf(members, note)
      const changed =
        id === undefined
          ? await maintenance.clear({ ...noted, ofTenants: members.flag('tenants') ?? false })
          : await maintenance.remove(id, noted)
      return { body: changeBody(maintenance, changed) }
    },
  },
  {
    method: 'PUT',
    path: '/maintenance/rules/:id',
    async answer(maintenance, { params, body }, { note, groups }) {
      // A body that was forgotten would be a rule that closes everything.
      if (body === undefined || body === null)
        inputs.refuse('the body', 'a JSON object, {} for the defaults', body)
      const members = InputMembers.of(body)
      const id = params['id'] ?? ''
      const rule = { id, ...ruleMembers(members) }
      if (rule.id !== id) inputs.refuse('id', `left out, or "${id}" as in the path`, rule.id)
      return { body: await set(maintenance, rule, noteOf(members, note), groups) }
    },
  },
  {
    method: 'DELETE',
    path: '/maintenance/rules/:id',
    async answer(maintenance, { params, query }, { note }) {
      const noted = noteOf(noteMembers(query), note)
      return { body: changeBody(maintenance, await maintenance.remove(params['id'] ?? '', noted)) }
    },
  },
  {
    method: 'GET',
    path: '/maintenance/rules/:id/quiescence',
    async answer(maintenance, { params }) {
      const { quiescent, inFlight, complete, processes } = await maintenance.quiescence(params['id'] ?? '')
      return { body: { quiescent, in_flight: inFlight, complete, processes: processes.map(processBody) } }
    },
  },
  {
    method: 'GET',
    path: '/maintenance/history',
    async answer(maintenance, { query }) {
      const members = InputMembers.of(query)
      members.onlyKnown(['limit', 'cursor'])
      const limit = members.number('limit', 1, MAX_ITEMS) ?? DEFAULT_ITEMS
      const entries = await maintenance.history(limit, members.number('cursor', 0))
      const last = entries.length === limit ? entries.at(-1) : undefined
      return { body: { items: entries.map(entryBody), next_cursor: last ? String(last.version) : null } }
    },
  },
  {
    method: 'POST',
    path: '/maintenance/bypasses',
    answer(maintenance, { body }, { note, bypass }) {
      const members = InputMembers.of(body)
      members.onlyKnown(['duration_ms', 'reason'])
      const issued = maintenance.issueBypass(
        members.number('duration_ms', 1000, MAX_BYPASS_MS) ?? bypass?.defaultMs ?? 0,
        noteOf(members, note),
      )
      return {
        statusCode: 201,
        body: {
          id: issued.id,
          token: issued.token,
          header: bypass?.header,
          until: instant(Math.floor(issued.untilMs)),
        },
      }
    },
  },
  {
    method: 'DELETE',
    path: '/maintenance/bypasses',
    async answer(maintenance, { query }, { note }) {
      const noted = noteOf(noteMembers(query), note)
      return { body: changeBody(maintenance, await maintenance.revokeBypasses(noted)) }
    },
  },
  {
    method: 'POST',
    path: '/banner',
    async answer(maintenance, { body }, { note }) {
      const members = InputMembers.of(body)
      members.onlyKnown(['message', 'severity', 'from', 'until', 'reason', 'version'])
      const banner = definedOnly({
        // What is wrong with these is found out where the banner is read.
        message: members.get('message') as string,
        severity: members.get('severity') as Severity | undefined,
        from: members.moment('from'),
        until: members.moment('until'),
      })
      return { body: changeBody(maintenance, await maintenance.setBanner(banner, noteOf(members, note))) }
    },
  },
  {
    method: 'POST',
    path: '/banner/clear',
    async answer(maintenance, { body }, { note }) {
      const noted = noteOf(noteMembers(body), note)
      return { body: changeBody(maintenance, await maintenance.clearBanner(noted)) }
    },
  },
]

const RULE_MEMBERS = [
  'id',
  'scope',
  'mode',
  'methods',
  'from',
  'until',
  'message',
  'reason',
  'allow',
  'announce_ms',
  'retry_after_ms',
  'version',
]

/** What is wrong with a member is found out where the rule is read. */
function ruleMembers(members: InputMembers): Partial<RuleInput> {
  members.onlyKnown(RULE_MEMBERS)
  // Seconds since 1970 would be taken for milliseconds: a window of next week would begin at once.
  for (const name of ['from', 'until']) members.moment(name)
  // By the names that they have here.
  for (const [name, least] of [
    ['announce_ms', 0],
    ['retry_after_ms', 1000],
  ] as const) {
    if (members.has(name)) inputs.duration(name, members.get(name), least, LONGEST_MS)
  }
  return Object.fromEntries(
    RULE_MEMBERS.filter((name) => name !== 'version' && members.has(name)).map((name) => [
      name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
      members.get(name),
    ]),
  )
}

async function set(
  maintenance: Maintenance,
  given: Partial<RuleInput>,
  note: Note,
  groups: ReadonlySet<string>,
): Promise<object> {
  const changed = await maintenance.set(definedOnly(given), note)
  const { rule } = changed
  const { group } = rule.scope
  // Another process, or work in the background, may have one: it is no mistake for certain.
  const isUnknown = group !== undefined && !groups.has(group)
  return {
    ...changeBody(maintenance, changed),
    rule: ruleBody(rule),
    warning: isUnknown
      ? `no route here is of the group "${group}", but of ${[...groups].join(', ') || 'none'}`
      : null,
  }
}

function noteOf(members: InputMembers, note: Note): Note {
  return { ...note, reason: members.line('reason'), version: members.number('version', 0) }
}

/** Of what takes nothing else; a DELETE has it in its query, because nobody need read its body. */
function noteMembers(given: unknown): InputMembers {
  const members = InputMembers.of(given)
  members.onlyKnown(['reason', 'version'])
  return members
}

/** A rule as it would be given. */
function inputOf({ fromMs, untilMs, ...rule }: Rule): RuleInput {
  return {
    ...rule,
    ...(fromMs !== undefined && { from: fromMs }),
    ...(untilMs !== undefined && { until: untilMs }),
  }
}

function overview(maintenance: Maintenance): object {
  const { status, state, override } = maintenance
  const { banner } = state
  return {
    maintenance_enabled: status.maintenanceEnabled,
    banner_message: status.bannerMessage,
    version: state.version,
    changed_at: state.version === 0 ? null : instant(state.version),
    changed_by: state.change?.by ?? null,
    override:
      override === undefined
        ? null
        : { origin: override.origin, rules: override.rules.map((rule) => ruleBody(rule)) },
    rules: maintenance.rules().map(ruleBody),
    banner:
      banner === undefined
        ? null
        : {
            message: banner.message,
            severity: banner.severity,
            from: instant(banner.fromMs),
            until: instant(banner.untilMs),
          },
    writes_in_flight: maintenance.snapshot().writesInFlight,
  }
}

function changeBody(maintenance: Maintenance, { state, recorded }: Changed): object {
  const { status } = maintenance
  return {
    maintenance_enabled: status.maintenanceEnabled,
    banner_message: status.bannerMessage,
    version: state.version,
    recorded: recorded ?? null,
  }
}

function ruleBody(rule: Rule & { readonly state?: RuleInfo['state'] }): {
  readonly scope: Scope
  readonly mode: Mode
} {
  const {
    id,
    scope,
    mode,
    methods,
    fromMs,
    untilMs,
    message,
    reason,
    allow,
    announceMs,
    retryAfterMs,
    state,
  } = rule
  return {
    ...{ id, ...(state !== undefined && { state }) },
    scope,
    mode,
    ...{
      methods: methods ?? null,
      from: instant(fromMs),
      until: instant(untilMs),
      message: message ?? null,
      reason: reason ?? null,
      allow,
      announce_ms: announceMs,
      retry_after_ms: retryAfterMs ?? null,
    },
  }
}

function processBody({ id, state, inFlight, seenMsAgo }: ProcessQuiescence): object {
  return { id, state, in_flight: inFlight, seen_ms_ago: Math.round(seenMsAgo) }
}

function entryBody({ version, atMs, change }: Entry): object {
  const { action, subject, by, reason, requestId } = change
  return {
    version,
    at: instant(atMs),
    action,
    subject: subject ?? null,
    by: by ?? null,
    reason: reason ?? null,
    request_id: requestId ?? null,
  }
}

function definedOnly<T extends object>(given: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as never
}
