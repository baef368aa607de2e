import { setTimeout as sleep } from 'node:timers/promises'
import { health } from '@holdfast/health'
import { lifecycle } from '@holdfast/lifecycle'
import Fastify from 'fastify'

const app = Fastify({ return503OnClosing: false })
await app.register(health)
await app.register(lifecycle, { drainMs: 500, minDrainMs: 200, quietMs: 100 }) // for this example; seconds elsewhere

app.lifecycle.onDrain('odds-worker', () => console.log('the worker takes no more jobs'))
app.lifecycle.onClose('queue', async () => {
  await sleep(50)
  console.log('the queue is closed')
})
app.get('/slow', async () => {
  await sleep(300)
  return 'answered'
})
const base = await app.listen({ port: 0, host: '127.0.0.1' })
while (!app.lifecycle.ready) await sleep(5)

const slow = fetch(`${base}/slow`)
while (app.lifecycle.snapshot().inFlight === 0) await sleep(5)
process.kill(process.pid, 'SIGTERM') // what a cluster sends

const ready = await fetch(`${base}/readyz`)
console.log(ready.status, ready.headers.get('connection'))
const answer = await slow
console.log(answer.status, answer.headers.get('connection'), await answer.text())
const { exitCode, held } = await app.lifecycle.ended
console.log(exitCode, held.length)
