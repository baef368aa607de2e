/** The shape of a row: what runs against what, and what is promised. A row file is data plus its world. */
import type { Goal } from './goals.ts'
import type { Posting } from './http-load.ts'
import type { MixLoad, OpenLoad } from './mixed-load.ts'
import type { Slice } from './statistics.ts'

interface RowBase {
  readonly name: string
  /** One sentence: what the row measures. */
  readonly title: string
  readonly goals: readonly Goal[]
}

/** Variants are requests to server processes, pinned to the server core. */
export interface ServerRow extends RowBase {
  readonly kind: 'server'
  readonly connections: number
  /** Times the usual length of a slice, for what has to run on for a while before it is itself. Default 1. */
  readonly sliceFactor?: number
  readonly servers: Readonly<Record<string, ServerSpec>>
  readonly variants: readonly ServerVariant[]
  /** Starts what the servers need, once per round. */
  readonly prepare?: () => Promise<World>
}

export interface ServerSpec {
  /** Path of the script from `apps/bench`. */
  readonly script: string
  readonly args?: readonly string[]
  /** The path that answers 200 once the server is ready. The script gets its port as its last argument. */
  readonly readyPath: string
  /** What the process finds in its environment besides the world's variables, given its port. */
  readonly environment?: (port: number) => Readonly<Record<string, string>>
}

export interface ServerVariant {
  readonly name: string
  /** A key of the row's `servers`. Several variants may be requests to one process. */
  readonly server: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly expectStatus?: number
  /** Sends `If-None-Match` with the entity tag of an answer fetched before the slice. */
  readonly revalidates?: boolean
  /** What is posted instead, by the name that the row's world knows it by. */
  readonly posts?: string
  /** Whether the server has figures of its own, and answers the question `figures` with those since it was last asked. */
  readonly hasFigures?: boolean
  /** The state of the world in which the slice is measured. Every variant of a row with a world names one. */
  readonly state?: string
  /** The variant its ratio in the table is taken against. */
  readonly against?: string
}

/** What surrounds the servers: a database that can be frozen or killed. */
export interface World {
  readonly environment: Readonly<Record<string, string>>
  enter(state: string): Promise<void>
  /** What is posted to a server in the next slice, for variants that post. */
  posting?(posts: string, port: number): Promise<Posting>
  /** What has come to pass because of requests of a server, so far: the row shows it per answer. */
  counts?(server: string): Promise<Readonly<Record<string, number>>>
  close(): Promise<void>
}

/** Variants are modules that run one operation many times, each in its own process on the server core. */
export interface LoopRow extends RowBase {
  readonly kind: 'loop'
  readonly variants: readonly LoopVariant[]
  /** Starts what the loops need, once for all rounds; it stays on the load core. */
  readonly prepare?: () => Promise<LoopWorld>
}

/** What surrounds the loops: a database that all variants ask. */
export interface LoopWorld {
  /** Given to every module before its own arguments. */
  readonly args: readonly string[]
  close(): Promise<void>
}

export interface LoopVariant {
  readonly name: string
  /** Path of the module from `apps/bench`; its default export is a `CreateLoop`. */
  readonly module: string
  /** Arguments of the module. */
  readonly args?: readonly string[]
  /** The variant its ratio in the table is taken against. */
  readonly against?: string
}

/** Prepares a loop: everything that is not the operation itself happens here. */
export type CreateLoop = (args: readonly string[]) => Promise<Loop>

/**
 * Runs the operation `operations` times and returns what it produced, so that no result can be optimised away:
 * a loop whose `results` differ from `operations * resultsPerOperation` fails the row.
 */
export interface Loop {
  readonly resultsPerOperation: number
  run(operations: number): Promise<LoopOutcome>
}

export interface LoopOutcome {
  readonly results: number
  /** How often the guarded work ran, where the row counts that. */
  readonly executions?: number
  /** Figures that the loop measures itself, by the names of the report's columns. */
  readonly figures?: Readonly<Record<string, number>>
}

/**
 * Variants are services that go through the same ten seconds or so: a load of several kinds of requests, and what
 * happens to their database meanwhile. What counts is how each kind is answered, not how fast the server is.
 */
export interface TrialRow extends RowBase {
  readonly kind: 'trial'
  /** The kinds of requests, in the proportion in which they come. */
  readonly mix: readonly RequestKind[]
  readonly variants: readonly TrialVariant[]
  /** Starts what the servers need, once per round. */
  readonly prepare: () => Promise<World>
  /** States of the world, each entered so many ms after the begin of the load. */
  readonly events: readonly { readonly atMs: number; readonly state: string }[]
  readonly durationMs: number
  /** What the trial shows, from what became of every request. */
  readonly figures: (outcome: TrialOutcome) => Slice['figures']
}

/** One kind of request. */
export interface RequestKind {
  readonly name: string
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** How many of the sum of all shares are of this kind. */
  readonly share: number
}

export interface TrialVariant {
  readonly name: string
  /** Path of the script from `apps/bench`, which gets its port as its last argument, and its other arguments. */
  readonly script: string
  readonly args: readonly string[]
  readonly load: MixLoad
  /** The variant its ratio in the table is taken against. */
  readonly against?: string
  /** How long the load lasts, in place of the row's. */
  readonly durationMs?: number
}

/** What is known at the end of a trial. */
export interface TrialOutcome {
  /** One entry per request, in the order in which they came. */
  readonly requests: readonly TrialRequest[]
  readonly durationMs: number
  /** When each state was entered, in ms after the begin of the load. */
  readonly entered: Readonly<Record<string, number>>
  /** What the server answered to the question `report` afterwards. */
  readonly report: Readonly<Record<string, number>>
}

/** One request, and what became of it. */
export interface TrialRequest {
  readonly kind: string
  /** When it came, in ms after the begin of the load. An open loop counts from when it should have been sent. */
  readonly startedMs: number
  readonly tookMs: number
  /** 0: no answer, or a broken connection. */
  readonly status: number
  /** Whether the answer said `x-source: database`. */
  readonly fromDatabase: boolean
}

/**
 * Variants are even requests to server processes, with and without a flood of other requests beside them. What counts
 * is whether those who are not the flood notice it.
 */
export interface FloodRow extends RowBase {
  readonly kind: 'flood'
  /** Each answers the question `report` with `FloodCounts`. */
  readonly servers: Readonly<Record<string, ServerSpec>>
  readonly variants: readonly FloodVariant[]
  /** Starts what the servers need, once per round. */
  readonly prepare: () => Promise<World>
  /** What is measured: all of it has to be answered with 200. */
  readonly steady: FloodTraffic
  /** What comes beside it, from a process of its own: 200 and 429 are answers to it. */
  readonly flood: FloodTraffic
}

/** Requests at an even pace. */
export interface FloodTraffic {
  readonly load: OpenLoad
  readonly path: string
}

export interface FloodVariant {
  readonly name: string
  /** A key of the row's `servers`. */
  readonly server: string
  /** Whether the flood comes, too. */
  readonly flooded: boolean
  /** The variant its ratio in the table is taken against. */
  readonly against?: string
}

/** What a server of a flood has counted since its start. */
export interface FloodCounts {
  readonly steady: number
  readonly flood: number
  /** What was asked of Redis, whatever it was. */
  readonly redisCalls: number
}

export type Row = ServerRow | LoopRow | TrialRow | FloodRow
