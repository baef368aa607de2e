import { checkPreconditions, createRepresentation, staleCache } from '@holdfast/stale-cache'
import Fastify from 'fastify'

const app = Fastify()
await app.register(staleCache)

const contentType = 'text/plain; charset=utf-8'
let note = await createRepresentation({ body: 'first draft', contentType })

app.get('/note', (_request, reply) => reply.sendRepresentation(note))
app.put<{ Body: string }>('/note', async (request, reply) => {
  const next = await createRepresentation({ body: request.body, contentType })
  // Somebody else may have written since this client read. Nothing may be awaited between check and write.
  if (checkPreconditions(request, note) === 'precondition-failed') return reply.code(412).send()
  note = next
  return reply.code(204).send()
})

const url = `${await app.listen({ host: '127.0.0.1', port: 0 })}/note`
const etag = (await fetch(url)).headers.get('etag') ?? ''
for (const body of ['second draft', 'a change made without reading the second draft']) {
  const headers = { 'content-type': 'text/plain', 'if-match': etag }
  const { status } = await fetch(url, { method: 'PUT', headers, body })
  console.log(status)
}
console.log(await (await fetch(url)).text())
await app.close()
