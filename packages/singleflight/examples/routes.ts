import { singleflight } from '@holdfast/singleflight'
import Fastify from 'fastify'

const app = Fastify()
await app.register(singleflight, { hardTimeoutMs: 5_000 })

let runs = 0
app.get<{ Querystring: { market: string } }>(
  '/prices',
  { config: { singleflight: { key: (request) => [(request.query as { market: string }).market] } } },
  async (request) => {
    runs += 1
    await new Promise((resolve) => setTimeout(resolve, 20)) // a slow report
    return { market: request.query.market, price: 42 }
  },
)

const answers = await Promise.all(Array.from({ length: 20 }, () => app.inject('/prices?market=fx')))
console.log(`${answers.length} answers, ${runs} run of the handler`)
await app.close()
