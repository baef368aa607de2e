/**
 * A load of several kinds of requests: an open loop, whose requests come at their times whatever the server does,
 * or a closed loop of clients, each of which waits for its answer. Every request is told about, also the one that is
 * never answered: a server that lets clients wait for ever must not look good for it.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { KeepAliveConnection } from '@holdfast/test-kit'
import type { RequestKind } from './row.ts'

/** Requests per second that come whatever happens. */
export interface OpenLoad {
  readonly perSecond: number
  /** At most so many connections: a request that finds all of them busy is not sent. Default: a new one is opened. */
  readonly connections?: number
}

/** Clients that each wait for their answer, and then a while. */
export interface ClosedLoad {
  readonly clients: number
  readonly pauseMs: number
}

export type MixLoad = OpenLoad | ClosedLoad

export interface MixPlan {
  readonly port: number
  readonly load: MixLoad
  readonly mix: readonly RequestKind[]
  readonly durationMs: number
  /** How long after the last request answers are waited for. */
  readonly drainMs: number
}

/** A request as a tuple, because there are many: kind, started, took, status, from the database. */
export type MixSample = readonly [
  kind: number,
  startedMs: number,
  tookMs: number,
  status: number,
  database: 0 | 1,
]

export interface MixResult {
  /** When the load began, in ms since the Unix epoch. */
  readonly beganWallMs: number
  readonly samples: readonly MixSample[]
  /** Requests that were due and found all connections of the load busy. */
  readonly unsent: number
  /** How late this process was with what it had to do, at the p99: what it saw itself is late by that, too. */
  readonly lateMs: number
}

/** How often lateness is looked at. */
const LATENESS_RESOLUTION_MS = 5

/** Connections to one server at once; an open loop over it counts requests as unanswered. */
const MAX_CONNECTIONS = 12_000
/** Connections with which an open loop begins. */
const FIRST_CONNECTIONS = 100

/** Opens the connections; the function it answers begins the load and drives it to its end. */
export async function prepareMix(plan: MixPlan): Promise<() => Promise<MixResult>> {
  const run = new MixRun(plan)
  await run.open()
  return async () => {
    const lateness = monitorEventLoopDelay({ resolution: LATENESS_RESOLUTION_MS })
    lateness.enable()
    await run.run()
    lateness.disable()
    const lateMs = Math.max(0, lateness.percentile(99) / 1e6 - LATENESS_RESOLUTION_MS)
    return { beganWallMs: run.beganWallMs, samples: run.samples, unsent: run.unsent, lateMs }
  }
}

class MixRun {
  readonly samples: MixSample[] = []
  beganWallMs = 0
  unsent = 0
  readonly #plan: MixPlan
  readonly #requests: readonly Buffer[]
  /** The kinds in the order in which they come, again and again. */
  readonly #order: readonly number[]
  readonly #idle: KeepAliveConnection[] = []
  readonly #busy = new Set<KeepAliveConnection>()
  readonly #pending = new Set<{ readonly kind: number; readonly startedMs: number }>()
  #connections = 0
  #sent = 0
  #beganMs = 0
  #over = false

  constructor(plan: MixPlan) {
    this.#plan = plan
    this.#requests = plan.mix.map(({ method, path }) => {
      const length = method === 'POST' ? 'content-length: 0\r\n' : ''
      return Buffer.from(
        `${method} ${path} HTTP/1.1\r\nhost: 127.0.0.1:${plan.port}\r\n${length}\r\n`,
        'latin1',
      )
    })
    this.#order = interleaved(plan.mix.map(({ share }) => share))
  }

  async open(): Promise<void> {
    const { load, port } = this.#plan
    const opened = 'clients' in load ? load.clients : (load.connections ?? FIRST_CONNECTIONS)
    this.#connections = opened
    this.#idle.push(
      ...(await Promise.all(Array.from({ length: opened }, () => KeepAliveConnection.open(port)))),
    )
  }

  async run(): Promise<void> {
    const { load, durationMs, drainMs } = this.#plan
    this.#beganMs = performance.now()
    this.beganWallMs = Date.now()
    if ('clients' in load) {
      for (let client = 0; client < load.clients; client += 1) this.#next()
      await sleep(durationMs)
    } else {
      for (;;) {
        // At the end, too, or what was due while this process stood still would never come.
        const nowMs = Math.min(this.#nowMs(), durationMs)
        const due = Math.floor((nowMs * load.perSecond) / 1000)
        while (this.#sent < due) this.#send((this.#sent * 1000) / load.perSecond)
        if (nowMs === durationMs) break
        await sleep(1)
      }
    }
    this.#over = true
    const drainedMs = this.#nowMs() + drainMs
    while (this.#pending.size > 0 && this.#nowMs() < drainedMs) await sleep(10)
    const nowMs = this.#nowMs()
    for (const { kind, startedMs } of this.#pending)
      this.samples.push([kind, startedMs, nowMs - startedMs, 0, 0])
    this.#pending.clear()
    for (const connection of [...this.#idle, ...this.#busy]) connection.close()
    this.samples.sort((left, right) => left[1] - right[1])
  }

  #nowMs(): number {
    return performance.now() - this.#beganMs
  }

  /** A client's next request. */
  #next(): void {
    if (!this.#over) this.#send(this.#nowMs())
  }

  #send(startedMs: number): void {
    const kind = this.#order[this.#sent % this.#order.length] ?? 0
    this.#sent += 1
    const { load } = this.#plan
    const most = ('connections' in load ? load.connections : undefined) ?? Number.POSITIVE_INFINITY
    if (this.#busy.size >= most) {
      this.unsent += 1
      return
    }
    const request = { kind, startedMs }
    this.#pending.add(request)
    const idle = this.#idle.pop()
    if (idle?.isOpen === true) {
      this.#ask(idle, request)
      return
    }
    if (idle !== undefined) this.#connections -= 1
    if (this.#connections >= MAX_CONNECTIONS) return
    this.#connections += 1
    KeepAliveConnection.open(this.#plan.port).then(
      (connection) => this.#ask(connection, request),
      () => this.#settle(request, 0, false),
    )
  }

  #ask(
    connection: KeepAliveConnection,
    request: { readonly kind: number; readonly startedMs: number },
  ): void {
    this.#busy.add(connection)
    connection.use({
      onAnswer: (status, head) => {
        this.#busy.delete(connection)
        this.#idle.push(connection)
        this.#settle(request, status, head.includes('\r\nx-source: database'))
      },
      onBroken: () => {
        this.#busy.delete(connection)
        this.#connections -= 1
        this.#settle(request, 0, false)
      },
    })
    const bytes = this.#requests[request.kind]
    if (bytes !== undefined) connection.send(bytes)
  }

  #settle(
    request: { readonly kind: number; readonly startedMs: number },
    status: number,
    database: boolean,
  ): void {
    if (!this.#pending.delete(request)) return
    const tookMs = this.#nowMs() - request.startedMs
    this.samples.push([request.kind, request.startedMs, tookMs, status, database ? 1 : 0])
    const { load } = this.#plan
    if (!('clients' in load)) return
    if (load.pauseMs === 0) this.#next()
    else setTimeout(() => this.#next(), load.pauseMs)
  }
}

/** Indexes in the proportion of their shares, spread as evenly as whole numbers allow. */
export function interleaved(shares: readonly number[]): readonly number[] {
  const total = shares.reduce((sum, share) => sum + share, 0)
  const credit = shares.map(() => 0)
  return Array.from({ length: total }, () => {
    shares.forEach((share, index) => {
      credit[index] = (credit[index] ?? 0) + share
    })
    const best = credit.indexOf(Math.max(...credit))
    credit[best] = (credit[best] ?? 0) - total
    return best
  })
}
