// What the service is for, as a list: each slice with its routes, and what it is given. What surrounds them is in `app.ts`.

import { join } from 'node:path'
import { withRetryAfter } from '@holdfast/footing'
import { runInScope } from '@holdfast/pool-guard'
import type { FastifyInstance } from 'fastify'
import type { Kysely } from 'kysely'
import type { Registry } from 'prom-client'
import type { Config } from './config.ts'
import type { Database } from './db/database.ts'
import { ApiDatabasePressedError } from './errors.ts'
import type { FirstLook } from './first-look.ts'
import type { Once } from './once.ts'
import { type AuthOptions, auth } from './routes/auth/routes.ts'
import { balancePages } from './routes/balance/balance-pages.ts'
import { BalanceRepository } from './routes/balance/balance-repository.ts'
import { balance } from './routes/balance/routes.ts'
import { betMetrics } from './routes/bets/bet-metrics.ts'
import { betPages } from './routes/bets/bet-pages.ts'
import { BetRepository } from './routes/bets/bet-repository.ts'
import { bets } from './routes/bets/routes.ts'
import { botLists } from './routes/bots/bot-lists.ts'
import { botMetrics } from './routes/bots/bot-metrics.ts'
import { BotRepository } from './routes/bots/bot-repository.ts'
import { botStatusPages } from './routes/bots/bot-status.ts'
import { NewBotRepository } from './routes/bots/new-bot-repository.ts'
import { bots } from './routes/bots/routes.ts'
import { registerPublicTheme } from './routes/public-theme/register.ts'
import { sports } from './routes/sports/routes.ts'
import { sportPages } from './routes/sports/sport-pages.ts'
import { SportRepository } from './routes/sports/sport-repository.ts'
import { strategies } from './routes/strategies/routes.ts'
import { historyPages } from './routes/theme-history/history-pages.ts'
import { themeHistory } from './routes/theme-history/routes.ts'
import { ThemeHistoryRepository } from './routes/theme-history/theme-history-repository.ts'
import { trades } from './routes/trades/routes.ts'
import { TradeRepository } from './routes/trades/trade-repository.ts'

const PAUSE_MS = 1000

/** What slices are made of. */
export interface SliceParts {
  readonly config: Config
  readonly db: Kysely<Database>
  /** Undefined: nothing is counted. */
  readonly registry: Registry | undefined
  /** An existing directory for the last-known-good themes; undefined: they are not kept. */
  readonly dataDirectory: string | undefined
  /** Resolves once the database can be used. */
  readonly preparation: Once<void>
  readonly signIn: AuthOptions
}

/** Registers them all. `firstLook` resolves after `fastify.ready()`. */
export async function registerSlices(
  fastify: FastifyInstance,
  parts: SliceParts,
): Promise<{ readonly firstLook: Promise<FirstLook> }> {
  const { config, db, registry, dataDirectory, preparation, signIn } = parts
  // What the refresher asks, nobody waits for: it takes the connections that are left, and pauses under pressure.
  const { firstTurn } = await runInScope({ criticality: 'background', route: 'theme refresher' }, () =>
    registerPublicTheme(fastify, {
      db,
      prepare: async () => {
        await preparation.get()
        const { state } = fastify.poolGuard.pressure
        if (state === 'pressed') throw withRetryAfter(new ApiDatabasePressedError(), PAUSE_MS)
      },
      intervalMs: config.themeRefreshIntervalMs,
      maxBytes: config.themeCacheMaxBytes,
      snapshotFile: dataDirectory === undefined ? undefined : join(dataDirectory, 'themes.snapshot'),
    }),
  )
  const repository = new ThemeHistoryRepository(db)
  await fastify.register(themeHistory, {
    repository,
    pages: historyPages(repository, fastify.staleCache),
  })
  const botRepository = new BotRepository(fastify.poolGuard, db)
  await fastify.register(bots, {
    repository: botRepository,
    pages: botStatusPages(botRepository, fastify.staleCache),
    counters:
      registry === undefined ? undefined : botMetrics(fastify.metrics, botRepository, fastify.staleCache),
  })
  const caches = fastify.staleCache
  await fastify.register(botLists, { repository: new NewBotRepository(fastify.poolGuard, db), caches })
  await fastify.register(trades, { repository: new TradeRepository(db), caches })
  await fastify.register(strategies)
  const betRepository = new BetRepository(fastify.poolGuard, db)
  await fastify.register(bets, {
    repository: betRepository,
    pages: betPages(betRepository, fastify.staleCache),
    count:
      registry === undefined ? undefined : betMetrics(fastify.metrics, betRepository, fastify.staleCache),
  })
  await fastify.register(balance, {
    pages: balancePages(new BalanceRepository(db), fastify.staleCache),
  })
  await fastify.register(sports, { pages: sportPages(new SportRepository(db), fastify.staleCache) })
  await fastify.register(auth, signIn)
  const firstLook = firstTurn.then((turn): FirstLook => (turn.ok ? { ok: true, themes: turn.themes } : turn))
  return { firstLook }
}

/** The same for a process that answers nobody: there are no slices. */
export function withoutSlices(
  fastify: FastifyInstance,
  preparation: Once<void>,
): { readonly firstLook: Promise<FirstLook> } {
  fastify.decorate('hasTheme', () => false)
  const { promise: firstLook, resolve } = Promise.withResolvers<FirstLook>()
  fastify.addHook('onReady', async () => {
    // Not awaited: the service starts whatever state its database is in.
    preparation.get().then(
      () => resolve({ ok: true, themes: undefined }),
      (error: unknown) => resolve({ ok: false, error }),
    )
  })
  return { firstLook }
}
