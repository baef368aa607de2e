import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { FullError } from './errors.ts'
import { type PoolGuardOptions, resolveOptions } from './options.ts'
import { pass, type Window, windowAt } from './window.ts'

/** What `app.poolGuard` is. */
export interface PoolGuard {
  /** Takes one place in the current window; throws `HOLDFAST_ERR_POOL_GUARD_FULL` when there is none. */
  pass(): void
  /** What is left of the current window. */
  snapshot(): { readonly maxPerWindow: number; readonly windowMs: number; readonly remaining: number }
}

declare module 'fastify' {
  interface FastifyInstance {
    poolGuard: PoolGuard
  }
}

/** The plugin; raises `HOLDFAST_ERR_POOL_GUARD_OPTION` for a wrong option. */
export const poolGuard = fp(
  async (app: FastifyInstance, options: PoolGuardOptions) => {
    const { maxPerWindow, windowMs, clock } = resolveOptions(options)
    let window: Window | undefined
    app.decorate('poolGuard', {
      pass() {
        const decision = pass(window, clock.nowMs(), { maxPerWindow, windowMs })
        window = decision.window
        if (!decision.allowed) throw new FullError(maxPerWindow, Math.ceil(decision.retryAfterMs))
      },
      snapshot() {
        const { passed } = windowAt(window, clock.nowMs(), windowMs)
        return { maxPerWindow, windowMs, remaining: maxPerWindow - passed }
      },
    })
  },
  { fastify: '5.x', name: '@holdfast/pool-guard' },
)
