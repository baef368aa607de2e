// People who only look: at what everybody may see, all the time. Whatever happens, each of them is answered, and well.

import { setTimeout as sleep } from 'node:timers/promises'
import type { SeededRandom } from '@holdfast/test-kit'

const VISITORS = 5
/** Whose theme a tenant is told that it is. */
const THEMES = { acme: 'acme', globex: 'globex', 'nobody-has-this-name': null } as const
const TENANTS = Object.keys(THEMES) as readonly (keyof typeof THEMES)[]
/** Longer than HAProxy waits for an answer. */
const PATIENCE_MS = 60_000
const MAX_FAILURES = 50

export interface VisitorsReport {
  /** By what they were answered. */
  readonly answers: Readonly<Record<string, number>>
  readonly slowestMs: number
  /** What was neither 200 nor 304, or somebody else's theme: when, what, and what went on. */
  readonly failures: readonly string[]
}

export class Visitors {
  readonly #url: string
  readonly #goingOn: () => string
  readonly #beganMs = performance.now()
  readonly #answers: Record<string, number> = {}
  readonly #failures: string[] = []
  readonly #all: Promise<unknown>
  #slowestMs = 0
  #isOver = false

  constructor(url: string, random: SeededRandom, goingOn: () => string) {
    this.#url = url
    this.#goingOn = goingOn
    this.#all = Promise.all(Array.from({ length: VISITORS }, () => this.#visit(random)))
  }

  async leave(): Promise<VisitorsReport> {
    this.#isOver = true
    await this.#all
    return { answers: this.#answers, slowestMs: Math.round(this.#slowestMs), failures: this.#failures }
  }

  async #visit(random: SeededRandom): Promise<void> {
    const tags = new Map<string, string>()
    while (!this.#isOver) {
      const tenant = random.pick(TENANTS)
      const tag = random.next() < 0.3 ? tags.get(tenant) : undefined
      const answer = await this.#ask(tenant, tag)
      if (answer !== undefined) tags.set(tenant, answer)
      await sleep(random.int(10, 90))
    }
  }

  /** Answers the tag of the answer. */
  async #ask(tenant: keyof typeof THEMES, tag: string | undefined): Promise<string | undefined> {
    const path = `/${tenant}/api/public/load-theme`
    const askedMs = performance.now()
    const before = this.#goingOn()
    const fail = (what: string) => {
      const after = this.#goingOn()
      const at = Math.round((askedMs - this.#beganMs) / 100) / 10
      const tookMs = Math.round(performance.now() - askedMs)
      this.#failures.push(
        `at ${at} s ${path}: ${what}, after ${tookMs} ms; asked while ${before}; then ${after}`,
      )
      if (this.#failures.length > MAX_FAILURES) this.#isOver = true
    }
    try {
      const answer = await fetch(this.#url + path, {
        signal: AbortSignal.timeout(PATIENCE_MS),
        ...(tag !== undefined && { headers: { 'if-none-match': tag } }),
      })
      const text = await answer.text()
      this.#count(String(answer.status))
      const isTheme =
        answer.status === 200 && (JSON.parse(text) as { tenant?: unknown }).tenant === THEMES[tenant]
      if (!isTheme && answer.status !== 304) fail(`${answer.status} ${text.slice(0, 300)}`)
      return answer.headers.get('etag') ?? undefined
    } catch (error) {
      this.#count('no answer')
      const { message, cause } = Object(error) as { message?: unknown; cause?: unknown }
      fail(`${message} ${cause ?? ''}`)
      return undefined
    } finally {
      this.#slowestMs = Math.max(this.#slowestMs, performance.now() - askedMs)
    }
  }

  #count(what: string): void {
    this.#answers[what] = (this.#answers[what] ?? 0) + 1
  }
}
