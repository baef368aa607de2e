// Writes that jobs are done: those that end in one turn of the event loop in one statement. Many small jobs end together,
// because they were fetched together, and a statement for each was most of what they cost. A statement of several is logged
// under the correlation id of the first of them.

import type { Claim } from './boss-store.ts'

/** Answers the ids of those that were still ours. */
type Write = (claims: readonly Claim[]) => Promise<ReadonlySet<string>>

interface Ended {
  readonly claim: Claim
  readonly resolve: (isOurs: boolean) => void
  readonly reject: (error: unknown) => void
}

/** The ends of one queue. */
export class Completions {
  readonly #write: Write
  /** In this turn, each of another job; bounded by the places of the queue. */
  #ended: Ended[] = []

  constructor(write: Write) {
    this.#write = write
  }

  /** Answers whether it was still ours. Rejects as the statement does, which is that of others, too. */
  async add(claim: Claim): Promise<boolean> {
    // Two tries of one job could not be told apart in the answer.
    if (this.#ended.some((ended) => ended.claim.id === claim.id)) {
      return (await this.#write([claim])).has(claim.id)
    }
    return new Promise((resolve, reject) => {
      this.#ended.push({ claim, resolve, reject })
      if (this.#ended.length === 1) setImmediate(() => void this.#flush())
    })
  }

  async #flush(): Promise<void> {
    const ended = this.#ended
    this.#ended = []
    try {
      const ours = await this.#write(ended.map(({ claim }) => claim))
      for (const { claim, resolve } of ended) resolve(ours.has(claim.id))
    } catch (error) {
      for (const { reject } of ended) reject(error)
    }
  }
}
