// What the primary and its workers say to each other, besides what @holdfast/metrics does.

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

/** Any of them. */
export type WorkerMessage = Serving | Replaced | Cordon | Question | Answer

/** Reads a message; what is none of ours has no `kind` of ours. */
export function readMessage(message: unknown): WorkerMessage | { readonly kind?: undefined } {
  return Object(message) as WorkerMessage
}
