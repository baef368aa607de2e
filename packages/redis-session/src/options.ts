import { randomBytes } from 'node:crypto'
import { type Clock, OptionChecks, systemClock } from '@holdfast/footing'
import { OptionError } from './errors.ts'
import type { Profile } from './lifetime.ts'
import type { RevocationLog } from './revocation-log.ts'
import { MAX_SECRETS, MIN_SECRET_LENGTH } from './secret-ring.ts'
import type { CookieForm } from './session-cookie.ts'
import type { FieldReaders } from './session-data.ts'
import type { RandomBytes } from './session-id.ts'
import type { SessionRedis } from './store.ts'

/** How long sessions last, by kind. A number is the idle time, in ms. */
export interface ProfileOptions {
  /** Of a login without `permanent`, and of anonymous sessions. Default: idle 1 h, absolute 12 h. */
  readonly default?: number | Profile
  /** Of a login with `permanent: true`. Default: idle 24 h, absolute 30 days. */
  readonly permanent?: number | Profile
}

/** The cookie of sessions. */
export interface CookieOptions {
  /** Default `__Host-Http-sid`, or `sid` when it is not secure. */
  readonly name?: string
  /** Sent over https only. `false` is for development. Default true. */
  readonly secure?: boolean
  /** Default `'Lax'`. */
  readonly sameSite?: 'Lax' | 'Strict'
}

/** Options of the sessions. */
export interface SessionsOptions {
  /** `app.redisGuard`. Default: none; sessions are kept in the memory of this process. */
  readonly redis?: SessionRedis | undefined
  /**
   * One to eight texts of at least 32 characters: the first one makes new ids, the others are understood until their
   * sessions have ended. Needed with `redis`. Default: a random one, so that sessions end with the process.
   */
  readonly secrets?: readonly string[]
  /** How long sessions last. Default: idle 1 h and absolute 12 h; permanent 24 h and 30 days. */
  readonly profiles?: ProfileOptions
  /** Milliseconds for which a proof of who the user is counts as fresh. Default 900,000. */
  readonly freshAuthMs?: number
  /** Milliseconds between two notes that a session is in use, at most a quarter of its idle time. Default 60,000. */
  readonly touchEveryMs?: number
  /** Reads each field that sessions may have. Default: any field of JSON. */
  readonly fields?: FieldReaders | undefined
  /** Bytes of the data of one session, names included; 64 to 1,048,576. Default 32,768. */
  readonly maxBytes?: number
  /** Fields of one session; 1 to 512. Default 64. */
  readonly maxFields?: number
  /** Sessions of one user; 1 to 1000. Default 50. */
  readonly maxPerUser?: number
  /** One login more than `maxPerUser`: `'evict'` ends the session that ends first, `'deny'` refuses. Default `'evict'`. */
  readonly whenFull?: 'evict' | 'deny'
  /** Keeps who is signed in, and all data, encrypted (AES-256-GCM) in Redis. Default false. */
  readonly encrypt?: boolean
  /**
   * What is believed while Redis is away. `'sealed-cookie'`: who is signed in, by a second cookie that was sealed when
   * Redis last confirmed it. `'memory'`: the same, of sessions that this process itself has seen. `'deny'`: nothing.
   * Default `'sealed-cookie'`.
   */
  readonly onRedisDown?: 'sealed-cookie' | 'memory' | 'deny'
  /** Milliseconds for which that is believed after Redis confirmed it; at most 900,000, the default. */
  readonly outageMs?: number
  /** The roles that are left to users while Redis is away. Default `['user']`. */
  readonly outageRoles?: readonly string[]
  /** Fields that can be changed while Redis is away; kept when the session was not changed elsewhere. Default none. */
  readonly outageFields?: readonly string[]
  /**
   * Where ends of sessions are noted that Redis could not be told: a `FileLog`, a `TableLog`, or one of your own.
   * Default: none; they are in the memory of this process.
   */
  readonly revocationLog?: RevocationLog | undefined
  /** Whether sessions are counted, for `statistics()`. Default true. */
  readonly statistics?: boolean
  /** Bytes of data from which on a session is told of as an oddity. Default 8192. */
  readonly warnBytes?: number
  /**
   * Sessions, or shadows of them, in the memory of this process; and ends that it heard of. Of each the oldest one goes.
   * Of listeners to ends one more is refused. Default 10,000.
   */
  readonly maxInMemory?: number
  /** Where time comes from. Default: `systemClock`. */
  readonly clock?: Clock
  /** Where chance comes from. Default: `randomBytes` of `node:crypto`. */
  readonly randomBytes?: RandomBytes
}

/** Options of a `CallbackStore`. */
export interface CallbackStoreOptions {
  /** `app.redisGuard`. */
  readonly redis: SessionRedis
  /** As those of the plugin. */
  readonly secrets: readonly string[]
  /** `session.Store` of `express-session`, which lends what it adds to every store. Default: none. */
  readonly base?: abstract new (
    ...args: never[]
  ) => object
  /** Milliseconds for which a session is kept whose cookie does not say when it ends. Default 86,400,000. */
  readonly ttlMs?: number
  /** Bytes of one session; 64 to 1,048,576. Default 32,768. */
  readonly maxBytes?: number
  /** Where time comes from. Default: `systemClock`. */
  readonly clock?: Clock
}

/** The options with every default filled in. */
export interface ResolvedOptions
  extends Required<Omit<SessionsOptions, 'redis' | 'secrets' | 'profiles' | 'fields' | 'revocationLog'>> {
  readonly redis: SessionRedis | undefined
  readonly secrets: readonly [string, ...string[]]
  readonly profiles: { readonly default: Profile; readonly permanent: Profile }
  readonly fields: FieldReaders | undefined
  readonly revocationLog: RevocationLog | undefined
}

/** Refuses wrong options with `HOLDFAST_ERR_REDIS_SESSION_OPTION`. */
export const checks: OptionChecks = new OptionChecks(
  (option, expected, received) => new OptionError(option, expected, received),
)

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** A session that nobody ends lives for a year at most. */
const LONGEST_MS = 366 * DAY_MS
const SHORTEST_MS = 1000
const LONGEST_OUTAGE_MS = 900_000
const redisMethods = ['run', 'call', 'key', 'onStateChange', 'beforeUp', 'subscribe'] as const
const cookieName = /^[A-Za-z][\w-]{0,63}$|^__(Host|Secure)-[\w-]{1,56}$/

const standard: ResolvedOptions['profiles'] = {
  default: { idleMs: HOUR_MS, absoluteMs: 12 * HOUR_MS },
  permanent: { idleMs: DAY_MS, absoluteMs: 30 * DAY_MS },
}

/** Fills in the defaults; raises `HOLDFAST_ERR_REDIS_SESSION_OPTION` for a wrong value and for an unknown name. */
export function resolveOptions(options: SessionsOptions = {}): ResolvedOptions {
  checks.object('options', options)
  const { redis, fields, revocationLog } = options
  if (redis !== undefined) {
    checks.having('redis', checks.object('redis', redis), redisMethods)
  }
  if (fields !== undefined) {
    for (const [name, reader] of Object.entries(checks.object('fields', fields))) {
      if (typeof reader !== 'function') checks.refuse(`fields.${name}`, 'a function', reader)
    }
  }
  if (revocationLog !== undefined) {
    checks.having('revocationLog', checks.object('revocationLog', revocationLog), [
      'append',
      'read',
      'remove',
    ])
  }
  const random = checks.callable('randomBytes', options.randomBytes ?? randomBytes)
  const resolved = {
    redis,
    fields,
    revocationLog,
    secrets: secretsOf(options, random),
    profiles: profilesOf(options.profiles ?? {}),
    freshAuthMs: checks.duration('freshAuthMs', options.freshAuthMs ?? 900_000, 0, LONGEST_MS),
    touchEveryMs: checks.duration('touchEveryMs', options.touchEveryMs ?? 60_000, 0, LONGEST_MS),
    maxBytes: checks.count('maxBytes', options.maxBytes ?? 32_768, 64, 1_048_576),
    maxFields: checks.count('maxFields', options.maxFields ?? 64, 1, 512),
    maxPerUser: checks.count('maxPerUser', options.maxPerUser ?? 50, 1, 1000),
    whenFull: checks.oneOf('whenFull', options.whenFull ?? 'evict', ['evict', 'deny']),
    encrypt: checks.flag('encrypt', options.encrypt ?? false),
    onRedisDown: checks.oneOf('onRedisDown', options.onRedisDown ?? 'sealed-cookie', [
      'sealed-cookie',
      'memory',
      'deny',
    ]),
    outageMs: checks.duration('outageMs', options.outageMs ?? LONGEST_OUTAGE_MS, 0, LONGEST_OUTAGE_MS),
    outageRoles: rolesOf(options.outageRoles ?? ['user']),
    outageFields: outageFieldsOf(options.outageFields ?? [], fields),
    statistics: checks.flag('statistics', options.statistics ?? true),
    warnBytes: checks.count('warnBytes', options.warnBytes ?? 8192, 1),
    maxInMemory: checks.count('maxInMemory', options.maxInMemory ?? 10_000),
    clock: checks.having('clock', options.clock ?? systemClock, ['nowMs', 'wallMs', 'schedule']),
    randomBytes: random,
  }
  checks.onlyKnown('', options, Object.keys(resolved))
  return resolved
}

/** Differs in every process and at every call: what nobody else writes by. */
export function newOwner(): string {
  return randomBytes(6).toString('hex')
}

/** Fills in the defaults of a `CallbackStore`; raises `HOLDFAST_ERR_REDIS_SESSION_OPTION`. */
export function resolveStoreOptions(options: CallbackStoreOptions) {
  const { redis, secrets, base } = checks.object('options', options)
  checks.having('redis', checks.object('redis', redis), ['run', 'call', 'key'])
  const prototype = base?.prototype as Readonly<Record<string, unknown>> | undefined
  if (base !== undefined && typeof prototype?.['createSession'] !== 'function') {
    checks.refuse('base', 'the Store of express-session', base)
  }
  const resolved = {
    redis,
    secrets: secretsOf({ redis, secrets }, randomBytes),
    base: prototype && { prototype },
    ttlMs: checks.duration('ttlMs', options.ttlMs ?? DAY_MS, 1, LONGEST_MS),
    maxBytes: checks.count('maxBytes', options.maxBytes ?? 32_768, 64, 1_048_576),
    clock: checks.having('clock', options.clock ?? systemClock, ['nowMs', 'wallMs', 'schedule']),
  }
  checks.onlyKnown('', options, Object.keys(resolved))
  return resolved
}

/** The form of the cookie; raises `HOLDFAST_ERR_REDIS_SESSION_OPTION`. */
export function resolveCookie(options: CookieOptions = {}): CookieForm {
  checks.object('cookie', options)
  const secure = checks.flag('cookie.secure', options.secure ?? true)
  const name = checks.text('cookie.name', options.name ?? (secure ? '__Host-Http-sid' : 'sid'), 64)
  if (!cookieName.test(name)) checks.refuse('cookie.name', 'letters, digits, _ and -', name)
  // Browsers would drop it without a word.
  if (!secure && name.startsWith('__'))
    checks.refuse('cookie.name', 'without a prefix, as it is not secure', name)
  const sameSite = checks.oneOf('cookie.sameSite', options.sameSite ?? 'Lax', ['Lax', 'Strict'])
  checks.onlyKnown('cookie.', options, ['name', 'secure', 'sameSite'])
  return { name, secure, sameSite }
}

function secretsOf({ secrets, redis }: SessionsOptions, random: RandomBytes): readonly [string, ...string[]] {
  if (secrets === undefined && redis === undefined) return [random(MIN_SECRET_LENGTH).toString('hex')]
  const expected = `1 to ${MAX_SECRETS} different texts of at least ${MIN_SECRET_LENGTH} characters`
  // What was received is not shown: it may be a secret.
  const refuse = () => checks.refuse('secrets', expected, Array.isArray(secrets) ? secrets : typeof secrets)
  if (!Array.isArray(secrets)) return refuse()
  const [first, ...others]: readonly unknown[] = secrets
  const good = (secret: unknown) => typeof secret === 'string' && secret.length >= MIN_SECRET_LENGTH
  if (!good(first) || !others.every(good)) return refuse()
  if (secrets.length > MAX_SECRETS || new Set(secrets).size !== secrets.length) return refuse()
  return [first as string, ...(others as readonly string[])]
}

function rolesOf(roles: readonly string[]): readonly string[] {
  if (!Array.isArray(roles)) checks.refuse('outageRoles', 'a list of roles', roles)
  for (const role of roles) checks.text('outageRoles', role, 64)
  return roles
}

function outageFieldsOf(names: readonly string[], fields: FieldReaders | undefined): readonly string[] {
  if (!Array.isArray(names)) checks.refuse('outageFields', 'a list of fields', names)
  for (const name of names) {
    checks.text('outageFields', name, 64)
    if (fields !== undefined && !Object.hasOwn(fields, name)) {
      checks.refuse('outageFields', 'some of the fields of the options', name)
    }
  }
  return names
}

function profilesOf(given: ProfileOptions): ResolvedOptions['profiles'] {
  checks.object('profiles', given)
  checks.onlyKnown('profiles.', given, ['default', 'permanent'])
  return {
    default: profileOf('profiles.default', given.default, standard.default),
    permanent: profileOf('profiles.permanent', given.permanent, standard.permanent),
  }
}

function profileOf(option: string, given: number | Profile | undefined, usual: Profile): Profile {
  if (given === undefined) return usual
  if (typeof given === 'number') {
    const idleMs = checks.duration(option, given, SHORTEST_MS, LONGEST_MS)
    return { idleMs, absoluteMs: Math.max(idleMs, usual.absoluteMs) }
  }
  const { idleMs, absoluteMs } = checks.object(option, given)
  checks.onlyKnown(`${option}.`, given, ['idleMs', 'absoluteMs'])
  return {
    idleMs: checks.duration(`${option}.idleMs`, idleMs, SHORTEST_MS, LONGEST_MS),
    absoluteMs: checks.duration(`${option}.absoluteMs`, absoluteMs, idleMs, LONGEST_MS),
  }
}
