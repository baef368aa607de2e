// Caches of one name over one source, each with its own connections, as in processes of their own.
import { GuardedRedis } from '@holdfast/redis-guard'
import { waitUntil } from '@holdfast/test-kit'
import type { Test } from 'tap'
import { StaleCache } from '../src/stale-cache.ts'
import { Source, type Thing } from './source.ts'

export type FleetOptions = Partial<ConstructorParameters<typeof StaleCache<Thing>>[1]>

let number = 0

/** Every member has these options; `each` adds what makes a member different. All of it ends with the test. */
export async function fleetOn(
  url: string,
  t: Test,
  size: number,
  options: FleetOptions = {},
  each: (member: number) => FleetOptions = () => ({}),
) {
  number += 1
  const name = `fleet-${number}`
  const source = new Source()
  const members = Array.from({ length: size }, (_, member) => {
    // Patient: what is told and counted does not depend on how busy the machine is.
    const redis = new GuardedRedis({ url, budgetMs: 10_000, connectTimeoutMs: 10_000 })
    const cache = new StaleCache<Thing>(name, {
      load: source.load,
      fallback: () => ({ text: 'default' }),
      freshMs: 60_000,
      ttlJitter: 0,
      redis,
      ...options,
      ...each(member),
    })
    return { cache, redis }
  })
  t.teardown(async () => {
    for (const { cache, redis } of members) {
      await cache.close()
      await redis.close()
    }
  })
  await waitUntil(() =>
    members.every(({ cache, redis }) => redis.available && cache.snapshot().fleet?.listening === true),
  )
  return { name, source, members, caches: members.map(({ cache }) => cache) }
}

export function fleetOf(cache: StaleCache<Thing>) {
  const { fleet } = cache.snapshot()
  if (fleet === undefined) throw new Error('no fleet')
  return fleet
}
