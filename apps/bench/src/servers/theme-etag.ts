/**
 * The theme through @fastify/etag with its defaults (SHA-1 of every answer). `object` is what a handler usually
 * returns; `text` gives the peer the best case, in which nothing is left to do but the tag.
 */
import etag from '@fastify/etag'
import fastify from 'fastify'
import { listen } from './listen.ts'
import { addPlainTheme } from './theme-route.ts'

const app = fastify()
await app.register(etag)
addPlainTheme(app, process.argv[2])
await listen(app)
