// How long named operations take, for `/health/metrics`: what is loaded into the caches, and what is timed in the log.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { fastifyPlugin } from 'fastify-plugin'

const LOADS = 'holdfast:stale-cache:load'
const EVENTS = 'holdfast:logging:event'

/** Channels are those of the process: services that share one see each other's operations. */
export const operationTimes = fastifyPlugin(
  async (app) => {
    const loaded = (message: unknown): void => {
      const { cache, durationMs } = message as { readonly cache: string; readonly durationMs: number }
      app.metrics.recordTime(`load ${cache}`, durationMs)
    }
    const told = (message: unknown): void => {
      const { type, event, line } = message as {
        readonly type: string
        readonly event: string
        readonly line: { readonly duration_ms?: unknown }
      }
      if (type === 'PERFORMANCE_EVENT' && typeof line.duration_ms === 'number') {
        app.metrics.recordTime(event, line.duration_ms)
      }
    }
    subscribe(LOADS, loaded)
    subscribe(EVENTS, told)
    app.addHook('onClose', async () => {
      unsubscribe(LOADS, loaded)
      unsubscribe(EVENTS, told)
    })
  },
  { fastify: '5.x', name: '@holdfast/api/operation-times', dependencies: ['@holdfast/metrics'] },
)
