// An instance of a service that is replaced while it is used, in a process of its own.
// Arguments: its port, the file in which it notes what it executes, how it ends (`lifecycle`, or `naive`, which closes at
// once, as one does without it), and whether its balancer is `passive`: learns from failures alone.

import { appendFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { health } from '@holdfast/health'
import Fastify from 'fastify'
import { Lifecycle, lifecycle } from '../src/index.ts'
import { HOLD, PASSIVE_HOLD, SLOW_MS } from './rolling-terms.ts'

const [port = '', executed = '', way = '', passive = ''] = process.argv.slice(2)
// While closing, what still arrives on open connections is served.
const app = Fastify({ return503OnClosing: false, keepAliveTimeout: 60_000 })
await app.register(health)
if (way === 'lifecycle') {
  const hold = passive === 'passive' ? PASSIVE_HOLD : HOLD
  const life = new Lifecycle({ ...hold, log: logToOutput() })
  await app.register(lifecycle, { lifecycle: life })
} else {
  // Alone, close() waits for connections that are kept for as long as they are.
  process.on('SIGTERM', () => Promise.race([app.close(), sleep(1000)]).then(() => process.exit(0)))
}
app.get('/', async () => 'hello')
app.get('/slow', async () => {
  await sleep(SLOW_MS)
  return 'at last'
})
app.post<{ Body: { id: string } }>('/', async ({ body }) => {
  appendFileSync(executed, `${body.id}\n`)
  await sleep(10)
  return { done: body.id }
})
await app.listen({ port: Number(port), host: '127.0.0.1' })

function logToOutput() {
  const write = (fields: object, message: string) => console.log(JSON.stringify({ message, ...fields }))
  return { info: write, warn: write, error: write, fatal: write }
}
