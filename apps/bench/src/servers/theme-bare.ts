/**
 * The theme without entity tags: `object` is serialised by Fastify for every answer, as most handlers do;
 * `bytes` are ready, which is the floor. Every theme server sends the same Cache-Control.
 */
import fastify from 'fastify'
import { demoTheme } from '../demo-theme.ts'
import { listen } from './listen.ts'
import { themeCacheControl, themePath } from './theme-route.ts'

const app = fastify()
const theme = demoTheme('acme')
if (process.argv[2] === 'bytes') {
  const bytes = Buffer.from(JSON.stringify(theme))
  app.get(themePath, (_request, reply) => {
    reply.header('cache-control', themeCacheControl).type('application/json; charset=utf-8').send(bytes)
  })
} else {
  app.get(themePath, (_request, reply) => {
    reply.header('cache-control', themeCacheControl).send(theme)
  })
}
await listen(app)
