// The document as it stands in openapi.yaml: that of all routes, whatever a service has switched off.

import { buildApp } from '../app.ts'
import { loadConfig } from '../config.ts'
import { createLogs } from '../logger.ts'
import { Secret } from '../secret.ts'

const SETTINGS = {
  LOG_LEVEL: 'silent',
  API_WORKERS: '1',
  ENABLE_DOCS: 'true',
  ENABLE_METRICS: 'true',
  METRICS_TOKEN: 'nobody-asks-this-service-for-anything',
}

/** YAML. Builds the service without listening, and asks no database. */
export async function documentText(): Promise<string> {
  const { config } = loadConfig(SETTINGS)
  const { fastify } = await buildApp({
    config,
    logs: createLogs(config, false),
    dataDirectory: undefined,
    // Nobody listens there.
    databaseUrl: new Secret('postgres://nobody@127.0.0.1:1/nothing'),
  })
  try {
    await fastify.ready()
    return fastify.swagger({ yaml: true })
  } finally {
    await fastify.close()
  }
}
