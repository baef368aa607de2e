import { setTimeout as sleep } from 'node:timers/promises'
import { concurrencyGuard } from '@holdfast/concurrency-guard'
import Fastify from 'fastify'

const app = Fastify()
await app.register(concurrencyGuard)

// Everything that must not run beside each other has the same key.
const config = {
  concurrencyGuard: { key: (request: { headers: object }) => ['bot', userOf(request)] as const },
}
app.post('/bot/start', { config }, async () => {
  await sleep(50)
  return { success: true }
})

const start = (user: string) => app.inject({ method: 'POST', url: '/bot/start', headers: { 'x-user': user } })
const answers = await Promise.all([start('ann'), start('ann'), start('ben')])
for (const answer of answers) console.log(answer.statusCode, answer.headers['retry-after'], answer.body)
console.log(app.concurrencyGuard.snapshot().refused['held-here'])
await app.close()

function userOf({ headers }: { readonly headers: { 'x-user'?: string } }): string {
  return headers['x-user'] ?? 'nobody'
}
