import { abuseGuard } from '@holdfast/abuse-guard'
import Fastify from 'fastify'

// The addresses of your proxies; without a proxy leave it out.
const app = Fastify({ trustProxy: ['127.0.0.1'] })
await app.register(abuseGuard, { maxPerMinute: 100, blockMs: 900_000 })
app.get('/', async () => 'hello')

const from = (address: string) => app.inject({ url: '/', headers: { 'x-forwarded-for': address } })

for (let request = 1; request <= 150; request += 1) await from('203.0.113.9')
const answer = await from('203.0.113.9')
console.log(answer.statusCode, answer.json().error)
console.log((await from('203.0.113.10')).statusCode)

const [block] = app.abuseGuard.list()
console.log(block?.address, block?.reason, block?.refused)

await app.abuseGuard.unblock('203.0.113.9')
console.log((await from('203.0.113.9')).statusCode)
await app.close()
