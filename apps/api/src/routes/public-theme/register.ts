// The feature in one place: the cache, what fills it, how it is watched, and the route, which is given the reader
// of the cache and nothing else.

import { AsyncLocalStorage } from 'node:async_hooks'
import { systemClock } from '@holdfast/singleflight'
import type { SharedRedis } from '@holdfast/stale-cache'
import type { FastifyInstance } from 'fastify'
import type { Kysely } from 'kysely'
import type { Database } from '../../db/database.ts'
import { publicTheme } from './route.ts'
import { ThemeCache } from './theme-cache.ts'
import { ThemeIndex } from './theme-index.ts'
import { ThemeRefresher, type ThemeTurn } from './theme-refresher.ts'
import { ThemeRepository } from './theme-repository.ts'
import { themeTurnLog } from './theme-turn-log.ts'

const MAX_THEMES = 10_000
const MAX_BATCH = 500
const CHECK_INTERVAL_MS = 2000

declare module 'fastify' {
  interface FastifyInstance {
    /** Whether there is a tenant of this name, and he has a theme; asks memory alone. */
    hasTheme(tenant: string): boolean
  }
}

/** What the feature needs. */
export interface PublicThemeSettings {
  readonly db: Kysely<Database>
  /** Resolves once the database can be used; called at the start of every turn. */
  readonly prepare: () => Promise<void>
  /** Milliseconds between two looks into the database. */
  readonly intervalMs: number
  /** Most memory that all themes may take. */
  readonly maxBytes: number
  /** The last-known-good file; undefined: none is kept. */
  readonly snapshotFile: string | undefined
}

/**
 * Registers the feature. What it answers, wrapped so that nobody waits for it here, is how the first look into the
 * database ended: it resolves some time after `app.ready()`.
 */
export async function registerPublicTheme(
  app: FastifyInstance,
  { db, prepare, intervalMs, maxBytes, snapshotFile }: PublicThemeSettings,
): Promise<{ readonly firstTurn: Promise<ThemeTurn> }> {
  const repository = new ThemeRepository(db)
  const redis = app.hasDecorator('redisGuard') ? app.getDecorator<SharedRedis>('redisGuard') : undefined
  const themes = new ThemeCache({
    caches: app.staleCache,
    load: (slugs) => repository.themesOf(slugs),
    onUnusable: (tenant, problems) =>
      app.log.warn({ tenant, problems }, 'theme cannot be served, the last good one stays'),
    onEvicted: (evicted) =>
      app.log.warn({ evicted }, 'THEME_CACHE_MAX_BYTES is too small, themes that left are the default now'),
    maxThemes: MAX_THEMES,
    maxBytes,
    maxBatch: MAX_BATCH,
    snapshotFile,
    redis,
  })
  const index = new ThemeIndex({
    caches: app.staleCache,
    queries: repository,
    redis,
    maxThemes: MAX_THEMES,
    intervalMs,
    onChange: () => refresher.wake(),
  })
  const refresher: ThemeRefresher = new ThemeRefresher({
    source: index,
    target: themes,
    clock: systemClock,
    random: Math.random,
    intervalMs,
    maxThemes: MAX_THEMES,
    maxBatch: MAX_BATCH,
    prepare,
    onTurn: themeTurnLog(app.log),
  })
  app.health.addCheck('themes', {
    check: () => refresher.health(),
    intervalMs: CHECK_INTERVAL_MS,
    severity: 'informative',
  })
  app.decorate('hasTheme', (tenant: string) => themes.has(tenant))
  await app.register(publicTheme, { themes: themes.reader })

  const { promise: firstTurn, resolve } = Promise.withResolvers<ThemeTurn>()
  // Hooks run in a context of their own; the refresher's questions belong to whoever registers it.
  const inScopeOfRegistration = AsyncLocalStorage.snapshot()
  app.addHook('onReady', async () => {
    await themes.ready
    // Not awaited: the service starts whatever state its database is in.
    void inScopeOfRegistration(() => refresher.start()).then(resolve)
  })
  app.addHook('onClose', () => refresher.stop())
  return { firstTurn }
}
