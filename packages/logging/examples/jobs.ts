import { Logs, logging, serverOptions } from '@holdfast/logging'
import Fastify from 'fastify'

const told = ({ msg, correlation_id, tenant, job, duration_ms, slow }: Record<string, unknown>) =>
  console.log(msg, correlation_id, tenant, job ?? '-', typeof duration_ms, slow ?? '-')
const logs = new Logs({ destination: { write: (line) => told(JSON.parse(line)) } })
const app = Fastify(serverOptions(logs))
await app.register(logging, { logs })

// In the request: what the job needs goes into its payload.
const queue: string[] = []
app.post('/bets', async () => {
  queue.push(JSON.stringify({ ...app.logging.carrier(), tenant: 'acme', job: 'settle' }))
  return 'ok'
})
await app.inject({ method: 'POST', url: '/bets', headers: { 'x-correlation-id': 'shop-000042' } })

// In the worker: its lines carry the id of the request, and so does what it asks of others.
await app.logging.run(JSON.parse(queue[0] ?? ''), async () => {
  app.log.info('a bet is settled')
  await app.logging.timed('pay-out', async () => 'paid', { slowMs: 60_000 })
  console.log(app.logging.outgoing())
})
await app.close()
