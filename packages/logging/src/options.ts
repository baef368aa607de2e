import { randomFillSync } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { type Clock, OptionChecks, systemClock } from '@holdfast/footing'
import { OptionError } from './errors.ts'
import { LEVELS, type Level, levelOf } from './level-control.ts'
import { bare } from './secret-names.ts'

/** Something that lines can be written to. */
export interface Destination {
  /** One line, with its end. Must not wait. */
  write(line: string): unknown
}

/** A logger that there is already. */
export interface ForeignLogger {
  readonly level?: string
  error(line: object, message: string): void
  warn(line: object, message: string): void
  info(line: object, message: string): void
  debug(line: object, message: string): void
}

/** Log files, besides the destination. */
export interface FileOptions {
  /** Is made when it is missing. One for each process, or a `name` for each. */
  readonly directory: string
  /** `app` makes `app.log` and, with errors alone, `app.error.log`. Default `'app'`. */
  readonly name?: string
  /** A file is full at so many bytes. Default 10 MB (10,485,760). */
  readonly maxBytes?: number
  /** So many full files are kept, of each kind. Default 10. */
  readonly keep?: number
}

/** The options of `Logs`, and so of the plugin. */
export interface LogsOptions<Request> {
  /** The least severe level that is written, in any case. Default `'info'`. */
  readonly level?: string
  /** Where lines go. Default: standard output, without waiting for whoever reads it. */
  readonly destination?: Destination
  /** Files that are renamed when they are full, besides the destination. Default: none. */
  readonly files?: FileOptions
  /** Which of several processes this is, from 0: every line then begins with `worker` and `pid`. Default: none. */
  readonly worker?: number
  /** A logger that there is already, in place of one of its own. Its other lines are not guarded. Default: none. */
  readonly logger?: ForeignLogger
  /** Whose request it is, for the lines. Synchronous. Default: nobody knows. */
  readonly tenant?: (request: Request) => string | undefined
  /** Who asks, for the lines. Synchronous. Default: nobody knows. */
  readonly user?: (request: Request) => string | undefined
  /** Whether the ids and the trace that came with a request are taken: always, never, or as it says. Default `true`. */
  readonly trustIds?: boolean | ((request: IncomingMessage) => boolean)
  /** A request that takes longer is told as a warning, in ms. Default 1000. */
  readonly slowMs?: number
  /** The share of requests that went well whose line is written, 0 to 1. Default 1. */
  readonly sampleSuccess?: number
  /** Routes whose successes are not worth a line, besides probes. Default `['/metrics']`. */
  readonly quietRoutes?: readonly string[]
  /** More names that stand for secrets; each counts anywhere in a name. Default: none besides the usual ones. */
  readonly secretNames?: readonly string[]
  /** Names that are harmless although they look secret. Default: none. */
  readonly plainNames?: readonly string[]
  /** Where time comes from. Default: the system's. */
  readonly clock?: Clock
  /** Fills bytes with chance, for ids. Default: that of `node:crypto`. */
  readonly random?: (bytes: Uint8Array) => unknown
}

/** Options of the routes by which operators change the level. */
export interface AdminOptions<Request> {
  /** Where they are. Default `/admin/log-level`. */
  readonly path?: string
  /** Who may use them. */
  readonly authorize: (request: Request) => boolean | PromiseLike<boolean>
  /** A slower answer is no, in ms. Default 100. */
  readonly authorizeTimeoutMs?: number
  /**
   * Tells the other processes of this instance what has been changed in this one: a level for so many ms, or, without a
   * level, the configured one. What it answers is `processes` in the answer of the route; where it rejects, that is an
   * error, and the change is that of this process alone. Default: there are no others.
   */
  readonly share?: (level: Level | undefined, forMs: number) => PromiseLike<SharedLevel>
}

/** How far a change of the level has come. */
export interface SharedLevel {
  /** So many processes have it now, the one that was asked included. */
  readonly taken: number
  /** Of so many. */
  readonly of: number
}

/** The same with every default filled in. */
export type ResolvedAdmin<Request> = Required<Omit<AdminOptions<Request>, 'share'>> & {
  readonly share: AdminOptions<Request>['share'] | undefined
}

/** What a route says in `config.logging`. */
export interface LoggedRouteOptions {
  /** As the option of the same name. Default: that one. */
  readonly slowMs?: number
  /** As `sampleSuccess`. Default: that one. */
  readonly sample?: number
}

/** The options with every default filled in. */
export interface ResolvedOptions<Request> {
  readonly level: Level
  readonly destination: Destination | undefined
  readonly files: Required<FileOptions> | undefined
  readonly worker: number | undefined
  readonly logger: ForeignLogger | undefined
  readonly tenant: (request: Request) => string | undefined
  readonly user: (request: Request) => string | undefined
  readonly trusts: (request: IncomingMessage) => boolean
  readonly slowMs: number
  readonly sampleSuccess: number
  readonly quietRoutes: ReadonlySet<string>
  readonly secretNames: readonly string[]
  readonly plainNames: readonly string[]
  readonly clock: Clock
  readonly random: (bytes: Uint8Array) => unknown
}

/** Refuses wrong options with `HOLDFAST_ERR_LOGGING_OPTION`. */
export const checks: OptionChecks = new OptionChecks(
  (option, expected, received) => new OptionError(option, expected, received),
)

const NAMES = [
  'level',
  'destination',
  'files',
  'worker',
  'logger',
  'tenant',
  'user',
  'trustIds',
  'slowMs',
  'sampleSuccess',
  'quietRoutes',
  'secretNames',
  'plainNames',
  'clock',
  'random',
]
const MEGABYTE = 1_048_576
const MAX_NAMES = 100
const MAX_WORKER = 100_000

/** Fills in the defaults; raises `HOLDFAST_ERR_LOGGING_OPTION` for a wrong value and for an unknown name. */
export function resolveOptions<Request>(options: LogsOptions<Request>): ResolvedOptions<Request> {
  checks.object('options', options)
  checks.onlyKnown('', options, NAMES)
  const { level = 'info', trustIds = true, clock = systemClock, random = randomFillSync } = options
  const { quietRoutes = ['/metrics'], secretNames = [], plainNames = [] } = options
  const { destination, files, logger } = options
  checks.having('destination', destination, ['write'])
  checks.having('logger', logger, ['error', 'warn', 'info', 'debug'])
  if (logger !== undefined) {
    for (const name of ['level', 'destination', 'files', 'worker'] as const) {
      if (options[name] !== undefined) checks.refuse(name, 'left out: "logger" has its own', options[name])
    }
  }
  return {
    level: levelOf(level) ?? checks.oneOf('level', level, LEVELS),
    destination,
    files: files === undefined ? undefined : filesOf(files),
    worker: options.worker === undefined ? undefined : checks.count('worker', options.worker, 0, MAX_WORKER),
    logger,
    tenant: checks.synchronous('tenant', options.tenant) ?? (() => undefined),
    user: checks.synchronous('user', options.user) ?? (() => undefined),
    trusts: trusting(trustIds),
    slowMs: checks.durationOrInfinity('slowMs', options.slowMs ?? 1000),
    sampleSuccess: checks.number('sampleSuccess', options.sampleSuccess ?? 1, 0, 1),
    quietRoutes: new Set(texts('quietRoutes', quietRoutes)),
    secretNames: names('secretNames', secretNames),
    plainNames: names('plainNames', plainNames),
    clock,
    random: checks.synchronous('random', random),
  }
}

/** Checks what a route says. */
export function checkRoute(given: unknown): void {
  if (given === undefined || given === false) return
  const { slowMs, sample, ...rest } = checks.object('config.logging', given) as LoggedRouteOptions
  checks.onlyKnown('config.logging.', rest, ['slowMs', 'sample'])
  if (slowMs !== undefined) checks.durationOrInfinity('config.logging.slowMs', slowMs)
  if (sample !== undefined) checks.number('config.logging.sample', sample, 0, 1)
}

/** The options of the operators' routes, with every default filled in. */
export function adminOf<Request>(given: AdminOptions<Request>): ResolvedAdmin<Request> {
  checks.object('admin', given)
  const admin = {
    path: checks.text('admin.path', given.path ?? '/admin/log-level'),
    authorize: checks.callable('admin.authorize', given.authorize),
    authorizeTimeoutMs: checks.duration('admin.authorizeTimeoutMs', given.authorizeTimeoutMs ?? 100),
    share: checks.callable('admin.share', given.share),
  }
  if (typeof admin.authorize !== 'function') checks.refuse('admin.authorize', 'a function', admin.authorize)
  if (!/^(?!.*\/\/)\/[^\s?#*]+$/.test(admin.path)) {
    checks.refuse('admin.path', 'a path such as /admin/log-level', admin.path)
  }
  checks.onlyKnown('admin.', given, Object.keys(admin))
  return admin
}

function filesOf(given: FileOptions): Required<FileOptions> {
  checks.object('files', given)
  const files = {
    directory: checks.text('files.directory', given.directory, 4096),
    name: checks.text('files.name', given.name ?? 'app', 64),
    maxBytes: checks.count('files.maxBytes', given.maxBytes ?? 10 * MEGABYTE, 1024, 1024 * MEGABYTE),
    keep: checks.count('files.keep', given.keep ?? 10, 0, 1000),
  }
  if (!/^[A-Za-z0-9_-]+$/.test(files.name))
    checks.refuse('files.name', 'letters, digits, - and _', given.name)
  checks.onlyKnown('files.', given, Object.keys(files))
  return files
}

function trusting(given: unknown): (request: IncomingMessage) => boolean {
  if (typeof given === 'boolean') return () => given
  return checks.synchronous('trustIds', given as (request: IncomingMessage) => boolean) ?? (() => true)
}

/** Names are told apart by nothing else: one of none would be part of every name. */
function names(option: string, given: readonly string[]): readonly string[] {
  for (const [index, text] of texts(option, given).entries()) {
    if (bare(text) === '')
      checks.refuse(`${option}[${index}]`, 'a name with letters (a to z) or digits', text)
  }
  return given
}

function texts(option: string, given: readonly string[]): readonly string[] {
  if (!Array.isArray(given) || given.length > MAX_NAMES) {
    checks.refuse(option, `a list of at most ${MAX_NAMES} texts`, given)
  }
  return given.map((text, index) => checks.text(`${option}[${index}]`, text))
}
