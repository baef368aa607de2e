import type { FencedLeases } from './lease.ts'

/** What one call may bring along to Redis. A Buffer goes and comes back byte for byte. */
export type RedisArgument = string | number | Buffer

/**
 * A Lua script. Declare it once, as a constant: what is made of it (its SHA-1, the form for batches) is kept for
 * this object.
 */
export interface RedisScript<Result = unknown> {
  /** For errors and logs. */
  readonly name: string
  /** The source. It reads `KEYS` and `ARGV`, touches only keys it was given, and returns its reply. */
  readonly lua: string
  /** How many keys each call gives. */
  readonly keys: number
  /**
   * Source that runs before, once for all calls that travel together: local functions and values that they share, for
   * example the time. It does not read `KEYS` and `ARGV`. Default: none.
   */
  readonly prelude?: string
  /**
   * Whether calls of one tick (and, on a cluster, of one slot) may travel as one `EVALSHA`. The source is then the
   * body of a function that runs once for each call, and must not begin with a shebang. Default false.
   */
  readonly batch?: boolean
  /** Reads the reply, in which texts are Buffers. Default: the reply as it came. */
  readonly decode?: (reply: unknown) => Result
}

/** Settings of one call. */
export interface CallOptions {
  /** Ends the wait of this caller. What was sent already is not taken back. */
  readonly signal?: AbortSignal | undefined
  /** Whole milliseconds to wait for the reply. Default: `budgetMs` of the guard. */
  readonly budgetMs?: number | undefined
}

/**
 * `connecting`: since the start, not usable yet. `up`: usable. `down`: not usable; a timer probes. `closed`: for
 * ever.
 */
export type RedisState = 'connecting' | 'up' | 'down' | 'closed'

/** Who wants the messages of a channel. What a handler throws is counted, and reaches nobody else. */
export interface ChannelHandlers {
  onMessage(payload: Buffer): void
  /** Messages may have been missed: the subscription was lost, or stands again after having been lost. */
  onGap(): void
}

/** What `healthCheck()` answers, in the form that `@holdfast/health` reads. */
export interface RedisHealth {
  readonly status: 'healthy' | 'unhealthy'
  readonly reason?: string
  readonly data: Readonly<Record<string, unknown>>
}

/** Calls that pass before those of everybody else. */
export type RedisCalls = Pick<RedisGuard, 'run' | 'call' | 'key'>

/** How calls ended. */
export interface CallCounts {
  /** Redis answered. */
  readonly ok: number
  /** The script or command failed in Redis. */
  readonly failed: number
  /** No reply within the budget. */
  readonly budget: number
  /** Refused at 0 ms, because Redis is not usable. */
  readonly unavailable: number
  /** Refused at 0 ms, because too many calls wait for a reply. */
  readonly full: number
  /** The connection ended, or Redis lost its role, before the reply. */
  readonly lost: number
  /** The caller's signal. */
  readonly aborted: number
}

/** The numbers of a guard, as plain data. */
export interface RedisGuardSnapshot {
  readonly state: RedisState
  /** Why it is not usable; undefined while it is. */
  readonly reason: string | undefined
  readonly breaker: 'closed' | 'open' | 'half-open'
  readonly calls: CallCounts
  /** Calls that wait for a reply of Redis, also those whose caller was answered without it. */
  readonly inFlight: number
  readonly maxInFlight: number
  /** Commands sent, batches included. */
  readonly commands: number
  /** Commands that carried a batch, and the calls in them. */
  readonly batches: number
  readonly batchedCalls: number
  /** Times a script was sent in full, because Redis did not have it. */
  readonly scriptLoads: number
  /** Round trips: the last one, and the sum of all those that were answered in time. */
  readonly lastRoundTripMs: number | undefined
  readonly roundTripSumMs: number
  readonly roundTrips: number
  /** Connections that became usable, and probes that found Redis not usable. */
  readonly connections: number
  readonly failedProbes: number
  readonly subscriber: {
    readonly connected: boolean
    readonly channels: number
    readonly handlers: number
    readonly messages: number
    /** Times a subscription was lost. */
    readonly gaps: number
    /** What handlers threw. */
    readonly handlerErrors: number
  }
  /** Of `beforeUp`: times that all were done, and times that one failed or took too long. */
  readonly preparations: { readonly done: number; readonly failed: number }
  readonly sentinels: {
    /** How many of them are listened to at present, and how often their word moved the connection. */
    readonly listening: number
    readonly switches: number
  }
}

/**
 * The door to Redis. No call waits longer than its budget; while Redis is not usable, calls fail at once and
 * `available` is false, so that the caller can go on without it.
 */
export interface RedisGuard {
  /** Whether calls pass at present. Synchronous and free: ask it before every call, and go local when it is false. */
  readonly available: boolean
  readonly state: RedisState
  /** Leases with fences: one holder at a time among all processes. */
  readonly lease: FencedLeases
  /**
   * Runs a script. Rejects, within the budget, with one of the errors `HOLDFAST_ERR_REDIS_GUARD_...`; their
   * `mayHaveRun` says whether Redis can have executed the call. It is never sent a second time once it may have run.
   */
  run<Result>(
    script: RedisScript<Result>,
    keys: readonly string[],
    args: readonly RedisArgument[],
    options?: CallOptions,
  ): Promise<Result>
  /** One plain command under the same rules. Texts in the reply are Buffers. */
  call(command: string, ...args: readonly RedisArgument[]): Promise<unknown>
  /**
   * `<prefix>:<namespace>:{<slot tag>}:<parts>`: different arguments never give the same key, and keys with one slot
   * tag share a slot. Raises `HOLDFAST_ERR_REDIS_GUARD_KEY` for an empty tag and for a key that is too long.
   */
  key(namespace: string, slotTag: string, ...parts: readonly string[]): string
  /**
   * Hands over every message of a channel, through reconnects, until the answer is called. Messages sent while the
   * connection was away are lost, which `onGap` tells. Raises `HOLDFAST_ERR_REDIS_GUARD_FULL` beyond
   * `maxSubscriptions`.
   */
  subscribe(channel: string, handlers: ChannelHandlers): () => void
  /** Whether messages of this channel arrive at present. */
  listening(channel: string): boolean
  publish(channel: string, payload: string | Buffer): Promise<void>
  /** Tells every change of the state until the answer is called. */
  onStateChange(listener: (state: RedisState, reason: string | undefined) => void): () => void
  /**
   * Has `prepare` run each time that Redis answers and calls do not pass yet, until the answer is called: what it does
   * with the calls it is given is done before any other call of this process. All of them run together, for at most
   * `prepareMs`; a failure and a late one are counted, and Redis is used all the same.
   */
  beforeUp(prepare: (redis: RedisCalls) => Promise<unknown>): () => void
  /** Resolves with true as soon as calls pass, and with false after `timeoutMs` or when the guard is closed. */
  ready(timeoutMs: number): Promise<boolean>
  snapshot(): RedisGuardSnapshot
  healthCheck(): RedisHealth
  /** Lets what is in flight end within its budget, and closes both connections. */
  close(): Promise<void>
}
