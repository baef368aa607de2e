/**
 * A small JSON answer, and what the log says of it: `ours` by @holdfast/logging (one line, two ids in the answer),
 * `pino` by Fastify's own two lines, `bare` without. With `-file` the lines go to a file, else to nobody.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Logs, logging, serverOptions } from '@holdfast/logging'
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import { pino } from 'pino'
import { benchDirectory } from '../harness/child.ts'
import { listen } from './listen.ts'

const kind = process.argv[2] ?? 'bare'
const directory = join(benchDirectory, '.data', 'log')
const nobody = { write() {} }

const app = await serverOf()
app.get('/', async () => ({ hello: 'world' }))
await listen(app)

async function serverOf(): Promise<FastifyInstance> {
  if (kind === 'bare') return fastify()
  const isFile = kind.endsWith('-file')
  if (kind.startsWith('pino')) {
    mkdirSync(directory, { recursive: true })
    const file = () => pino.destination({ dest: join(directory, 'pino.log'), append: false, sync: false })
    return fastify({ logger: { level: 'info', stream: isFile ? file() : nobody } })
  }
  const logs = new Logs<FastifyRequest>({ destination: nobody, ...(isFile && { files: { directory } }) })
  const server = fastify(serverOptions(logs))
  await server.register(logging, { logs })
  return server
}
