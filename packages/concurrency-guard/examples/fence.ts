import { ConcurrencyGuard, type LeaseStore } from '@holdfast/concurrency-guard'

// A row of a database, and a write that refuses whoever is late:
// update bots set state = $1, fence = $2 where id = $3 and fence < $2
const bot = { state: 'stopped', fence: 0 }
function write(state: string, fence: number | undefined): boolean {
  if (fence === undefined || fence <= bot.fence) return false
  Object.assign(bot, { state, fence })
  return true
}

const guard = new ConcurrencyGuard({ redis: leasesOfTheExample(), timeoutMs: 20, graceMs: 20 })

const slow = guard.run(['bot', 7], {}, async ({ fence }) => {
  // It hangs for longer than it may, and does not look at its signal.
  await new Promise((resolve) => setTimeout(resolve, 100))
  console.log('the late one wrote:', write('started', fence))
})
await slow.catch((error) => console.log(error.code))

const next = await guard.run(['bot', 7], { maxWaiting: 1 }, ({ fence }) => write('recovered', fence))
console.log('the next one wrote:', next)
await new Promise((resolve) => setTimeout(resolve, 150))
console.log(bot.state)
await guard.close()

/** In an application: `redis: app.redisGuard`. */
function leasesOfTheExample(): LeaseStore {
  let fence = 0
  const acquire = async () => {
    fence += 1
    const { signal } = new AbortController()
    return { held: true as const, fence, keep: () => signal, release: async () => true }
  }
  return { available: true, lease: { acquire }, onStateChange: () => () => undefined }
}
