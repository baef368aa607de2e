import { abuseGuard } from '@holdfast/abuse-guard'
import Fastify from 'fastify'

const app = Fastify()
await app.register(abuseGuard)
await app.ready()

for (let event = 1; event <= 60; event += 1) {
  app.abuseGuard.note('user-17', event % 3 === 0 ? 'bot.stop' : 'bot.start')
}
app.abuseGuard.flag('user-4', 'charge back')

for (const { user, reason } of app.abuseGuard.summary().flagged) console.log(`${user}: ${reason}`)
await app.close()
