// The service inside the test's process, whose databases are away: for what needs none.

import type { Logs } from '@holdfast/logging'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Test } from 'tap'
import { buildApp } from '../src/app.ts'
import { loadConfig } from '../src/config.ts'
import { createLogs } from '../src/logger.ts'
import { Secret } from '../src/secret.ts'

/** What there is besides the settings of the environment. */
export interface LoneAppOptions {
  /** Default a PostgreSQL at which nobody listens. */
  readonly databaseUrl?: string
  /** Default: silent ones. */
  readonly logs?: Logs<FastifyRequest>
}

/** Builds it, not listening; it closes with the test. */
export async function loneApp(
  t: Pick<Test, 'teardown'>,
  environment: Readonly<Record<string, string>> = {},
  { databaseUrl = 'postgres://nobody@127.0.0.1:1/nothing', logs }: LoneAppOptions = {},
): Promise<FastifyInstance> {
  const { config } = loadConfig({ LOG_LEVEL: 'silent', API_WORKERS: '1', ...environment })
  const { fastify } = await buildApp({
    config,
    logs: logs ?? createLogs(config, false),
    dataDirectory: undefined,
    databaseUrl: new Secret(databaseUrl),
  })
  t.teardown(() => fastify.close())
  return fastify
}
