import { health } from '@holdfast/health'
import Fastify from 'fastify'

const app = Fastify()
await app.register(health, {
  management: { port: 0 }, // in a container { port: 9000, host: '0.0.0.0' }; 0 picks a free port
  livenessWorker: { port: 0, maxStallMs: 5_000 }, // a thread that answers while the main loop is blocked
})
await app.listen({ port: 0 })

const address = app.health.management?.server.address()
const managementPort = typeof address === 'object' ? address?.port : undefined
const page = await fetch(`http://127.0.0.1:${managementPort}/health/check`)
console.log('management', page.status)

const liveness = await fetch(`http://127.0.0.1:${app.health.livenessWorker?.port}/livez`)
console.log('liveness', liveness.status)
await app.close()
