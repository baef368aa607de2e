/*
 * Sends calls, and sees to it that each ends in time.
 *
 * Guarantees: a caller is answered within its budget, whatever Redis does; a command is sent a second time only when
 * Redis said that it does not know its script, that is when nothing ran; a reply that comes after its budget settles
 * nothing; calls without a reply of Redis are bounded, also those whose caller has been answered.
 *
 * Calls of a batched script that come in one turn of the event loop leave together at its end. Once they are many,
 * and at least as many as all other calls on the connection, they leave at once: Redis works on them while the rest
 * of the turn is collected, and neither end ever waits for all of the other's work. As what is on its way grows, so
 * do the batches.
 *
 * The budget begins when a command leaves. It ends one look at the sockets after its time, so that a process that
 * was busy itself does not take an answer that lies there for a missing one.
 *
 * The commands of one turn are written together, sixteen at a time. Most of what a small command costs is the system
 * call that writes it, here and again for the server that reads it.
 */
import type { CircuitBreaker } from '@holdfast/circuit-breaker'
import { afterTurn, type Clock } from '@holdfast/footing'
import { PackedRows, replyOfRow } from './batch.ts'
import type { RawClient } from './client.ts'
import {
  AbortedError,
  BudgetError,
  CommandError,
  callError,
  FullError,
  LostError,
  ScriptError,
  UnavailableError,
} from './errors.ts'
import type { CallCounts, CallOptions, RedisArgument } from './redis-guard.ts'
import { isReply, saysUnknownScript, saysUnusable } from './reply-error.ts'
import type { PreparedScript } from './script.ts'
import { slotOf } from './slot.ts'

export interface DispatcherSettings {
  readonly budgetMs: number
  readonly maxInFlight: number
  readonly maxBatchRows: number
  readonly clock: Clock
  readonly breaker: CircuitBreaker
  /** No reply within the budget, from this client. */
  readonly onMissed: (client: RawClient, what: string) => void
  /** This client's connection has ended, or its server says that it is of no use. */
  readonly onUnusable: (client: RawClient, reason: string) => void
}

/** A usable connection, with what it still owes. */
interface Line {
  readonly client: RawClient
  /** Calls without a reply, also those whose caller has been answered. Gone with the line. */
  calls: number
  /** What is written in this turn, and leaves at its end. */
  leaving: Exchange[]
}

/** Somebody who waits. */
interface Caller {
  readonly what: string
  readonly decode: ((reply: unknown) => unknown) | undefined
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
  /** Takes the listener from the signal. */
  release: () => void
  /** Whether Redis can have got the call. */
  sent: boolean
  done: boolean
}

/** One command on its way. */
interface Exchange {
  readonly line: Line
  readonly script: PreparedScript | undefined
  readonly callers: readonly Caller[]
  /** The arguments of the command; of a script, what follows its SHA-1 or source. */
  readonly args: readonly unknown[]
  readonly permit: NonNullable<ReturnType<CircuitBreaker['tryAcquire']>>
  readonly budgetMs: number
  /** When it left; undefined before. */
  startedMs: number | undefined
  cancelTimer: () => void
  over: boolean
  /** Whether the script has been sent in full. */
  loaded: boolean
}

/** Calls that leave together. */
interface Batch {
  readonly line: Line
  readonly script: PreparedScript
  readonly budgetMs: number
  readonly callers: Caller[]
  readonly rows: PackedRows
}

const SLOTS = 16_384

/** From so many calls on, what waits for this turn to end leaves: Redis works on them while this process goes on. */
const EARLY_CALLS = 16

const notWritten = /^(Stream isn't writeable|Cluster isn't ready)/

export class Dispatcher {
  readonly counts: { -readonly [Outcome in keyof CallCounts]: number } = {
    ok: 0,
    failed: 0,
    budget: 0,
    unavailable: 0,
    full: 0,
    lost: 0,
    aborted: 0,
  }
  commands = 0
  batches = 0
  batchedCalls = 0
  scriptLoads = 0
  lastRoundTripMs: number | undefined
  roundTripSumMs = 0
  roundTrips = 0
  /** Why calls do not pass. */
  reason = 'not connected yet'
  readonly #settings: DispatcherSettings
  #line: Line | undefined
  #waiting = new Map<PreparedScript, Map<number, Batch>>()
  #flushing = false
  /** Exchanges whose callers wait. */
  #underway = 0
  #onDrained: () => void = nothing

  constructor(settings: DispatcherSettings) {
    this.#settings = settings
  }

  get inFlight(): number {
    return this.#line?.calls ?? 0
  }

  /** From now on calls go to this client, or nowhere. */
  use(client: RawClient | undefined): void {
    this.#line = client && { client, calls: 0, leaving: [] }
  }

  /** Resolves when everything that was sent has been answered or has missed its budget; nothing new may come. */
  drain(): Promise<void> {
    this.flush()
    if (this.#underway === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onDrained = resolve
    })
  }

  run(
    script: PreparedScript,
    decode: ((reply: unknown) => unknown) | undefined,
    keys: readonly string[],
    args: readonly RedisArgument[],
    options: CallOptions,
  ): Promise<unknown> {
    const what = script.name
    const line = this.#line
    const refused = this.#refusal(what, line, options.signal)
    if (refused !== undefined || line === undefined) return Promise.reject(refused)
    const budgetMs = options.budgetMs ?? this.#settings.budgetMs
    return new Promise((resolve, reject) => {
      const caller = this.#admit(
        { what, decode, resolve, reject, release: nothing, sent: false, done: false },
        line,
        options,
      )
      if (script.batched) this.#enlist(line, script, caller, keys, args, budgetMs)
      else this.#send(line, script, [caller], budgetMs, [keys.length, ...keys, ...args])
    })
  }

  call(command: string, args: readonly RedisArgument[]): Promise<unknown> {
    const line = this.#line
    const refused = this.#refusal(command, line, undefined)
    if (refused !== undefined || line === undefined) return Promise.reject(refused)
    return new Promise((resolve, reject) => {
      const caller = {
        what: command,
        decode: undefined,
        resolve,
        reject,
        release: nothing,
        sent: false,
        done: false,
      }
      this.#admit(caller, line, {})
      this.#send(line, undefined, [caller], this.#settings.budgetMs, args)
    })
  }

  #refusal(what: string, line: Line | undefined, signal: AbortSignal | undefined): Error | undefined {
    const { breaker, maxInFlight } = this.#settings
    if (signal?.aborted) return this.#refuse('aborted', new AbortedError(what, { cause: signal.reason }))
    if (line === undefined || breaker.state !== 'closed') {
      return this.#refuse('unavailable', new UnavailableError(what, this.reason))
    }
    if (line.calls < maxInFlight) return undefined
    const full = new FullError('calls without a reply', maxInFlight, 'maxInFlight')
    return this.#refuse('full', full)
  }

  #refuse(outcome: keyof CallCounts, error: Error, mayHaveRun = false): Error {
    this.counts[outcome] += 1
    return callError(error, mayHaveRun)
  }

  #admit(caller: Caller, line: Line, { signal }: CallOptions): Caller {
    line.calls += 1
    if (signal === undefined) return caller
    const leave = () =>
      this.#fail(caller, 'aborted', new AbortedError(caller.what, { cause: signal.reason }), caller.sent)
    signal.addEventListener('abort', leave, { once: true })
    caller.release = () => signal.removeEventListener('abort', leave)
    return caller
  }

  #enlist(
    line: Line,
    script: PreparedScript,
    caller: Caller,
    keys: readonly string[],
    args: readonly RedisArgument[],
    budgetMs: number,
  ): void {
    const [first] = keys
    // Only a cluster cares which slot it is; elsewhere everybody travels together.
    const slot = line.client.isCluster && first !== undefined ? slotOf(first) : 0
    const group = budgetMs * SLOTS + slot
    const groups = this.#waiting.get(script) ?? new Map<number, Batch>()
    this.#waiting.set(script, groups)
    let batch = groups.get(group)
    if (batch === undefined || batch.line !== line) {
      if (batch !== undefined) this.#sendBatch(batch)
      batch = { line, script, budgetMs, callers: [], rows: new PackedRows() }
      groups.set(group, batch)
    }
    batch.callers.push(caller)
    batch.rows.add(keys, args)
    const size = batch.callers.length
    const isWorthIt = size >= EARLY_CALLS && size * 2 >= line.calls
    if (isWorthIt || size >= this.#settings.maxBatchRows) {
      groups.delete(group)
      this.#sendBatch(batch)
      this.#letGo(line)
    }
    if (this.#flushing) return
    this.#flushing = true
    afterTurn(() => this.flush())
  }

  /** Sends what has been collected. */
  flush(): void {
    this.#flushing = false
    const waiting = [...this.#waiting.values()]
    // Cleared, the table of this one would lead to those of all later turns, and keep what they hold (V8).
    this.#waiting = new Map()
    const batches = waiting.flatMap((groups) => [...groups.values()])
    for (const batch of batches) this.#sendBatch(batch)
    // The turn is over.
    for (const { line } of batches) this.#letGo(line)
  }

  #sendBatch(batch: Batch): void {
    const { line, script, budgetMs } = batch
    // Who has left meanwhile does not run.
    const stays = (row: number) => batch.callers[row]?.done === false
    const someLeft = batch.callers.some(({ done }) => done)
    const callers = someLeft ? batch.callers.filter(({ done }) => !done) : batch.callers
    line.calls -= batch.callers.length - callers.length
    if (callers.length === 0) return
    if (line !== this.#line) {
      this.#turnAway(line, callers)
      return
    }
    this.batches += 1
    this.batchedCalls += callers.length
    const rows = someLeft ? batch.rows.only(script.keys, stays) : batch.rows
    this.#send(line, script, callers, budgetMs, rows.toArguments())
  }

  #turnAway(line: Line, callers: readonly Caller[]): void {
    line.calls -= callers.length
    for (const caller of callers)
      this.#fail(caller, 'unavailable', new UnavailableError(caller.what, this.reason))
  }

  #send(
    line: Line,
    script: PreparedScript | undefined,
    callers: readonly Caller[],
    budgetMs: number,
    args: readonly unknown[],
  ): void {
    const permit = this.#settings.breaker.tryAcquire()
    if (permit === undefined) {
      this.#turnAway(line, callers)
      return
    }
    for (const caller of callers) caller.sent = true
    const exchange: Exchange = {
      line,
      script,
      callers,
      args,
      permit,
      budgetMs,
      startedMs: undefined,
      cancelTimer: nothing,
      over: false,
      loaded: false,
    }
    this.#underway += 1
    if (script === undefined) this.#write(exchange, callers[0]?.what ?? '', args)
    else this.#write(exchange, 'evalsha', [script.sha, ...args])
  }

  #write(exchange: Exchange, command: string, args: readonly unknown[]): void {
    const { line } = exchange
    if (line.leaving.length === 0) this.#holdBack(line)
    line.leaving.push(exchange)
    this.commands += 1
    let reply: Promise<unknown>
    try {
      reply = line.client.callBuffer(command, args)
    } catch (error) {
      this.#unwritten(exchange, error as Error)
      return
    }
    reply.then(
      (reply) => this.#answer(exchange, reply),
      (error: Error) => this.#refused(exchange, error),
    )
    if (line.leaving.length >= EARLY_CALLS) this.#letGo(line)
  }

  /** Lets everything that is written in this turn leave at its end, or earlier, when it has become much. */
  #holdBack(line: Line): void {
    line.client.stream?.cork()
    afterTurn(() => this.#letGo(line))
  }

  /** Lets what is written leave. Then the budgets begin. */
  #letGo(line: Line): void {
    const { client, leaving } = line
    if (leaving.length === 0) return
    client.stream?.uncork()
    line.leaving = []
    const nowMs = this.#settings.clock.nowMs()
    for (const exchange of leaving) this.#begin(exchange, nowMs)
  }

  #begin(exchange: Exchange, nowMs: number): void {
    // A script that is sent in full has left before.
    if (exchange.over || exchange.loaded) return
    exchange.startedMs = nowMs
    const miss = () => afterTurn(() => this.#miss(exchange))
    exchange.cancelTimer = this.#settings.clock.schedule(exchange.budgetMs, miss)
  }

  /** The client could not make a command of it: its text is longer than a string can be. */
  #unwritten(exchange: Exchange, error: Error): void {
    const { line, callers, script } = exchange
    line.calls -= callers.length
    this.#leave(exchange)
    exchange.cancelTimer()
    this.#settings.breaker.settle(exchange.permit, 'ignored')
    for (const caller of callers) this.#fail(caller, 'failed', ownError(caller, error, script !== undefined))
  }

  #miss(exchange: Exchange): void {
    if (exchange.over) return
    this.#leave(exchange)
    const { line, permit, callers, budgetMs } = exchange
    const { breaker, onMissed } = this.#settings
    for (const caller of callers) {
      this.#fail(caller, 'budget', new BudgetError(caller.what, budgetMs), true)
    }
    onMissed(line.client, `no answer within ${budgetMs} ms`)
    breaker.settle(permit, 'failure')
  }

  #answer(exchange: Exchange, reply: unknown): void {
    const { line, callers, script } = exchange
    line.calls -= callers.length
    if (!this.#finish(exchange, 'success')) return
    if (script === undefined || !script.batched) {
      for (const caller of callers) this.#succeed(caller, reply)
      return
    }
    callers.forEach((caller, index) => {
      const own = replyOfRow(reply, index)
      if (own instanceof Error) this.#failByReply(caller, line, own, true)
      else this.#succeed(caller, own)
    })
  }

  /** Redis, or the client for it, answered with an error. */
  #refused(exchange: Exchange, error: Error): void {
    const { line, callers, script } = exchange
    const replied = isReply(error)
    const unknown = script !== undefined && replied && saysUnknownScript(error.message)
    // Sent in full it can only have said so itself, and has run.
    if (unknown && !exchange.loaded && !exchange.over) {
      // Nothing ran; the budget goes on, and nobody waits any more when it is over.
      if (line === this.#line) this.#load(exchange, script)
      else if (this.#finish(exchange, 'success')) this.#turnAway(line, callers)
      return
    }
    line.calls -= callers.length
    if (!this.#finish(exchange, replied && !saysUnusable(error.message) ? 'success' : 'failure')) return
    if (replied) {
      for (const caller of callers) this.#failByReply(caller, line, error, script !== undefined)
      return
    }
    const mayHaveRun = !notWritten.test(error.message)
    // What the client says then is about its own options.
    this.#settings.onUnusable(line.client, mayHaveRun ? error.message : 'the connection has just ended')
    for (const caller of callers) {
      this.#fail(caller, 'lost', new LostError(caller.what, this.reason), mayHaveRun)
    }
  }

  /** Sends the script in full; Redis keeps it. On a cluster this happens once on each node. */
  #load(exchange: Exchange, script: PreparedScript): void {
    exchange.loaded = true
    this.scriptLoads += 1
    this.#write(exchange, 'eval', [script.text, ...exchange.args])
  }

  /** Ends an exchange that got a reply; false when its callers have been answered already. */
  #finish(exchange: Exchange, outcome: 'success' | 'failure'): boolean {
    if (exchange.over) return false
    this.#leave(exchange)
    exchange.cancelTimer()
    const { breaker, clock } = this.#settings
    if (exchange.startedMs !== undefined) {
      this.lastRoundTripMs = clock.nowMs() - exchange.startedMs
      this.roundTripSumMs += this.lastRoundTripMs
      this.roundTrips += 1
    }
    breaker.settle(exchange.permit, outcome)
    return true
  }

  #leave(exchange: Exchange): void {
    exchange.over = true
    this.#underway -= 1
    if (this.#underway === 0) this.#onDrained()
  }

  #failByReply(caller: Caller, line: Line, error: Error, ofScript: boolean): void {
    if (saysUnusable(error.message)) {
      this.#settings.onUnusable(line.client, error.message)
      this.#fail(caller, 'unavailable', new UnavailableError(caller.what, error.message))
    } else this.#fail(caller, 'failed', ownError(caller, error, ofScript), true)
  }

  #succeed(caller: Caller, reply: unknown): void {
    if (caller.done) return
    try {
      const value = caller.decode === undefined ? reply : caller.decode(reply)
      this.#end(caller, 'ok')
      caller.resolve(value)
    } catch (error) {
      const unreadable = new ScriptError(caller.what, 'its reply could not be decoded', { cause: error })
      this.#fail(caller, 'failed', unreadable, true)
    }
  }

  #fail(caller: Caller, outcome: keyof CallCounts, error: Error, mayHaveRun = false): void {
    if (caller.done) return
    this.#end(caller, outcome)
    caller.reject(callError(error, mayHaveRun))
  }

  #end(caller: Caller, outcome: keyof CallCounts): void {
    caller.done = true
    caller.release()
    this.counts[outcome] += 1
  }
}

/** What went wrong with this call, and with no other. */
function ownError({ what }: Caller, error: Error, ofScript: boolean): Error {
  return ofScript
    ? new ScriptError(what, error.message, { cause: error })
    : new CommandError(what, error.message)
}

function nothing(): void {}
