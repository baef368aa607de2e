import { DatabaseError, ErrorPages, errorPages } from '@holdfast/error-pages'
import Fastify from 'fastify'

const pages = new ErrorPages({ productName: 'Acme', supportUrl: 'mailto:help@acme.example' })
// The server is made with it, because some requests never reach a plugin.
const app = Fastify({ ...pages.serverOptions, genReqId: () => '7f3a-0042' })
await app.register(errorPages, { pages })

app.get('/broken', async () => {
  throw new Error('password authentication failed for user "acme" on 10.0.0.7')
})
app.post('/orders', async () => {
  throw new DatabaseError({ cause: new Error('deadlock detected'), rolledBack: true, retryAfterMs: 2000 })
})
app.errorPages.answerOtherMethods()

for (const [method, url] of [
  ['GET', '/broken'],
  ['POST', '/orders'],
  ['GET', '/nowhere'],
] as const) {
  const answer = await app.inject({ method, url })
  console.log(answer.statusCode, answer.headers['retry-after'] ?? '-', answer.json().detail)
}
const wrong = await app.inject({ method: 'PUT', url: '/orders' })
console.log(wrong.statusCode, wrong.headers.allow, wrong.json().correlation_id)

const page = await app.inject({ url: '/broken', headers: { accept: 'text/html,*/*;q=0.8' } })
console.log(page.headers['content-type'], /<h1.*h1>/.exec(page.body)?.[0])
await app.close()
