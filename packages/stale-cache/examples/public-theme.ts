import { staleCache } from '@holdfast/stale-cache'
import Fastify from 'fastify'

interface Theme {
  readonly color: string
}

/** Stands for a database. */
const database = new Map<string, Theme>([['acme', { color: '#0a6' }]])

const app = Fastify()
await app.register(staleCache)

const themes = app.staleCache.create<Theme>('themes', {
  // One call for many keys; a key that is not answered does not exist.
  load: async (tenants) =>
    tenants.flatMap((key) => {
      const value = database.get(key)
      return value === undefined ? [] : [{ key, value }]
    }),
  fallback: () => ({ color: '#888' }),
  isKey: (tenant) => /^[a-z0-9-]{1,40}$/.test(tenant),
  freshMs: 300_000,
})

// The handler reads memory and can do nothing else: it has only the reader.
const { reader } = themes
app.get<{ Params: { tenant: string } }>('/:tenant/theme', (request, reply) => {
  reply.sendRepresentation(reader.peek(request.params.tenant))
})

await themes.refresh(['acme'])
const known = await app.inject('/acme/theme')
console.log(known.json(), known.headers['cache-control'])

const unknown = await app.inject('/nobody/theme')
console.log(unknown.json(), unknown.headers['cache-control'])
await app.close()
