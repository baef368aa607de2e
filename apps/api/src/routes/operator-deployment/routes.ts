// GET /admin/deployment: what the command `check` says, of the instance that answers.

import { systemClock } from '@holdfast/footing'
import { checkDeployment, type DeploymentReport, reportBody } from '@holdfast/lifecycle'
import type { FastifyRequest } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import { requireOperator } from '../../bearer.ts'
import { allChecks, type Deployment } from '../../deployment/deployment-checks.ts'
import { DEPLOYMENT_SCHEMA } from './deployment-operation.ts'

/** What the route needs. */
export interface OperatorDeploymentOptions {
  /** As it is now. */
  readonly deployment: () => Deployment
  /** Who may look. */
  readonly authorize: (request: FastifyRequest) => boolean
}

const CHECK_TIMEOUT_MS = 2000
/** For which a report is good enough for the next one who asks. */
const REPORT_MS = 5000
/** Its own: what it asks costs more than an answer. */
const OWN_ADDRESS_LIMIT = '10/minute'

/** The route. */
export const operatorDeployment = fastifyPlugin<OperatorDeploymentOptions>(
  async (app, { deployment, authorize }) => {
    let last: Promise<DeploymentReport> | undefined
    let goodUntilMs = 0
    /** Who comes while one runs, or soon after, gets its answer: however many ask, one looks. */
    const look = (): Promise<DeploymentReport> => {
      if (last !== undefined && systemClock.nowMs() < goodUntilMs) return last
      goodUntilMs = Number.POSITIVE_INFINITY
      last = checkDeployment(
        allChecks(deployment(), {
          pool: app.poolGuard,
          ask: async (path) => (await app.inject(path)).statusCode,
          clock: systemClock,
        }),
        { clock: systemClock, timeoutMs: CHECK_TIMEOUT_MS },
      ).finally(() => {
        goodUntilMs = systemClock.nowMs() + REPORT_MS
      })
      return last
    }
    app.get(
      '/admin/deployment',
      {
        // After who asks is known, and before what he has sent is read.
        onRequest: requireOperator(authorize),
        config: {
          access: 'guarded' as const,
          addressLimit: OWN_ADDRESS_LIMIT,
        },
        schema: DEPLOYMENT_SCHEMA,
      },
      async (_request, reply) => {
        reply.header('cache-control', 'no-store')
        return reportBody(await look())
      },
    )
  },
  { fastify: '5.x', name: '@holdfast/api/operator-deployment', dependencies: ['@holdfast/pool-guard'] },
)
