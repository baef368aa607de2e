// A user who bets, over HTTP.

import { bearerOf } from './bearer-of.ts'
import { type Answer, ask } from './sign-in-client.ts'

/** Where a service is, and the database that it has its users in. */
export interface BetPlace {
  readonly url: string
  readonly databaseUrl: string
}

let keys = 0
const nextKey = () => {
  keys += 1
  return `bet-${keys}`
}

export class BetClient {
  readonly #place: BetPlace
  readonly #user: string | undefined

  /** `user` is `<tenant>/<e-mail>`; without one nobody is signed in. */
  constructor(place: BetPlace, user?: string) {
    this.#place = place
    this.#user = user
  }

  /** Places a bet; with a key of its own where none is given, and without any where it is `null`. */
  place(body: unknown, key: string | null = nextKey()): Promise<Answer> {
    return this.#ask('POST', '/api/bets', body, key === null ? {} : { 'idempotency-key': key })
  }

  get(path: string): Promise<Answer> {
    return this.#ask('GET', path, undefined, {})
  }

  async #ask(
    method: string,
    path: string,
    body: unknown,
    headers: Readonly<Record<string, string>>,
  ): Promise<Answer> {
    const { url, databaseUrl } = this.#place
    const token = this.#user === undefined ? undefined : await bearerOf(databaseUrl, this.#user)
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` }
    return ask(url, method, path, body, { ...authorization, ...headers })
  }
}
