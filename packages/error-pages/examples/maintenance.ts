import { errorPages, MaintenanceError } from '@holdfast/error-pages'
import Fastify from 'fastify'

const app = Fastify()
await app.register(errorPages, { productName: 'Acme' })
app.addHook('onRequest', async () => {
  throw new MaintenanceError({ message: 'We move to a larger database until noon.', retryAfterMs: 90_000 })
})
app.get('/', async () => 'never')

const page = await app.inject({ url: '/', headers: { accept: 'text/html' } })
console.log(page.statusCode, page.headers['retry-after'])
console.log(page.body.match(/<p.*larger.*<\/p>|<p.*wait.*<\/p>/g)?.join('\n'))
await app.close()
