import { abuseGuard } from '@holdfast/abuse-guard'
import Fastify from 'fastify'

const app = Fastify()
await app.register(abuseGuard, {
  allow: ['private'],
  admin: {
    prefix: '/admin/abuse',
    authorize: (request) => request.headers.authorization === 'Bearer change-me',
  },
})

const headers = { authorization: 'Bearer change-me' }
const blocked = await app.inject({
  method: 'POST',
  url: '/admin/abuse/blocks',
  headers,
  payload: { address: '2001:db8:bad::/48', duration_ms: 3_600_000, reason: 'scraping' },
})
console.log(blocked.statusCode, blocked.json().address, blocked.json().retry_after)

const explained = await app.inject({ url: '/admin/abuse/addresses/2001:db8:bad:1::7', headers })
console.log(explained.json().block.reason)

const refused = await app.inject('/admin/abuse/blocks')
console.log(refused.statusCode)
await app.close()
