import Fastify, { type FastifyRequest, type FastifyServerOptions } from 'fastify'
import type { Test } from 'tap'
import { Logs, type LogsOptions, logging, serverOptions } from '../src/index.ts'
import { LineReader } from './line-reader.ts'

/** A service whose lines a test reads. */
export async function serviceWith(
  t: Test,
  options: LogsOptions<FastifyRequest> = {},
  server: FastifyServerOptions = {},
) {
  const reader = new LineReader()
  const logs = new Logs<FastifyRequest>({ destination: reader, ...options })
  const app = Fastify({ ...server, ...serverOptions(logs) })
  t.teardown(() => app.close())
  await app.register(logging, { logs })
  return { app, logs, reader }
}

/** The port it listens on. */
export const portOf = ({ server }: { readonly server: { address(): unknown } }) =>
  (server.address() as { readonly port: number }).port
