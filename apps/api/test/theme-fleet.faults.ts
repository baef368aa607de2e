// What requests see, and who asks the database, while a process of the fleet or Redis is gone.

import { setTimeout as sleep } from 'node:timers/promises'
import { waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { startFleet, sweepsOf } from './service-fleet.ts'
import { brandOf } from './service-process.ts'
import { SteadyLoad } from './steady-load.ts'

t.setTimeout(180_000)

const INTERVAL_MS = 1000

t.test('three processes that share a Redis stand in for each other and for Redis', async (t) => {
  const fleet = await startFleet(t, INTERVAL_MS)

  /**
   * Who misses the budget of 50 ms takes Redis for lost, and looks for himself until it answers again: on a busy
   * machine this comes and goes, so what holds is waited for.
   */
  const oneLookPerInterval = () =>
    waitUntil(
      async () => {
        fleet.reset()
        const startMs = performance.now()
        await sleep(3 * INTERVAL_MS)
        const intervals = (performance.now() - startMs) / INTERVAL_MS
        return fleet.looks() >= 1 && fleet.looks() <= intervals + 1
      },
      { timeoutMs: 60_000, what: 'one look per interval for all' },
    )

  t.test('one look per interval for all', async (t) => {
    await oneLookPerInterval()
    t.comment(`${fleet.looks()} looks in three intervals, ${fleet.services.length} processes`)
  })

  t.test('a change in the database reaches all within an interval, by one look and one load', async (t) => {
    let changes = 0
    await waitUntil(
      async () => {
        changes += 1
        fleet.reset()
        const brand = `From the database, ${changes}`
        await fleet.setBrand(brand)
        await waitUntil(fleet.every(brand))
        await sleep(100)
        return fleet.loads() === 1
      },
      { timeoutMs: 60_000, what: 'one load for all' },
    )
    t.comment(`at change ${changes}`)
  })

  t.test('when the process that looks is killed, another one looks', async (t) => {
    const before = await Promise.all(fleet.services.map(({ url }) => sweepsOf(url)))
    await sleep(2 * INTERVAL_MS)
    const after = await Promise.all(fleet.services.map(({ url }) => sweepsOf(url)))
    const looked = after.map((number, index) => number - (before[index] ?? 0))
    const [looking] = fleet.services.splice(looked.indexOf(Math.max(...looked)), 1)
    looking?.kill('SIGKILL')
    await looking?.ended
    fleet.reset()
    await fleet.setBrand('After the kill')
    const startMs = performance.now()
    await waitUntil(fleet.every('After the kill'))
    t.comment(`handed over after ${Math.round(performance.now() - startMs)} ms`)
    t.ok(fleet.looks() >= 1)
  })

  t.test('a killed Redis is not seen by requests, and changes still arrive', async (t) => {
    const [first] = fleet.services
    const load = new SteadyLoad(first?.url ?? '', ['/acme/api/public/load-theme'], 50)
    t.teardown(() => load.stop())
    await fleet.redis.kill9()
    await fleet.setBrand('Without Redis')
    await waitUntil(fleet.every('Without Redis'))
    await sleep(300)
    const { requests, wrong } = load.report()
    t.strictSame(wrong, {}, `${requests} requests, all 200 or 304`)
    t.ok(requests > 0)
    await load.stop()

    await fleet.redis.restart()
    await oneLookPerInterval()
    await fleet.setBrand('With Redis again')
    await waitUntil(fleet.every('With Redis again'))
  })

  t.test('a process that starts while PostgreSQL is dead takes the themes from Redis', async (t) => {
    await fleet.postgres.kill9()
    const late = await fleet.start()
    await waitUntil(async () => (await brandOf(late.url, 'acme')) === 'With Redis again')
    t.strictSame(await late.stop(), { code: 0, signal: null })
  })
})
