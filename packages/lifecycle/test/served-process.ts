// A service in a process of its own, for signals of the real kind.
// Arguments: what the start waits for (`slow`: for ever, `fast`), and the longest hold in ms.

import { health } from '@holdfast/health'
import Fastify from 'fastify'
import { errors, Lifecycle, lifecycle } from '../src/index.ts'

const [start, drainMs] = process.argv.slice(2)
const life = new Lifecycle({ drainMs: Number(drainMs) })
life.configured()
const app = Fastify({ logger: true })
await app.register(health)
await app.register(lifecycle, { lifecycle: life })
app.get('/', async () => 'hello')
app.get('/hangs', () => new Promise(() => {}))
app.get('/throws', (_request, reply) => {
  setImmediate(() => {
    throw new Error('nobody catches this')
  })
  return reply.send('it will')
})
try {
  console.log('"starting"')
  await life.phase('warm', () => (start === 'slow' ? new Promise(() => {}) : undefined))
  await app.ready()
  await life.listen(
    () => app.listen({ port: 0, host: '127.0.0.1' }),
    () => ({ port: Object(app.server.address()).port }),
  )
} catch (error) {
  if (!(error instanceof errors.StoppedError)) throw error
}
