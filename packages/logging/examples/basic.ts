import { Logs, logging, serverOptions } from '@holdfast/logging'
import Fastify from 'fastify'

const lines: Record<string, unknown>[] = []
const logs = new Logs({ destination: { write: (line) => lines.push(JSON.parse(line)) } })
// The server is made with it, because lines begin before there is a plugin.
const app = Fastify(serverOptions(logs))
await app.register(logging, { logs })

app.post('/orders', async (request) => {
  request.log.info({ order: 7, password: 'hunter2', level: 60 }, 'an order came')
  app.logging.event('SECURITY_EVENT', 'card.refused', { attempts: 3 })
  return 'ok'
})

const headers = { 'x-correlation-id': 'shop-000042' }
const answer = await app.inject({ method: 'POST', url: '/orders?token=abc', headers, payload: {} })
console.log(answer.headers['x-correlation-id'])
for (const { time, request_id, duration_ms, ...told } of lines) console.log(JSON.stringify(told))
await app.close()
