import { withRetryAfter } from '@holdfast/footing'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { FullError } from './errors.ts'
import { type LoggingOptions, resolveOptions } from './options.ts'
import { pass, type Window, windowAt } from './window.ts'

/** What `app.logging` is. */
export interface Logging {
  /** Takes one place in the current window; throws `HOLDFAST_ERR_LOGGING_FULL` when there is none. */
  pass(): void
  /** What is left of the current window. */
  snapshot(): { readonly maxPerWindow: number; readonly windowMs: number; readonly remaining: number }
}

declare module 'fastify' {
  interface FastifyInstance {
    logging: Logging
  }
}

/** The plugin; raises `HOLDFAST_ERR_LOGGING_OPTION` for a wrong option. */
export const logging = fp(
  async (app: FastifyInstance, options: LoggingOptions) => {
    const { maxPerWindow, windowMs, clock } = resolveOptions(options)
    let window: Window | undefined
    app.decorate('logging', {
      pass() {
        const decision = pass(window, clock.nowMs(), { maxPerWindow, windowMs })
        window = decision.window
        if (decision.allowed) return
        const retryAfterMs = Math.ceil(decision.retryAfterMs)
        throw withRetryAfter(new FullError(maxPerWindow, retryAfterMs), retryAfterMs)
      },
      snapshot() {
        const { passed } = windowAt(window, clock.nowMs(), windowMs)
        return { maxPerWindow, windowMs, remaining: maxPerWindow - passed }
      },
    })
  },
  { fastify: '5.x', name: '@holdfast/logging' },
)
