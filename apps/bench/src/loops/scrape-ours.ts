/** The scrape of app.metrics, which lets go of the event loop every 5 ms. */
import { metrics } from '@holdfast/metrics'
import fastify from 'fastify'
import type { CreateLoop } from '../harness/row.ts'
import { BUCKETS, CHILDREN, scrapeLoop } from './scrape.ts'

const createLoop: CreateLoop = async () => {
  const app = fastify()
  await app.register(metrics, { runtime: false })
  const histogram = app.metrics.histogram({
    name: 'scraped_seconds',
    help: 'Scraped',
    labels: { method: ['GET'], route: { max: 1000 }, status: { max: 20 } },
    maxSeries: 10_000,
    buckets: BUCKETS,
  })
  for (let at = 0; at < CHILDREN; at += 1) {
    const labels = {
      method: 'GET',
      route: `/api/things/${at % 1000}/:id`,
      status: String(200 + Math.floor(at / 1000)),
    } as const
    histogram.observe(labels, (at % 100) / 10)
  }
  return scrapeLoop(() => app.metrics.scrape())
}
export default createLoop
