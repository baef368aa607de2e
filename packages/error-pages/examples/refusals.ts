import { errorPages } from '@holdfast/error-pages'
import Fastify from 'fastify'

const app = Fastify({ genReqId: () => '7f3a-0042' })
await app.register(errorPages, { productName: 'Acme' })
app.addHook('onRequest', async (request, reply) => {
  const refused = { statusCode: 429, retryAfterSeconds: 12 }
  const shown = app.errorPages.pageFor(request, refused)
  if (shown !== undefined) return reply.code(429).headers(shown.headers).send(shown.body)
  return reply.code(429).send({ retry_after: 12 })
})

for (const accept of ['text/html', 'application/json']) {
  const { headers, body } = await app.inject({ url: '/', headers: { accept } })
  console.log(
    headers['content-type'],
    headers['x-correlation-id'] ?? '-',
    /data-seconds="12"|{.*}$/.exec(body)?.[0],
  )
}
await app.close()
