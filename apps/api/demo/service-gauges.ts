// What the service says of itself, twice a second: GET /metrics.

import { TOKEN } from './demo-world.ts'
import type { Timeline } from './timeline.ts'

const EVERY_MS = 500

/** Values of a scrape, by the name and the labels as they are written. */
export type Scrape = ReadonlyMap<string, number>

/** Pure: the lines of the text format, without histograms' buckets. */
export function parseScrape(text: string): Scrape {
  const values = new Map<string, number>()
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#') || line.includes('_bucket{')) continue
    const at = line.lastIndexOf(' ')
    values.set(line.slice(0, at), Number(line.slice(at + 1)))
  }
  return values
}

/** The sum of all series of a metric whose labels hold this text. */
export function sumOf(scrape: Scrape, name: string, label = ''): number {
  let sum = 0
  for (const [series, value] of scrape) {
    const isOf = series === name || series.startsWith(`${name}{`)
    if (isOf && series.includes(label)) sum += value
  }
  return sum
}

export async function scrape(url: string): Promise<Scrape | undefined> {
  try {
    const answer = await fetch(`${url}/metrics`, {
      headers: { authorization: `Bearer ${TOKEN}` },
      signal: AbortSignal.timeout(3000),
    })
    const text = await answer.text()
    return answer.status === 200 ? parseScrape(text) : undefined
  } catch {
    return undefined
  }
}

/** Samples whichever process is the one that serves now. */
export class ServiceGauges {
  last: Scrape = new Map()
  readonly #timer: NodeJS.Timeout
  #busy = false

  constructor(url: () => string, timeline: Timeline) {
    this.#timer = setInterval(() => void this.#look(url(), timeline), EVERY_MS)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  async #look(url: string, timeline: Timeline): Promise<void> {
    if (this.#busy) return
    this.#busy = true
    const found = await scrape(url)
    this.#busy = false
    if (found === undefined) return
    this.last = found
    timeline.sample({
      atMs: Date.now(),
      poolPercent: sumOf(found, 'db_pool_usage_percent'),
      rssBytes: sumOf(found, 'process_resident_memory_bytes'),
      heapBytes: sumOf(found, 'nodejs_heap_size_used_bytes'),
    })
  }
}
