// A process of a fleet: does what its parent says, and asks its parent for what it loads.
import { GuardedRedis } from '@holdfast/redis-guard'
import { StaleCache } from '../src/stale-cache.ts'

interface Ask {
  readonly id: number
  readonly verb: 'get' | 'refresh' | 'set' | 'invalidate' | 'peek' | 'fleet' | 'storm'
  readonly key: string
  readonly value?: string
}

const [url = '', name = '', leaseMs = '1000'] = process.argv.slice(2)
const redis = new GuardedRedis({ url, budgetMs: 10_000, connectTimeoutMs: 10_000 })
const answers = new Map<number, (rows: { key: string; value: string }[]) => void>()
let loads = 0
const cache = new StaleCache<string, undefined>(name, {
  represent: false,
  load: (keys) => {
    loads += 1
    process.send?.({ load: loads, keys })
    return new Promise((resolve) => answers.set(loads, resolve))
  },
  fallback: () => 'default',
  leaseMs: Number(leaseMs),
  redis,
})

/** Invalidates `many` keys in about a second: `<prefix>0`, `<prefix>1`..., or always the one that `prefix` names. */
async function storm(prefix: string, many: number): Promise<number> {
  const began = performance.now()
  for (let done = 0; done < many; done += many / 100) {
    await new Promise((resolve) =>
      setTimeout(resolve, Math.max(0, began + (done / many) * 1000 - performance.now())),
    )
    for (let at = done; at < done + many / 100; at += 1) {
      cache.invalidate(prefix.endsWith('-') ? `${prefix}${at}` : prefix)
    }
  }
  return performance.now() - began
}

async function answer({ verb, key, value = '' }: Ask): Promise<unknown> {
  switch (verb) {
    case 'get':
      return cache.get(key)
    case 'refresh':
      return (await cache.refresh([key])).loaded
    case 'set':
      return cache.set(key, { value })
    case 'invalidate':
      return cache.invalidate(key)
    case 'peek':
      return cache.peek(key)
    case 'storm':
      return storm(key, Number(value))
    default:
      return cache.snapshot().fleet
  }
}

process.on('message', (message: Ask | { loaded: number; rows: { key: string; value: string }[] }) => {
  if ('loaded' in message) {
    answers.get(message.loaded)?.(message.rows)
    return
  }
  answer(message).then(
    (result) => process.send?.({ id: message.id, result }),
    (error: Error) => process.send?.({ id: message.id, error: error.message }),
  )
})
// Without its parent it would wait for ever.
process.on('disconnect', () => process.exit(0))
await redis.ready(20_000)
process.send?.({ id: 0, result: 'ready' })
