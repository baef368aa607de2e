// What the primary and its workers say to each other, besides what @holdfast/metrics does.

import type { Worker } from 'node:cluster'

/** A worker serves. */
export interface Serving {
  readonly kind: 'holdfast:api:serving'
  /** Where all of them listen. */
  readonly url: string
  /** How the first look into the database ended. */
  readonly themes: string
}

/** To a worker: others serve in its place. */
export interface Replaced {
  readonly kind: 'holdfast:api:replaced'
}

/** An instance is taken out of rotation, or taken back (`reason` undefined): from the worker that was asked, and to all. */
export interface Cordon {
  readonly kind: 'holdfast:api:cordon'
  readonly reason?: string
}

/** To a worker: what would the management port answer. */
export interface Question {
  readonly kind: 'holdfast:api:question'
  readonly id: number
  readonly method: 'GET' | 'HEAD' | 'OPTIONS'
  readonly url: string
  readonly accept: string | undefined
}

/** What it would. */
export interface Answer {
  readonly kind: 'holdfast:api:answer'
  readonly id: number
  readonly answer: InsideAnswer
}

/** An answer of the management port. */
export interface InsideAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** To a worker: is anybody there. And back. */
export interface Pulse {
  readonly kind: 'holdfast:api:pulse'
}

/** A level of the log until a time (ms since 1970), or, without either, the one that is configured. */
export interface LevelOrder {
  readonly level?: string
  readonly untilMs?: number
}

/** From a worker that was asked for another level of the log: it is to be that of all. */
export interface LevelWish {
  readonly kind: 'holdfast:api:level-wish'
  readonly id: number
  readonly order: LevelOrder
}

/** To that worker: how many took it, of how many. */
export interface LevelGranted {
  readonly kind: 'holdfast:api:level-granted'
  readonly id: number
  readonly taken: number
  readonly of: number
}

/** To all workers: the level of the log from now on. */
export interface Level {
  readonly kind: 'holdfast:api:level'
  readonly id: number
  readonly order: LevelOrder
}

/** From a worker: what was said under this id is done. */
export interface Done {
  readonly kind: 'holdfast:api:done'
  readonly id: number
}

/** Any of them. */
export type WorkerMessage =
  | Serving
  | Replaced
  | Cordon
  | Question
  | Answer
  | Pulse
  | LevelWish
  | LevelGranted
  | Level
  | Done

/** From a worker to its primary. */
export function tellPrimary(message: WorkerMessage): void {
  // A primary that has gone ends this process soon enough.
  if (process.connected) process.send?.(message, undefined, {}, () => {})
}

/** From the primary to a worker. */
export function tellWorker(worker: Worker, message: WorkerMessage): void {
  // One that has just gone needs no word.
  if (worker.isConnected()) worker.send(message, () => {})
}

/** Reads a message; what is none of ours has no `kind` of ours. */
export function readMessage(message: unknown): WorkerMessage | { readonly kind?: undefined } {
  return Object(message) as WorkerMessage
}
