import { Lifecycle, lifecycle } from '@holdfast/lifecycle'
import Fastify from 'fastify'

const life = new Lifecycle({ drainMs: 0 }) // first of all: signals are heard from here on
life.configured()

const app = await life.phase('connect', async () => {
  const app = Fastify({ return503OnClosing: false })
  await app.register(lifecycle, { lifecycle: life })
  await app.ready()
  return app
})
const cache = await life.phase('warm', async () => new Map([['theme', 'dark']]), { timeoutMs: 2_000 })
await life.listen(
  () => app.listen({ port: 0, host: '127.0.0.1' }),
  (url) => ({ url, themes: cache.size }), // what the line about the start says beside its phases
)

const { state, phases } = life.snapshot()
console.log(state, phases.map(({ phase, outcome }) => `${phase} ${outcome}`).join(', '))
life.cordon('looking at its memory')
console.log(life.state, life.ready)
life.uncordon()
console.log(life.state, life.ready)
await app.close()
console.log(life.state)
