import { subscribe } from 'node:diagnostics_channel'
import { type FeatureEvent, health } from '@holdfast/health'
import Fastify from 'fastify'

const app = Fastify()
await app.register(health)
subscribe('holdfast:health:feature', (message) => {
  const { feature, state, reason } = message as FeatureEvent
  console.log(`${feature} ${state}: ${reason}`)
})
await app.ready()

app.health.degrade('theme', 'served from the last snapshot')
console.log((await app.inject('/readyz')).json().status)
app.health.recover('theme')
console.log((await app.inject('/readyz')).json().status)
await app.close()
