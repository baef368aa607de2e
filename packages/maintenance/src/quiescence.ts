/*
 * Whether the last change of all processes has ended. Pure: what the processes say about themselves makes the answer.
 * Guarantees: it is never said while a process is known that has not said so of itself; a process that fell silent is
 * waited for, until it is believed to be gone (`FORGET_MS`); nothing is said before the store has heard of everybody.
 */
import { MAX_MEMBERS, type Member, type Members } from './store.ts'

/** What a process says about itself. */
export interface Presence {
  /** Of the state that it keeps to. */
  readonly version: number
  /** By the id of each rule `drain-writes` that holds there: how many changes are under way that it is about. */
  readonly draining: Readonly<Record<string, number>>
}

/** The answer for one rule. */
export interface Quiescence {
  readonly quiescent: boolean
  /** Changes under way, in all processes that have said so. */
  readonly inFlight: number
  readonly processes: readonly ProcessQuiescence[]
  /** Whether the store has heard of processes for long enough to know all of them, and can tell of all. */
  readonly complete: boolean
}

/** What is known of one process. */
export interface ProcessQuiescence {
  readonly id: string
  /** `draining`: some are under way. `behind`: it does not keep to the rule yet. `silent`: it has not spoken lately. */
  readonly state: 'quiescent' | 'draining' | 'behind' | 'silent'
  readonly inFlight: number
  readonly seenMsAgo: number
}

/** How many times a process may miss its turn. */
const MISSED_TURNS = 3

/** The text in which a process tells it. */
export function presenceText({ version, draining }: Presence): string {
  return JSON.stringify({ version, draining })
}

/** Whether a rule has nothing left to wait for. `version`: of the state that is to be kept to. */
export function quiescenceOf(
  ruleId: string,
  { heardForMs, members }: Members,
  { version, syncMs }: { readonly version: number; readonly syncMs: number },
): Quiescence {
  const processes = members.map((member) => processOf(ruleId, member, version, MISSED_TURNS * syncMs))
  const complete = heardForMs >= MISSED_TURNS * syncMs && members.length < MAX_MEMBERS
  return {
    quiescent: complete && processes.length > 0 && processes.every(({ state }) => state === 'quiescent'),
    inFlight: processes.reduce((sum, { inFlight }) => sum + inFlight, 0),
    processes,
    complete,
  }
}

function processOf(
  ruleId: string,
  { id, text, seenMsAgo }: Member,
  version: number,
  silentMs: number,
): ProcessQuiescence {
  const presence = presenceFrom(text)
  // A rule may be called like what every object has.
  const draining = new Map(Object.entries(presence.draining)).get(ruleId)
  const inFlight = draining ?? 0
  const behind = presence.version < version || draining === undefined
  const said = behind ? 'behind' : inFlight > 0 ? 'draining' : 'quiescent'
  return { id, state: seenMsAgo > silentMs ? 'silent' : said, inFlight, seenMsAgo }
}

/** What cannot be read says nothing, and so is behind. */
function presenceFrom(text: string): Presence {
  const nothing = { version: -1, draining: {} }
  try {
    const { version, draining } = Object(JSON.parse(text)) as Partial<Presence>
    if (typeof version !== 'number') return nothing
    const counts = Object.entries(Object(draining)).filter(([, count]) => Number.isSafeInteger(count))
    return { version, draining: Object.fromEntries(counts) as Presence['draining'] }
  } catch {
    return nothing
  }
}
