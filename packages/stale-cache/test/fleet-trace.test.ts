/*
 * Random traces of several caches over one real Redis, against rules that hold whatever the order of loads, writes,
 * invalidations, lost messages and time. The source only counts up, and rows carry no version: fences alone decide.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type RealServer, seededRandom, startRedis, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { fleetOf, fleetOn } from './fleet-of-caches.ts'

const keys = ['a', 'b', 'c']

let server: RealServer
t.before(async () => {
  server = await startRedis({ args: ['--appendonly', 'no'] })
})
t.teardown(() => server.stop())

t.test('no order of events makes old replace new in a fleet, or lets it disagree for good', async (t) => {
  for (let round = 0; round < 4; round += 1) {
    const random = seededRandom()
    random.announce(t)
    const { source, members } = await fleetOn(server.url, t, 3, {
      leaseMs: 100,
      freshMs: 300,
      batchIntervalMs: 5,
      backoffMs: 10,
      maxBackoffMs: 40,
      negativeMs: 20,
    })
    const truth = new Map(keys.map((key) => [key, 1]))
    const numberOf = (text: string) => Number(text === 'default' ? 0 : text)
    source.answer = async (wanted) => {
      const rows = wanted.map((key) => ({
        key,
        value: { text: String(truth.get(key)) },
        tags: [`tag-${key}`],
      }))
      await sleep(random.int(0, 30))
      if (random.next() < 0.2) throw new Error('down')
      return rows
    }
    /** By member and key: the largest fence held, and what may not look fresh any more. */
    const fences = new Map<string, number>()
    const outdated = new Map<string, number>()
    const look = (step: string) => {
      for (const [member, { cache }] of members.entries()) {
        for (const key of keys) {
          const { source: kind, value, fence } = cache.peek(key)
          const at = `${member}${key}`
          if (fence !== undefined) {
            if (fence < (fences.get(at) ?? 0))
              t.fail(`${step}: ${at} went back from ${fences.get(at)} to ${fence}`)
            fences.set(at, fence)
          }
          if (kind === 'fresh' && numberOf(value.text) < (outdated.get(at) ?? 0))
            t.fail(`${step}: ${at} calls ${value.text} fresh, ${outdated.get(at)} was invalidated here`)
        }
      }
    }
    for (let step = 0; step < 150; step += 1) {
      const key = random.pick(keys)
      const member = random.int(0, members.length - 1)
      const { cache, redis } = members[member] as (typeof members)[0]
      const action = random.int(0, 9)
      const next = (truth.get(key) ?? 0) + 1
      if (action < 2) {
        truth.set(key, next)
        outdated.set(`${member}${key}`, next)
        if (random.next() < 0.5) cache.invalidate(key)
        else {
          cache.invalidateTag(`tag-${key}`)
          cache.invalidate(key)
        }
      } else if (action === 2) {
        truth.set(key, next)
        cache.set(key, { value: { text: String(next) }, tags: [`tag-${key}`] })
        // Two processes are ordered no better than their calls take: what comes next comes after this.
        await waitUntil(() => fleetOf(cache).waiting === 0)
      } else if (action < 5) void cache.refresh([key])
      else if (action === 5)
        void cache.refresh([key], { sinceFence: random.next() < 0.5 ? 0 : (cache.peek(key).fence ?? 0) })
      else if (action < 8) cache.get(key).catch(() => {})
      else if (action === 8 && random.next() < 0.2) {
        // What Redis knew of invalidations is gone with it; the order of reads is not.
        await redis.call('FLUSHALL')
        outdated.clear()
      } else await sleep(random.int(0, 15))
      look(`seed ${random.seed}, step ${step}`)
    }
    // Whatever has happened: one look at the source, and all agree on what it says.
    for (const key of keys) members[0]?.cache.invalidate(key)
    await waitUntil(
      () => {
        look(`seed ${random.seed}, at the end`)
        return members.every(({ cache }) =>
          keys.every((key) => cache.peek(key).value.text === String(truth.get(key))),
        )
      },
      { what: `agreement (seed ${random.seed})` },
    )
    await waitUntil(() => members.every(({ cache }) => fleetOf(cache).waiting === 0))
    for (const { cache } of members)
      t.equal(fleetOf(cache).callsFailed + fleetOf(cache).damaged, 0, `seed ${random.seed}`)
  }
})
