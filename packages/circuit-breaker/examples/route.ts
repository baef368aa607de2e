import { setTimeout as sleep } from 'node:timers/promises'
import { circuitBreaker } from '@holdfast/circuit-breaker'
import Fastify, { type FastifyRequest } from 'fastify'

const app = Fastify()
await app.register(circuitBreaker)
app.circuitBreaker.create('vendor', { failureThreshold: 2, openMs: 30_000 })

// The vendor hangs. What is asked of it with this signal ends with the request.
const quote = (request: FastifyRequest) =>
  sleep(60_000, { price: 42 }, { signal: request.circuitBreaker?.signal })
const guarded = { name: 'vendor', timeoutMs: 50 }
const lastQuote = () => ({ price: 41 })

app.get('/quote', { config: { circuitBreaker: guarded } }, quote)
app.get('/last-quote', { config: { circuitBreaker: { ...guarded, fallback: lastQuote } } }, quote)

const base = await app.listen({ host: '127.0.0.1', port: 0 })
for (const path of ['/quote', '/last-quote', '/quote', '/last-quote']) {
  const answer = await fetch(base + path)
  const body = (await answer.json()) as { code?: string; price?: number }
  console.log(path, answer.status, answer.headers.get('retry-after'), body.code ?? body.price)
}
console.log(app.circuitBreaker.routes.snapshot())
await app.close()
