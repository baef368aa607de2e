// Tells the running services that themes have changed: they look at once, and not only at the end of their interval.

import { GuardedRedis } from '@holdfast/redis-guard'
import { StaleCache } from '@holdfast/stale-cache'
import { createClient } from '../../plugins/redis-client.ts'
import type { RedisTarget } from '../../redis-target.ts'
import { THEME_INDEX } from './theme-index.ts'

const WAIT_MS = 1000

/** Answers whether it could be told. Services that were not told look at the end of their interval. */
export async function announceThemeChange(target: RedisTarget): Promise<boolean> {
  const client = createClient(target)
  client.on('error', () => {})
  const redis = new GuardedRedis({ client, budgetMs: WAIT_MS })
  try {
    if (!(await redis.ready(WAIT_MS))) return false
    const { cache, key } = THEME_INDEX
    const index = new StaleCache<null, undefined>(cache, {
      represent: false,
      load: async () => [],
      fallback: () => null,
      redis,
    })
    index.invalidate(key)
    await index.close()
    return index.snapshot().fleet?.written === 1
  } finally {
    await redis.close()
    client.disconnect()
  }
}
