/*
 * The door: a connection for commands and one for subscriptions, the breaker before the calls, and the timer that
 * probes. Usable means: the connection is up, its last probe and its last call were answered, and nobody isolated
 * the breaker. No call ever finds that out; calls only look.
 */
import { CircuitBreaker } from '@holdfast/circuit-breaker'
import { holdProcess } from '@holdfast/footing'
import { Calls } from './calls.ts'
import { Clients, type RawClient } from './client.ts'
import { Connection } from './connection.ts'
import { Dispatcher } from './dispatcher.ts'
import { ClosedError, callError } from './errors.ts'
import { reportState } from './events.ts'
import { buildKey } from './key.ts'
import { FencedLeases } from './lease.ts'
import {
  checks,
  type GuardedRedisOptions,
  newOwnerName,
  type ResolvedOptions,
  resolveOptions,
} from './options.ts'
import { type Preparation, Preparations } from './preparations.ts'
import { probe, within } from './probe.ts'
import { Pulse } from './pulse.ts'
import type {
  CallOptions,
  ChannelHandlers,
  RedisArgument,
  RedisGuard,
  RedisGuardSnapshot,
  RedisHealth,
  RedisScript,
  RedisState,
} from './redis-guard.ts'
import { saysElsewhere } from './reply-error.ts'
import { Scripts } from './script.ts'
import { SentinelWatch } from './sentinel-watch.ts'
import { Subscriptions } from './subscriptions.ts'

/** The first pause before a new attempt to connect: a connection that just ended may be there again at once. */
const FIRST_DELAY_MS = 25
/** After a call without an answer the connection is asked again: a stall ends so, a dead connection is replaced. */
const PROBE_AFTER_MISS_MS = 50
/** What a connection is delayed by, at most, to find out which of the sentinels answer. */
const HEAR_SENTINELS_MS = 100

type StateListener = (state: RedisState, reason: string | undefined) => void

/** A guarded way to Redis. It connects in the background from its construction on; `ready()` waits for that. */
export class GuardedRedis implements RedisGuard {
  /** Opened by a call without an answer, a server of no use and a lost connection. `isolate()` keeps it open. */
  readonly breaker: CircuitBreaker
  readonly lease: FencedLeases
  readonly #options: ResolvedOptions
  readonly #clients: Clients
  readonly #commands: Connection
  readonly #dispatcher: Dispatcher
  readonly #scripts = new Scripts()
  readonly #calls: Calls
  readonly #preparations: Preparations
  readonly #subscriber: Connection
  readonly #subscriberPulse: Pulse
  readonly #subscriptions: Subscriptions
  readonly #sentinels: SentinelWatch | undefined
  readonly #listeners = new Set<StateListener>()
  #state: RedisState = 'connecting'
  #reason: string | undefined = 'not connected yet'
  #connections = 0
  #failedProbes = 0
  #probePermit: ReturnType<CircuitBreaker['tryAcquireProbe']>
  #cancelProbe: () => void = () => {}
  #switches = 0
  #closed = false
  #closing: Promise<void> | undefined

  /** Raises `HOLDFAST_ERR_REDIS_GUARD_OPTION`. */
  constructor(options: GuardedRedisOptions) {
    this.#options = resolveOptions(options)
    const { source, clock, random, connectTimeoutMs, maxReconnectMs, maxSubscriptions, heartbeatMs } =
      this.#options
    this.lease = new FencedLeases(this, { clock, ownerName: newOwnerName() })
    this.#clients = new Clients(source, connectTimeoutMs)
    this.breaker = new CircuitBreaker(this.#options.name, {
      probing: 'manual',
      // Whoever trips it says why; nothing is counted.
      failureThreshold: Number.POSITIVE_INFINITY,
      failureRate: Number.POSITIVE_INFINITY,
      openMs: maxReconnectMs,
      openGrowth: 1,
      // One connection to one server: there is no herd that has to be held back.
      rampMs: 0,
      probeLeaseMs: 60_000,
      onTransition: ({ to, reason }) => this.#update(to === 'open' ? reason : this.#reason),
      clock,
      random,
    })
    const timing = {
      attemptTimeoutMs: this.#clients.attemptTimeoutMs,
      firstDelayMs: FIRST_DELAY_MS,
      maxDelayMs: maxReconnectMs,
      clock,
      random,
    }
    this.#preparations = new Preparations({
      ...this.#options,
      scripts: this.#scripts,
      key: (...parts) => this.key(...parts),
    })
    this.#commands = new Connection({
      ...timing,
      open: async (attempt) => this.#clients.forCommands(attempt, await this.#firstSentinel()),
      check: (client) => this.#probeNew(client),
      prepare: (client) => this.#preparations.run(client),
      onUp: (client) => this.#up(client),
      onDown: (reason) => this.#down(reason),
      onFailed: (reason) => this.#failed(reason),
    })
    this.#dispatcher = new Dispatcher({
      ...this.#options,
      breaker: this.breaker,
      onMissed: (client, reason) => this.#missed(client, reason),
      onUnusable: (client, reason) => this.#unusable(client, reason),
    })
    this.#calls = new Calls({
      dispatcher: this.#dispatcher,
      scripts: this.#scripts,
      requireOpen: (what) => this.#requireOpen(what),
    })
    this.#subscriptions = new Subscriptions(maxSubscriptions, (client, reason) =>
      this.#subscriber.replace(client, reason),
    )
    this.#subscriber = new Connection({
      ...timing,
      open: async (attempt) => {
        const first = await this.#firstSentinel()
        return this.#clients.forSubscriptions(attempt, first, this.#commands.client, random)
      },
      check: (client) => client.callBuffer('PING'),
      onUp: (client) => this.#subscribed(client),
      onDown: () => this.#unsubscribed(),
      onFailed: () => {},
    })
    this.#subscriberPulse = new Pulse(this.#subscriber, {
      everyMs: heartbeatMs,
      timeoutMs: connectTimeoutMs,
      clock,
    })
    const plan = this.#clients.sentinelPlan
    if (plan !== undefined) {
      this.#sentinels = new SentinelWatch({
        ...timing,
        ...plan,
        attemptTimeoutMs: connectTimeoutMs,
        heartbeatMs,
        open: (sentinel) => this.#clients.forSentinel(sentinel),
        onMaster: (address) => this.#follow(address),
      })
      this.#sentinels.start()
    }
    this.#commands.start()
  }

  /** That of the options. */
  get name(): string {
    return this.#options.name
  }

  get available(): boolean {
    return this.#state === 'up'
  }

  get state(): RedisState {
    return this.#state
  }

  run<Result>(
    script: RedisScript<Result>,
    keys: readonly string[],
    args: readonly RedisArgument[],
    options?: CallOptions,
  ): Promise<Result> {
    return this.#calls.run(script, keys, args, options)
  }

  call(command: string, ...args: readonly RedisArgument[]): Promise<unknown> {
    return this.#calls.call(command, args)
  }

  key(namespace: string, slotTag: string, ...parts: readonly string[]): string {
    return buildKey(this.#options.prefix, namespace, slotTag, parts)
  }

  subscribe(channel: string, handlers: ChannelHandlers): () => void {
    this.#requireOpen('SUBSCRIBE')
    // ioredis tells the channel of a message as text: one that does not survive UTF-8 would never be found.
    if (typeof channel !== 'string' || channel === '' || !channel.isWellFormed()) {
      checks.refuse('channel', 'a text', channel)
    }
    checks.having('handlers', checks.object('handlers', handlers), ['onMessage', 'onGap'])
    const unsubscribe = this.#subscriptions.add(channel, handlers)
    this.#subscriber.start()
    return unsubscribe
  }

  listening(channel: string): boolean {
    return this.#subscriptions.listening(channel)
  }

  async publish(channel: string, payload: string | Buffer): Promise<void> {
    await this.call('PUBLISH', channel, payload)
  }

  onStateChange(listener: StateListener): () => void {
    // A function of its own, so that the same one can be given twice.
    const entry: StateListener = (state, reason) => listener(state, reason)
    this.#listeners.add(entry)
    return () => {
      this.#listeners.delete(entry)
    }
  }

  beforeUp(prepare: Preparation): () => void {
    return this.#preparations.add(checks.callable('prepare', prepare))
  }

  ready(timeoutMs: number): Promise<boolean> {
    if (this.available || this.#closed) return Promise.resolve(this.available)
    return new Promise((resolve) => {
      const letGo = holdProcess()
      const end = (value: boolean) => {
        letGo()
        cancel()
        forget()
        resolve(value)
      }
      const cancel = this.#options.clock.schedule(timeoutMs, () => end(false))
      const forget = this.onStateChange((state) => {
        if (state === 'up' || state === 'closed') end(state === 'up')
      })
    })
  }

  snapshot(): RedisGuardSnapshot {
    const dispatcher = this.#dispatcher
    const subscriptions = this.#subscriptions
    return {
      state: this.#state,
      reason: this.#reason,
      breaker: this.breaker.state,
      calls: { ...dispatcher.counts },
      inFlight: dispatcher.inFlight,
      maxInFlight: this.#options.maxInFlight,
      commands: dispatcher.commands,
      batches: dispatcher.batches,
      batchedCalls: dispatcher.batchedCalls,
      scriptLoads: dispatcher.scriptLoads,
      lastRoundTripMs: dispatcher.lastRoundTripMs,
      roundTripSumMs: dispatcher.roundTripSumMs,
      roundTrips: dispatcher.roundTrips,
      connections: this.#connections,
      failedProbes: this.#failedProbes,
      subscriber: {
        connected: this.#subscriber.client !== undefined,
        channels: subscriptions.channels,
        handlers: subscriptions.handlers,
        messages: subscriptions.messages,
        gaps: subscriptions.gaps,
        handlerErrors: subscriptions.handlerErrors,
      },
      preparations: { ...this.#preparations.counts },
      sentinels: { listening: this.#sentinels?.listening ?? 0, switches: this.#switches },
    }
  }

  healthCheck(): RedisHealth {
    const { state, reason, breaker, calls, inFlight, lastRoundTripMs, subscriber } = this.snapshot()
    const data = { state, breaker, calls, inFlight, lastRoundTripMs, subscriber }
    if (this.available) return { status: 'healthy', data }
    return { status: 'unhealthy', reason: reason ?? state, data }
  }

  close(): Promise<void> {
    this.#closed = true
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#cancelProbe()
    this.#subscriberPulse.stop()
    this.#update('closed')
    const letGo = holdProcess()
    await this.#dispatcher.drain()
    this.#subscriptions.clear()
    await Promise.all([this.#commands.close(), this.#subscriber.close(), this.#sentinels?.close()])
    this.#listeners.clear()
    letGo()
  }

  #requireOpen(what: string): void {
    if (this.#closed) throw callError(new ClosedError(what), false)
  }

  #up(client: RawClient): void {
    this.#connections += 1
    this.#clients.remember(client)
    this.#dispatcher.use(client)
    this.#probeIn(this.#options.heartbeatMs)
    this.#update(undefined)
  }

  #down(reason: string): void {
    this.#cancelProbe()
    this.#dispatcher.use(undefined)
    this.#open(reason)
  }

  #failed(reason: string): void {
    this.#failedProbes += 1
    this.#open(reason)
  }

  #missed(client: RawClient, reason: string): void {
    if (client !== this.#commands.client || this.breaker.state !== 'closed') return
    this.#open(reason)
    this.#probeIn(PROBE_AFTER_MISS_MS)
  }

  #unusable(client: RawClient, reason: string): void {
    if (client !== this.#commands.client) return
    if (this.breaker.state === 'closed') {
      this.#open(reason)
      this.#probeIn(PROBE_AFTER_MISS_MS)
    }
    if (saysElsewhere(reason)) this.#commands.replace(client, reason)
  }

  /** Opens the breaker, and has the subscriber looked at: what is wrong with one is often wrong with both. */
  #open(reason: string): void {
    this.breaker.trip(reason)
    this.#update(reason)
    this.#subscriberPulse.beat()
  }

  /** The sentinel to be asked first, which answers if any of them does. */
  async #firstSentinel(): Promise<number> {
    if (this.#sentinels === undefined) return 0
    await this.#sentinels.heard(HEAR_SENTINELS_MS)
    return this.#sentinels.first
  }

  /** Leaves a master that is one no more, although it may go on answering for seconds. */
  #follow(master: string): void {
    const isWrong = (client: RawClient) => {
      const present = this.#clients.masterOf(client)
      return present !== undefined && present !== master
    }
    const reason = `the sentinels have made ${master} the master`
    if (this.#commands.redirect(isWrong, reason)) this.#switches += 1
    this.#subscriber.redirect(isWrong, reason)
  }

  /** The probe of a connection that was just made. */
  async #probeNew(client: RawClient): Promise<void> {
    const settle = this.#beginProbe()
    try {
      await probe(client)
      settle('success')
    } catch (error) {
      settle('failure')
      throw error
    }
  }

  #probeIn(delayMs: number): void {
    this.#cancelProbe()
    this.#cancelProbe = this.#options.clock.schedule(delayMs, () => this.#probeCurrent())
  }

  async #probeCurrent(): Promise<void> {
    const client = this.#commands.client
    if (client === undefined) return
    const { clock, budgetMs, heartbeatMs } = this.#options
    const settle = this.#beginProbe()
    try {
      await within(budgetMs, clock, probe(client))
      // An isolated breaker has no permit to give: calls do not pass after this probe either.
      if (!this.available && this.#probePermit !== undefined) await this.#preparations.run(client)
      settle('success')
      if (client === this.#commands.client) this.#probeIn(heartbeatMs)
    } catch (error) {
      settle('failure')
      this.#failedProbes += 1
      this.#commands.replace(client, (error as Error).message)
    }
  }

  #beginProbe(): (outcome: 'success' | 'failure') => void {
    const { breaker } = this
    // The probe of a connection that was given up must not keep the next one from closing the breaker.
    if (this.#probePermit !== undefined) breaker.settle(this.#probePermit, 'failure')
    const permit = breaker.tryAcquireProbe()
    this.#probePermit = permit
    return (outcome) => {
      if (permit === undefined || permit !== this.#probePermit) return
      this.#probePermit = undefined
      breaker.settle(permit, outcome)
    }
  }

  #subscribed(client: RawClient): void {
    this.#subscriptions.use(client)
    this.#subscriberPulse.start()
  }

  #unsubscribed(): void {
    this.#subscriberPulse.stop()
    this.#subscriptions.lose()
  }

  #update(reason: string | undefined): void {
    const from = this.#state
    if (from === 'closed') return
    const usable = this.#commands.client !== undefined && this.breaker.state === 'closed'
    const to = this.#closed ? 'closed' : usable ? 'up' : 'down'
    this.#reason = to === 'up' ? undefined : reason
    this.#dispatcher.reason = this.#reason ?? to
    if (to === from) return
    this.#state = to
    reportState(from, to, this.#reason)
    for (const listener of this.#listeners) {
      try {
        listener(to, this.#reason)
      } catch (error) {
        process.emitWarning(error instanceof Error ? error : String(error))
      }
    }
  }
}
