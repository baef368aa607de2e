import { request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { health } from '@holdfast/health'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import type { Test } from 'tap'
import { type LifecyclePluginOptions, lifecycle } from '../src/index.ts'
import { FakeProcess, KeptLog } from './fake-process.ts'

/** Served parts of a test. */
export interface Served {
  readonly app: FastifyInstance
  readonly process: FakeProcess
  readonly log: KeptLog
  /** Ends the requests to `/gate`. */
  readonly gate: PromiseWithResolvers<string>
}

/** An application that is served on a port, with health and a lifecycle whose process is the test's. */
export async function servedApp(
  t: Test,
  options: LifecyclePluginOptions = {},
  { listens = true, server = {} }: { listens?: boolean; server?: object } = {},
): Promise<Served> {
  const app = Fastify(server as FastifyServerOptions) as unknown as FastifyInstance
  const process = new FakeProcess()
  const log = new KeptLog()
  const gate = Promise.withResolvers<string>()
  t.teardown(() => {
    gate.resolve('')
    return app.close()
  })
  await app.register(health)
  await app.register(lifecycle, { process, log, ...options })
  app.get('/', async () => 'hello')
  app.get('/gate', () => gate.promise)
  if (listens) await app.listen({ port: 0, host: '127.0.0.1' })
  return { app, process, log, gate }
}

/** The port it listens on. */
export function portOf({ app }: Served): number {
  return (app.server.address() as AddressInfo).port
}

/** Status and `Connection` of an answer on a connection of its own. */
export function answerOf(
  port: number,
  path: string,
  method = 'GET',
): Promise<{ status: number; connection: string | undefined }> {
  return new Promise((resolve, reject) => {
    const asked = request({ port, path, method, host: '127.0.0.1', agent: false }, (answer) => {
      answer.resume()
      answer.on('end', () =>
        resolve({ status: answer.statusCode ?? 0, connection: answer.headers.connection }),
      )
    })
    asked.on('error', reject).end()
  })
}
