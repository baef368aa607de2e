import { metrics } from '@holdfast/metrics'
import Fastify from 'fastify'

const app = Fastify()
await app.register(metrics, { token: 'a-token-for-the-collector', version: '1.4.0' })

const placed = app.metrics.counter({
  name: 'bets_placed_total',
  help: 'Bets by what became of them',
  labels: { outcome: ['accepted', 'rejected'] },
})
app.post('/bets/:id', async () => {
  placed.inc({ outcome: 'accepted' })
  return { ok: true }
})

await app.inject({ method: 'POST', url: '/bets/7' })
await app.inject({ url: '/wp-login.php' })
await app.inject({ url: '/.env' })

const nobody = await app.inject({ url: '/metrics' })
console.log(nobody.statusCode)
const headers = { authorization: 'Bearer a-token-for-the-collector' }
const { body } = await app.inject({ url: '/metrics', headers })
console.log(body.match(/^(bets_placed_total|http_requests_total|app_info).*$/gm)?.join('\n'))
await app.close()
