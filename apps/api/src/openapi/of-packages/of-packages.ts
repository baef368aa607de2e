// The routes that packages bring, which know nothing of this document. What is written here is for readers alone: it
// validates nothing and is compiled into nothing. A test holds it to the routes, and to their answers.

import type { FastifySchema } from 'fastify'
import { abuseOperations } from './abuse-operations.ts'
import { healthOperations } from './health-operations.ts'
import { maintenanceOperations } from './maintenance-operations.ts'
import { metricsAndLogOperations } from './metrics-and-log-operations.ts'

/** By `METHOD /path`. */
export const ofPackages: Readonly<Record<string, FastifySchema>> = {
  ...healthOperations,
  ...metricsAndLogOperations,
  ...abuseOperations,
  ...maintenanceOperations,
}
