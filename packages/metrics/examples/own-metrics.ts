import { metrics } from '@holdfast/metrics'
import Fastify from 'fastify'

const app = Fastify()
await app.register(metrics, { runtime: false })

const settled = app.metrics.histogram({
  name: 'settlement_seconds',
  help: 'Time that it took to settle an event',
  labels: { sport: { max: 30, reserved: ['football', 'tennis'] } },
  buckets: [1, 10],
})
settled.observe({ sport: 'football' }, 0.4)

const queue: string[] = ['one', 'two']
const depth = app.metrics.gauge({
  name: 'settlement_queue_depth',
  help: 'Events that wait to be settled',
  collect: () => {
    depth.set(queue.length)
  },
})

const odds = app.metrics.counter({
  name: 'odds_read_total',
  help: 'Odds by feed',
  labels: { feed: ['a', 'b'] },
})
// Looked up once, counted in often.
const ofFeed = odds.child({ feed: 'a' })
for (let at = 0; at < 1000; at += 1) ofFeed.inc()

const text = await app.metrics.scrape()
console.log(text.match(/^(settlement|odds).*$/gm)?.join('\n'))
await app.close()
