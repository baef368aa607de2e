import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'undici'

/** The kinds of requests, from what must never fail to what may be refused. */
export type Kind = 'theme' | 'history' | 'preview'

/** What one kind of request was answered with. */
export interface KindReport {
  readonly requests: number
  /** By status; a stale page counts as `stale`, a request without an answer by its error. */
  readonly answers: Readonly<Record<string, number>>
  /** Refusals that did not say when to come back, and answers that should not have been given at all. */
  readonly wrong: Readonly<Record<string, number>>
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

/** What is loaded with which share. */
export interface Mix {
  /** Requests in flight. */
  readonly clients: number
  /** Out of 100; the rest are themes. */
  readonly historyShare: number
  readonly previewShare: number
  /** A pause of every client after each answer. */
  readonly pauseMs?: number
}

interface Tally {
  latenciesMs: number[]
  answers: Record<string, number>
  wrong: Record<string, number>
}

const TENANTS = ['acme', 'globex']

/**
 * A fixed number of clients, each on a connection of its own, that ask again as soon as they are answered. An event
 * that was not acknowledged is sent again with the same id until it is.
 */
export class MixedLoad {
  /** The id that each acknowledged event got. */
  readonly acknowledged = new Map<string, string>()
  readonly #client: Pool
  readonly #mix: Mix
  readonly #versions: ReadonlyMap<string, string>
  readonly #workers: Promise<void>[]
  #running = true
  #stopped: Promise<void> | undefined
  #tallies = newTallies()

  private constructor(url: string, mix: Mix, versions: ReadonlyMap<string, string>) {
    this.#mix = mix
    this.#versions = versions
    this.#client = new Pool(url, {
      connections: mix.clients,
      pipelining: 1,
      headersTimeout: 30_000,
      bodyTimeout: 30_000,
    })
    this.#workers = Array.from({ length: mix.clients }, (_, index) => this.#work(index))
  }

  /** Starts it on a service that knows the demo tenants. */
  static async start(url: string, mix: Mix): Promise<MixedLoad> {
    const versions = new Map<string, string>()
    for (const tenant of TENANTS) {
      const answer = await fetch(`${url}/${tenant}/api/theme/history`)
      const { items } = (await answer.json()) as { items: { version: string }[] }
      versions.set(tenant, items[0]?.version ?? '')
    }
    return new MixedLoad(url, mix, versions)
  }

  /** How often a kind of request was answered like that since the last report. */
  count(kind: Kind, answer: string): number {
    return this.#tallies[kind].answers[answer] ?? 0
  }

  /** What was seen since the last report. */
  report(): Record<Kind, KindReport> {
    const tallies = this.#tallies
    this.#tallies = newTallies()
    return {
      theme: reportOf(tallies.theme),
      history: reportOf(tallies.history),
      preview: reportOf(tallies.preview),
    }
  }

  /** Ends it once the requests that are under way are answered. */
  stop(): Promise<void> {
    this.#running = false
    this.#stopped ??= Promise.all(this.#workers).then(() => this.#client.destroy())
    return this.#stopped
  }

  async #work(index: number): Promise<void> {
    const { historyShare, previewShare, pauseMs = 0 } = this.#mix
    for (let turn = index * 37; this.#running; turn += 1) {
      const tenant = TENANTS[turn % TENANTS.length] ?? ''
      // Spread evenly over 100 turns, and no two clients at the same point.
      const place = (turn * 61) % 100
      if (place < previewShare) await this.#preview(tenant)
      else if (place < previewShare + historyShare) await this.#history(tenant)
      else await this.#theme(tenant)
      if (pauseMs > 0) await sleep(pauseMs)
    }
  }

  async #theme(tenant: string): Promise<void> {
    await this.#ask('theme', 'GET', `/${tenant}/api/public/load-theme`, undefined, [200])
  }

  async #history(tenant: string): Promise<void> {
    await this.#ask('history', 'GET', `/${tenant}/api/theme/history`, undefined, [200, 503])
  }

  async #preview(tenant: string): Promise<void> {
    const event = {
      event_id: randomUUID(),
      theme_version: this.#versions.get(tenant),
      viewport: 'desktop',
    }
    const body = JSON.stringify(event)
    const path = `/${tenant}/api/theme/preview-events`
    do {
      const answer = await this.#ask('preview', 'POST', path, body, [201, 503, 504])
      if (answer?.status === 201) {
        const { id } = JSON.parse(answer.text) as { id: string }
        this.acknowledged.set(event.event_id, id)
        return
      }
      await sleep(20)
    } while (this.#running)
  }

  async #ask(
    kind: Kind,
    method: 'GET' | 'POST',
    path: string,
    sent: string | undefined,
    allowed: readonly number[],
  ): Promise<{ readonly status: number; readonly text: string } | undefined> {
    const tally = this.#tallies[kind]
    const count = (counts: Record<string, number>, what: string) => {
      counts[what] = (counts[what] ?? 0) + 1
    }
    const startMs = performance.now()
    try {
      const { statusCode, headers, body } = await this.#client.request({
        path,
        method,
        ...(sent !== undefined && { headers: { 'content-type': 'application/json' }, body: sent }),
      })
      const text = await body.text()
      const stale = headers['warning'] !== undefined
      count(tally.answers, stale ? 'stale' : String(statusCode))
      if (!allowed.includes(statusCode)) count(tally.wrong, `${statusCode}: ${text.slice(0, 200)}`)
      if (statusCode >= 503 && headers['retry-after'] === undefined) count(tally.wrong, 'no Retry-After')
      return { status: statusCode, text }
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error)
      count(tally.answers, what)
      count(tally.wrong, what)
      return undefined
    } finally {
      tally.latenciesMs.push(performance.now() - startMs)
    }
  }
}

function newTallies(): Record<Kind, Tally> {
  const tally = (): Tally => ({ latenciesMs: [], answers: {}, wrong: {} })
  return { theme: tally(), history: tally(), preview: tally() }
}

function reportOf({ latenciesMs, answers, wrong }: Tally): KindReport {
  const sorted = latenciesMs.toSorted((left, right) => left - right)
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
  return { requests: sorted.length, answers, wrong, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) }
}
