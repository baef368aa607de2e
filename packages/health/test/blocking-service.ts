/** A service that blocks its main loop for as long as it is told to: `blocking-service.ts <maxStallMs>`. */
import { createInterface } from 'node:readline'
import Fastify from 'fastify'
import { health } from '../src/index.ts'
import { portOf } from './app-with-health.ts'

const app = Fastify()
await app.register(health, { livenessWorker: { port: 0, maxStallMs: Number(process.argv[2]) } })
await app.listen({ host: '127.0.0.1', port: 0 })
console.log(JSON.stringify({ main: portOf(app.server), worker: app.health.livenessWorker?.port }))

createInterface({ input: process.stdin }).on('line', (line) => {
  const endMs = performance.now() + Number(line)
  while (performance.now() < endMs);
  console.log(JSON.stringify({ blockedMs: Number(line) }))
})
