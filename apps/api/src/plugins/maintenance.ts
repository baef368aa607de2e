// What is closed for maintenance, and for whom: `app.maintenance`, and the routes of operators and of everybody for it.

import { resolve } from 'node:path'
import { type MaintenanceJournal, maintenance, type RuleInput } from '@holdfast/maintenance'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Registry } from 'prom-client'
import { type Config, callerDirectory, processesOf } from '../config.ts'
import { derivedKey } from '../routes/auth/derived-key.ts'
import type { Secret } from '../secret.ts'

/** What it is made of. */
export interface MaintenanceParts {
  readonly config: Config
  readonly secrets: readonly Secret[]
  readonly journal: MaintenanceJournal
  /** Whose request it is. */
  readonly tenant: (request: FastifyRequest) => string | undefined
  readonly authorize: (request: FastifyRequest) => boolean
  readonly registry?: Registry
}

/** What `enable` without more means: of the bots, nothing but looking at them, for all but administrators. */
const USUAL: RuleInput = {
  id: 'maintenance',
  scope: { group: 'bots' },
  mode: 'read-only',
  message: 'Bots can only be looked at during maintenance. What they did is safe.',
}
/** How long the start waits for Redis and the database to say what is in force. */
const STARTUP_WAIT_MS = 1000

/** Register it before what costs something, and before the routes that it is to close. */
export async function registerMaintenance(
  app: FastifyInstance,
  { config, secrets, journal, tenant, authorize, registry }: MaintenanceParts,
): Promise<void> {
  const { maintenanceModeDefault, broadcastBanner, maintenanceForce, maintenanceFile, sessionSecure } = config
  await app.register(maintenance, {
    ...(app.hasDecorator('redisGuard') && { redis: app.redisGuard }),
    journal,
    processes: processesOf(config),
    initial: {
      rules: maintenanceModeDefault ? [USUAL] : [],
      ...(broadcastBanner !== undefined && { banner: { message: broadcastBanner } }),
    },
    force: maintenanceForce,
    file: maintenanceFile === undefined ? undefined : resolve(callerDirectory(), maintenanceFile),
    rule: USUAL,
    groups: { bots: ['/api/bot', '/api/bots', '/api/trades'], auth: ['/auth'], themes: ['/:tenant/api'] },
    // Whoever closes the service has to be able to sign in, and operators see what they do.
    open: [
      '/auth/login',
      '/auth/refresh',
      '/auth/logout',
      '/auth/me',
      '/auth/sessions',
      '/admin',
      '/health',
      '/metrics',
    ],
    tenant,
    roles: ({ principal }) => (principal === null ? [] : [principal.role]),
    bypass: {
      keys: secrets.map((secret) => derivedKey(secret, 'maintenance-bypass').toString('base64url')),
      secure: sessionSecure,
    },
    page: app.errorPages.pageFor,
    admin: { authorize, actor: ({ principal }) => principal?.id ?? 'operator token' },
    startupWaitMs: STARTUP_WAIT_MS,
    registry,
  })
}
