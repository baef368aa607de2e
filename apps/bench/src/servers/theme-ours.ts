/** The theme as Holdfast serves it: a synchronous peek, and the precomputed representation for the request. */
import { staleCache } from '@holdfast/stale-cache'
import fastify from 'fastify'
import { type DemoTheme, demoTheme } from '../demo-theme.ts'
import { listen } from './listen.ts'
import { themePath } from './theme-route.ts'

const app = fastify()
await app.register(staleCache)
const themes = app.staleCache.create<DemoTheme>('themes', {
  load: async (tenants) => tenants.map((tenant) => ({ key: tenant, value: demoTheme(tenant), version: 1 })),
  fallback: demoTheme,
  represent: (value) => ({ body: JSON.stringify(value), contentType: 'application/json; charset=utf-8' }),
  freshMs: 3_600_000,
  staleMs: 3_600_000,
})
await themes.refresh(['acme'])
app.get<{ Params: { tenant: string } }>(themePath, (request, reply) => {
  reply.sendRepresentation(themes.peek(request.params.tenant))
})
await listen(app)
