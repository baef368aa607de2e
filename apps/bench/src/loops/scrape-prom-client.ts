/** The scrape of prom-client's registry. */
import { Histogram, Registry } from 'prom-client'
import type { CreateLoop } from '../harness/row.ts'
import { BUCKETS, CHILDREN, scrapeLoop } from './scrape.ts'

const createLoop: CreateLoop = async () => {
  const registry = new Registry()
  const histogram = new Histogram({
    name: 'scraped_seconds',
    help: 'Scraped',
    labelNames: ['method', 'route', 'status'] as const,
    buckets: [...BUCKETS],
    registers: [registry],
  })
  for (let at = 0; at < CHILDREN; at += 1) {
    const labels = {
      method: 'GET',
      route: `/api/things/${at % 1000}/:id`,
      status: 200 + Math.floor(at / 1000),
    }
    histogram.observe(labels, (at % 100) / 10)
  }
  return scrapeLoop(() => registry.metrics())
}
export default createLoop
