/** The theme without entity tags, as an `object` or as a ready `text`. The latter is the floor. */
import fastify from 'fastify'
import { listen } from './listen.ts'
import { addPlainTheme } from './theme-route.ts'

const app = fastify()
addPlainTheme(app, process.argv[2])
await listen(app)
