/**
 * The theme through @fastify/etag with its defaults (SHA-1 of every answer). `object` is what a handler usually
 * returns; `bytes` gives the peer the best case, in which nothing is left to do but the tag.
 */
import etag from '@fastify/etag'
import fastify from 'fastify'
import { demoTheme } from '../demo-theme.ts'
import { listen } from './listen.ts'
import { themeCacheControl, themePath } from './theme-route.ts'

const app = fastify()
await app.register(etag)
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
