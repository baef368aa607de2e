/*
 * One flight at a time for each id, in all processes that share a store.
 *
 * Guarantees: while the store can be reached and nobody stops for longer than a lease, the work of an id runs in
 * one process at a time, and every process that waits gets what it came to. When its process dies, exactly one of
 * those who wait runs it again. A process that lost its lease changes nothing that is shared; those who wait in it
 * get its value all the same. No step can fail a caller because of the store: when it cannot be reached, every
 * process runs the work for itself, at once.
 *
 * Does not guarantee that two works never overlap: a lease is lost by whoever stops for longer than it runs, and
 * learns so too late. The lease saves work; a write that must not come late compares the fence at its resource.
 *
 * The order "present, then ask" prevents the lost wake-up: whatever lands after the answer "wait" finds the waiting
 * flight. Timers make lost messages harmless. The leases are those of Gray and Cheriton (1989), the fence is
 * Kleppmann's (2016), the wake-ups and the limiter are after the leases of memcached at Facebook (NSDI 2013).
 */
import { createHash } from 'node:crypto'
import type { Clock } from '@holdfast/footing'
import { Heartbeat } from '@holdfast/redis-guard'
import { AbandonedError, CodecFailedError, LeaseLostError, ValueNotShareableError } from './errors.ts'
import { channels } from './events.ts'
import { type FleetTask, type News, Presence } from './fleet-presence.ts'
import type { Acquired, FleetListener, FleetMessage, FleetStore, Landing } from './fleet-store.ts'
import type { FleetCodec } from './json-codec.ts'
import type { ResolvedFleetCall } from './options.ts'
import { decodeFailure, encodeFailure } from './remote-failure.ts'

/** Counters since construction, and gauges of this moment, of the flights across processes. */
export interface FleetSnapshot {
  /** Leases with which this process ran the work. */
  readonly led: number
  /** Those of `led` that came after waiting for another process: it died, failed to answer, or let go. */
  readonly tookOver: number
  /** Flights that waited for another process and got its value. */
  readonly followed: number
  /** Flights that found a value that had just landed. */
  readonly hit: number
  /** Flights that got the failure of another process. */
  readonly failedElsewhere: number
  /** Flights that took a value of an earlier fence (`acceptStale`). */
  readonly stale: number
  /** Works run for this process alone, because a value was too large, could not be read, or leases were lost often. */
  readonly alone: number
  /** Works run for this process alone, because the store could not be reached. */
  readonly degraded: number
  /** Leases that were taken before the work landed. */
  readonly lost: number
  /** Values and failures that the store refused, because the lease was lost. */
  readonly fenced: number
  /** Values and failures that did not reach the store. */
  readonly unpublished: number
  /** Flights of this process that lead at present. */
  readonly leading: number
  /** Flights of this process that wait for another at present. */
  readonly following: number
}

type Counts = { -readonly [name in keyof FleetSnapshot]: number }
type Role = Exclude<keyof FleetSnapshot, 'leading' | 'following'>

/** A lease that was lost ends this. */
const LOST = Symbol('lost')

/** How often one flight leads before it stops asking: whoever loses its leases all the time would never land. */
const MAX_LEADS = 3
/** Spread over which those who wait for the same lease ask again. */
const TIMER_JITTER_MS = 20
/** After a gap all flights of all processes ask again. */
const GAP_JITTER_MS = 25
const MIN_POLL_MS = 25
const MAX_POLL_MS = 250

/** Leases to give back when the store can be told; more of them end by themselves. */
const MAX_UNRETURNED = 1000

/** Characters of a key that stands in Redis as it is. */
const MAX_PLAIN_ID = 128
const plainId = /^[\x21-\x7e]+$/

/** The name of a key in the store: short ASCII, readable where it can be. */
export function fleetId(encodedKey: string): string {
  if (encodedKey.length <= MAX_PLAIN_ID && plainId.test(encodedKey)) return `k${encodedKey}`
  return `h${createHash('sha256').update(encodedKey).digest('base64url')}`
}

/**
 * When a flight that waits asks again if nothing wakes it. With messages: when the lease may have ended, and in any
 * case while a value that landed is still there. Without: often, and ever less so.
 */
export function lookAgainMs(
  situation: {
    readonly listening: boolean
    readonly leftMs: number
    readonly handoffMs: number
    /** Questions asked without messages so far. */
    readonly polls: number
  },
  random: () => number,
): number {
  const { listening, leftMs, handoffMs, polls } = situation
  const jitterMs = random() * TIMER_JITTER_MS
  if (listening) return Math.min(leftMs, handoffMs / 2) + jitterMs
  const pollMs = Math.min(MAX_POLL_MS, MIN_POLL_MS * 2 ** polls) * (0.5 + random())
  return Math.min(pollMs, leftMs + jitterMs)
}

/** What a fleet is made of. */
export interface FleetParts {
  /** Without one, every flight stays in this process. */
  readonly store: FleetStore | undefined
  readonly clock: Clock
  readonly random: () => number
  /** Unique to this process. */
  readonly processName: string
}

export class Fleet implements FleetListener {
  readonly #store: FleetStore | undefined
  readonly #clock: Clock
  readonly #random: () => number
  readonly #processName: string
  readonly #stopListening: (() => void) | undefined
  /** By id; a forgotten flight may be there beside its successor. */
  readonly #present = new Map<string, Set<Presence>>()
  /** What is still being told to the store. */
  readonly #unfinished = new Set<Promise<void>>()
  /** Ids of leases of no use, by token, that the store could not be told of yet. */
  readonly #unreturned = new Map<string, string>()
  readonly #counts: Counts = {
    led: 0,
    tookOver: 0,
    followed: 0,
    hit: 0,
    failedElsewhere: 0,
    stale: 0,
    alone: 0,
    degraded: 0,
    lost: 0,
    fenced: 0,
    unpublished: 0,
    leading: 0,
    following: 0,
  }
  #tokens = 0

  constructor({ store, clock, random, processName }: FleetParts) {
    this.#store = store
    this.#clock = clock
    this.#random = random
    this.#processName = processName
    this.#stopListening = store?.listen(this)
  }

  /** Answers what the work of this key came to, here or in another process. */
  async fly(task: FleetTask, settings: ResolvedFleetCall): Promise<unknown> {
    const store = this.#store
    if (store === undefined) {
      const value = await task.execute(undefined, task.signal)
      // Refused here as well, so that it is found before the first day with Redis.
      encodeValue(value, settings.codec)
      return value
    }
    const presence = new Presence(fleetId(task.encodedKey), task)
    const end = () => {
      this.#remove(presence)
      presence.deliver('ended')
    }
    this.#add(presence)
    task.signal.addEventListener('abort', end, { once: true })
    try {
      return await this.#seek(store, presence, settings)
    } finally {
      task.signal.removeEventListener('abort', end)
      this.#remove(presence)
    }
  }

  /** Makes all processes forget a key; answers whether the store has done so. */
  async forget(encodedKey: string): Promise<boolean> {
    try {
      await this.#store?.forget(fleetId(encodedKey))
      return this.#store !== undefined
    } catch {
      return false
    }
  }

  snapshot(): FleetSnapshot {
    return { ...this.#counts }
  }

  /** Ends the subscription. Flights end by their signals. */
  close(): void {
    this.#stopListening?.()
  }

  /** Resolves when everything that was to be told to the store is told, or has failed. */
  async drained(): Promise<void> {
    await Promise.all(this.#unfinished)
  }

  onMessage(message: FleetMessage): void {
    for (const presence of this.#present.get(message.id) ?? []) {
      if (message.kind === 'forgotten') presence.forget(message.fence)
      else if (message.kind === 'landed' || message.kind === 'released') presence.deliver('look')
      else presence.deliver(message)
    }
  }

  onGap(): void {
    this.#deliverAll('gap')
  }

  onUnavailable(): void {
    this.#deliverAll('look')
  }

  onAvailable(): void {
    const unreturned = [...this.#unreturned]
    this.#unreturned.clear()
    for (const [token, id] of unreturned) this.#giveBack(id, token)
  }

  #deliverAll(news: News): void {
    for (const present of this.#present.values()) {
      for (const presence of present) presence.deliver(news)
    }
  }

  /** Asks, leads or waits until there is a value or a failure. */
  async #seek(store: FleetStore, presence: Presence, settings: ResolvedFleetCall): Promise<unknown> {
    const { task, id } = presence
    let waited = false
    let polls = 0
    let leads = 0
    const refuseUnwanted = () => {
      // Whoever takes over for nobody would start work that nobody asked for.
      if (!waited || task.isWanted()) return
      task.disown('unwanted')
      throw new AbandonedError()
    }
    while (leads < MAX_LEADS) {
      refuseUnwanted()
      // Also in the middle: whoever waits for Redis to come back could as well have worked.
      if (!store.available) return this.#runAlone('degraded', task)
      this.#tokens += 1
      const token = `${this.#processName}-${this.#tokens}`
      const sentAtMs = this.#clock.nowMs()
      const answer = await this.#acquire(store, id, token, settings)
      try {
        task.signal.throwIfAborted()
        refuseUnwanted()
      } catch (error) {
        if (answer?.kind === 'lead') this.#giveBack(id, token)
        throw error
      }
      if (answer === undefined) return this.#runAlone('degraded', task)
      presence.knows(answer.fence)
      if (answer.kind === 'lead') {
        leads += 1
        this.#count('led', task, answer.fence)
        if (waited) this.#count('tookOver', task, answer.fence)
        const landed = await this.#lead(store, presence, { token, fence: answer.fence, sentAtMs }, settings)
        if (landed !== LOST) return landed.value
        waited = true
        continue
      }
      if (answer.kind !== 'wait') return this.#take(answer, waited ? 'followed' : 'hit', task, settings)
      if (settings.acceptStale && answer.stale !== undefined) {
        return this.#take({ kind: 'value', ...answer.stale }, 'stale', task, settings)
      }
      waited = true
      refuseUnwanted()
      const { listening } = store
      const { leftMs } = answer
      const delayMs = lookAgainMs({ listening, leftMs, handoffMs: settings.handoffMs, polls }, this.#random)
      polls = listening ? 0 : polls + 1
      const news = await this.#follow(presence, delayMs)
      task.signal.throwIfAborted()
      // A message may be older than the answer.
      const wantedFence = Math.max(answer.fence, settings.minFence)
      if (typeof news === 'object' && isAnswer(news) && news.fence >= wantedFence) {
        return this.#take(news, 'followed', task, settings)
      }
    }
    return this.#runAlone('alone', task)
  }

  async #acquire(
    store: FleetStore,
    id: string,
    token: string,
    { leaseMs, minFence, minIntervalMs }: ResolvedFleetCall,
  ): Promise<Acquired | undefined> {
    try {
      return await store.acquire({ id, token, leaseMs, minFence, minIntervalMs })
    } catch (error) {
      // It may have been granted all the same, and nobody would renew it.
      if (mayHaveRun(error)) this.#giveBack(id, token)
      return undefined
    }
  }

  async #follow(presence: Presence, delayMs: number): Promise<News> {
    const { task } = presence
    task.follows(true)
    this.#counts.following += 1
    try {
      const news = await presence.next(delayMs, this.#clock)
      // Everybody asks after a gap; a message may still come before.
      return news === 'gap' ? await presence.next(this.#random() * GAP_JITTER_MS, this.#clock) : news
    } finally {
      this.#counts.following -= 1
      task.follows(false)
    }
  }

  /** Runs the work under a lease. Rejects with what it threw; answers LOST when that was because the lease is lost. */
  async #lead(
    store: FleetStore,
    presence: Presence,
    lease: { readonly token: string; readonly fence: number; readonly sentAtMs: number },
    settings: ResolvedFleetCall,
  ): Promise<{ readonly value: unknown } | typeof LOST> {
    const { task, id } = presence
    const { token, fence } = lease
    const controller = new AbortController()
    let taken = false
    const heartbeat = new Heartbeat({
      leaseMs: settings.leaseMs,
      grantedAtMs: lease.sentAtMs,
      clock: this.#clock,
      renew: () => store.renew(id, token, settings.leaseMs),
      onLost: (loss) => {
        // Whether somebody else has the lease, only the store knows: the work goes on until it says so.
        if (loss === 'silent') return
        this.#count('lost', task, fence)
        taken = true
        controller.abort(new LeaseLostError())
      },
    })
    const over = () => {
      if (presence.whenForgotten === undefined) return
      presence.whenForgotten = undefined
      heartbeat.stop()
      task.signal.removeEventListener('abort', end)
      this.#counts.leading -= 1
    }
    const end = () => {
      // The work may never settle.
      over()
      this.#giveBack(id, token)
      controller.abort(task.signal.reason)
    }
    // Who joined it gets its result; that its lease is gone must not end it.
    presence.whenForgotten = () => heartbeat.stop()
    task.signal.addEventListener('abort', end, { once: true })
    this.#counts.leading += 1
    let landing: Landing | undefined
    try {
      const value = await task.execute(fence, controller.signal)
      const payload = encodeValue(value, settings.codec)
      landing =
        payload.length > settings.maxPayloadBytes
          ? { kind: 'alone', payload: NOTHING, ttlMs: settings.handoffMs }
          : { kind: 'value', payload, ttlMs: settings.handoffMs }
      return { value }
    } catch (error) {
      if (taken) return LOST
      const payload = encodeFailure(error, isRetryable(error, settings))
      landing = { kind: 'failure', payload, ttlMs: settings.errorTtlMs }
      throw error
    } finally {
      over()
      // Nobody here waits for it; and with an ended flight the lease is released already.
      if (landing !== undefined && !task.signal.aborted)
        this.#tell(this.#publish(store, task, id, lease, landing))
    }
  }

  async #publish(
    store: FleetStore,
    task: FleetTask,
    id: string,
    { token, fence }: { readonly token: string; readonly fence: number },
    landing: Landing,
  ): Promise<void> {
    try {
      if (!(await store.publish(id, token, landing))) this.#count('fenced', task, fence)
    } catch {
      this.#count('unpublished', task, fence)
      // When it was not carried out, the others need not wait for the end of the lease.
      this.#giveBack(id, token)
    }
  }

  /** Turns what another process left behind into the answer of this flight. */
  #take(
    answer: Exclude<Acquired, { kind: 'lead' | 'wait' }> | FleetAnswer,
    role: Role,
    task: FleetTask,
    settings: ResolvedFleetCall,
  ): unknown {
    if (answer.kind === 'alone') return this.#runAlone('alone', task)
    if (answer.kind === 'failure') {
      this.#count('failedElsewhere', task, answer.fence)
      throw decodeFailure(answer.payload)
    }
    let value: unknown
    try {
      value = settings.codec.decode(answer.payload)
    } catch {
      // From another version of the program, perhaps.
      return this.#runAlone('alone', task)
    }
    this.#count(role, task, answer.fence)
    return value
  }

  #runAlone(role: 'alone' | 'degraded', task: FleetTask): Promise<unknown> {
    this.#count(role, task, undefined)
    return task.execute(undefined, task.signal)
  }

  /** Gives back a lease that is of no use, at once or as soon as the store can be told. */
  #giveBack(id: string, token: string): void {
    const store = this.#store
    const later = () => {
      if (this.#unreturned.size < MAX_UNRETURNED) this.#unreturned.set(token, id)
    }
    if (store?.available) this.#tell(store.release(id, token).catch(later))
    else later()
  }

  /** Lets the store know without anybody waiting for it. */
  #tell(told: Promise<unknown>): void {
    const unfinished = told.then(
      () => undefined,
      () => undefined,
    )
    this.#unfinished.add(unfinished)
    unfinished.then(() => this.#unfinished.delete(unfinished))
  }

  #count(role: Role, { flightId, encodedKey }: FleetTask, fence: number | undefined): void {
    this.#counts[role] += 1
    if (channels.fleet.hasSubscribers) channels.fleet.publish({ role, flightId, encodedKey, fence })
  }

  #add(presence: Presence): void {
    const present = this.#present.get(presence.id)
    if (present === undefined) this.#present.set(presence.id, new Set([presence]))
    else present.add(presence)
  }

  #remove(presence: Presence): void {
    const present = this.#present.get(presence.id)
    present?.delete(presence)
    if (present?.size === 0) this.#present.delete(presence.id)
  }
}

const NOTHING = Buffer.alloc(0)

function mayHaveRun(error: unknown): boolean {
  return Object(error).mayHaveRun !== false
}

type FleetAnswer = FleetMessage & { readonly kind: 'value' | 'failure' | 'alone' }

function isAnswer(message: FleetMessage): message is FleetAnswer {
  return message.kind === 'value' || message.kind === 'failure' || message.kind === 'alone'
}

function encodeValue(value: unknown, codec: FleetCodec): Buffer {
  let encoded: unknown
  try {
    encoded = codec.encode(value)
  } catch (error) {
    if (error instanceof ValueNotShareableError) throw error
    throw new CodecFailedError('threw', { cause: error })
  }
  if (typeof encoded === 'string') return Buffer.from(encoded)
  if (encoded instanceof Uint8Array)
    return Buffer.from(encoded.buffer, encoded.byteOffset, encoded.byteLength)
  throw new CodecFailedError('answered neither text nor bytes', { cause: undefined })
}

function isRetryable(error: unknown, settings: ResolvedFleetCall): boolean {
  try {
    if (error instanceof ValueNotShareableError || error instanceof CodecFailedError) return false
    return settings.isRetryable(error)
  } catch {
    return true
  }
}
