// A start that fails, in a process of its own: before there is an application, or with one that has no log (`silent`).

import Fastify from 'fastify'
import { Lifecycle, lifecycle } from '../src/index.ts'

const life = new Lifecycle()
if (process.argv[2] === 'silent') await Fastify().register(lifecycle, { lifecycle: life })
await life.phase('connect', async () => {
  throw new Error('the database is away')
})
