// GET, PUT and DELETE /admin/limits: the limits while the service runs, for operators.

import { systemClock } from '@holdfast/footing'
import type { FastifyRequest } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import { addressQuota } from '../../address-quota.ts'
import { requireOperator } from '../../bearer.ts'
import { ApiLimitsInvalidError } from '../../errors.ts'
import { type LimitChange, type Limits, policySet } from '../../limits.ts'
import { readChange } from '../../settings/limit-setting.ts'
import { ChangeStore } from './change-store.ts'
import { LimitChanges } from './limit-changes.ts'
import { LIMIT_SCHEMAS } from './limit-operations.ts'

/** What the routes need. */
export interface OperatorLimitsOptions {
  /** The limits of the settings. */
  readonly settings: Limits
  /** Who may look at limits, and change them. */
  readonly authorize: (request: FastifyRequest) => boolean
}

declare module 'fastify' {
  interface FastifyInstance {
    /** What stands in place of the settings at present; null: nothing does. */
    changeOfLimits(): LimitChange | null
  }
}

const MAX_BODY_BYTES = 262_144
/** The routes, and the limits that other processes were told of. */
export const operatorLimits = fastifyPlugin<OperatorLimitsOptions>(
  async (app, { settings, authorize }) => {
    const redis = app.trafficRedis
    const changes = new LimitChanges({
      settings,
      store: redis === null ? undefined : new ChangeStore(redis),
      check: (limits) => {
        addressQuota(limits.limits.ip)
        app.tenantRateLimit.check(policySet(limits))
      },
      keep: (limits) => {
        addressQuota(limits.limits.ip)
        app.tenantRateLimit.update(policySet(limits))
        app.addressLimit.set(limits.limits.ip)
      },
      log: app.log,
      clock: systemClock,
    })
    app.decorate('changeOfLimits', () => changes.inForce.change)
    app.addHook('onReady', () => changes.start())
    app.addHook('onClose', async () => changes.close())

    const answer = () => {
      const { limits, overrides, change, changedAtMs } = changes.inForce
      return {
        limits,
        overrides,
        change,
        changed_at: changedAtMs === undefined ? null : new Date(changedAtMs).toISOString(),
        shared: redis !== null,
      }
    }
    const guarded = {
      // After who asks is known, and before what he has sent is read.
      onRequest: requireOperator(authorize),
      config: { access: 'guarded' as const },
      bodyLimit: MAX_BODY_BYTES,
    }
    app.get('/admin/limits', { ...guarded, schema: LIMIT_SCHEMAS.look }, async (_request, reply) => {
      reply.header('cache-control', 'no-store')
      return answer()
    })
    app.put('/admin/limits', { ...guarded, schema: LIMIT_SCHEMAS.change }, async ({ body }, reply) => {
      const parsed = readChange(body)
      if ('wrong' in parsed) throw new ApiLimitsInvalidError(`the body ${parsed.wrong}. ${parsed.fix}`)
      await changes.replace(parsed.value)
      app.logging.event('SECURITY_EVENT', 'limits.changed', { change: parsed.value })
      reply.header('cache-control', 'no-store')
      return answer()
    })
    app.delete('/admin/limits', { ...guarded, schema: LIMIT_SCHEMAS.reset }, async (_request, reply) => {
      await changes.replace(null)
      app.logging.event('SECURITY_EVENT', 'limits.reset')
      reply.header('cache-control', 'no-store')
      return answer()
    })
  },
  {
    fastify: '5.x',
    name: '@holdfast/api/operator-limits',
    dependencies: ['@holdfast/tenant-rate-limit', '@holdfast/abuse-guard', '@holdfast/api/address-limit'],
  },
)
