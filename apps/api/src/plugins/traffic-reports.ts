// What `/health/check` tells about limits and operations that are under way.

import { fastifyPlugin } from 'fastify-plugin'

/** Adds the reports `limits` and `operations`; abuse-guard has its own, on `/health/security`. */
export const trafficReports = fastifyPlugin(
  async (app) => {
    app.health.addReport('check', 'limits', () => app.tenantRateLimit.snapshot())
    app.health.addReport('check', 'operations', () => app.concurrencyGuard.snapshot())
  },
  {
    fastify: '5.x',
    name: '@holdfast/api/traffic-reports',
    dependencies: ['@holdfast/health', '@holdfast/tenant-rate-limit', '@holdfast/concurrency-guard'],
  },
)
