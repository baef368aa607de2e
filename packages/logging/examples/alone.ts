import { logging } from '@holdfast/logging'
import Fastify, { LogController } from 'fastify'

const told = ({ msg, correlation_id, status }: Record<string, unknown>) =>
  console.log(msg, correlation_id, status)
const app = Fastify({
  logger: { level: 'info', stream: { write: (line: string) => told(JSON.parse(line)) } },
  // Fastify's own two lines are not needed any more.
  logController: new LogController({ disableRequestLogging: true }),
})
await app.register(logging)
app.get('/', async () => 'ok')

const answer = await app.inject({ url: '/', headers: { 'x-request-id': 'shop-000042' } })
console.log(answer.headers['x-correlation-id'], answer.headers['x-request-id'] === 'shop-000042')
await app.close()
