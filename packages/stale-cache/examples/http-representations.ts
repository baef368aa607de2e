import { staleCache } from '@holdfast/stale-cache'
import Fastify from 'fastify'

const app = Fastify()
await app.register(staleCache, { policy: { maxAgeMs: 60_000, sourceHeader: 'x-cache' } })

const themes = app.staleCache.create('themes', {
  load: async (tenants) =>
    tenants.map((key) => ({ key, value: { tenant: key, colours: Array(50).fill('#0a7') } })),
  fallback: () => ({ tenant: '', colours: ['#333'] }),
  freshMs: 60_000,
})
await themes.refresh(['acme'])

app.get<{ Params: { tenant: string } }>('/:tenant/theme', (request, reply) => {
  reply.sendRepresentation(themes.peek(request.params.tenant))
})

const url = await app.listen({ host: '127.0.0.1', port: 0 })
async function show(path: string, headers: Record<string, string> = {}) {
  const answer = await fetch(url + path, { headers })
  const told = ['content-encoding', 'vary', 'cache-control', 'x-cache'].map((name) =>
    answer.headers.get(name),
  )
  console.log(answer.status, ...told)
  return answer.headers.get('etag') ?? ''
}
const etag = await show('/acme/theme', { 'accept-encoding': 'identity' })
await show('/acme/theme', { 'accept-encoding': 'identity', 'if-none-match': `"older", W/${etag}` })
await show('/unknown/theme')
await app.close()
