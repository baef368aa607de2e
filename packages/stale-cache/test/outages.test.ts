import { HandClock } from '@holdfast/test-kit'
import t from 'tap'
import { cacheOver, fail, pending } from './source.ts'

const hourMs = 3_600_000

/** Time goes on while the process is stopped, as by SIGSTOP or a suspended machine; its timers do not. */
class StoppableClock extends HandClock {
  #stoppedMs = 0

  override nowMs(): number {
    return super.nowMs() + this.#stoppedMs
  }

  stop(ms: number): void {
    this.#stoppedMs += ms
    this.jumpWall(ms)
  }
}

t.test('a source that is down for hours is asked now and then, and what is held is served', async (t) => {
  const { cache, clock, source } = cacheOver({ staleMs: 24 * hourMs, maxNegativeEntries: 10 })
  source.has('acme', 'blue')
  await cache.refresh(['acme'])
  const up = source.answer
  source.answer = fail('down')
  await clock.advance(1_000)
  let wrong = 0
  let mostTimers = 0
  for (let second = 0; second < 6 * 3_600; second += 1) {
    if (cache.peek('acme').source !== 'stale') wrong += 1
    if (second % 60 === 0) cache.peek(`unknown-${second}`)
    await clock.advance(1_000)
    mostTimers = Math.max(mostTimers, clock.pendingTimers)
  }
  t.equal(wrong, 0)
  const known = source.calls.filter(({ keys }) => keys.includes('acme')).length - 1
  t.ok(known <= (6 * hourMs) / 30_000 + 10, `${known} loads of the held key`)
  t.ok(known >= (6 * hourMs) / 30_000 - 30, 'it never gave up')
  t.ok(mostTimers <= 2, `${mostTimers} timers at once`)
  t.match(cache.snapshot(), { entries: 1, negativeEntries: 10, queued: 0, inFlight: 0, loadsRunning: 0 })

  source.answer = up
  source.has('acme', 'red')
  for (let turn = 0; turn < 64 && cache.peek('acme').source !== 'fresh'; turn += 1) await clock.advance(500)
  t.match(cache.peek('acme'), { source: 'fresh', value: { text: 'red' } })
  await cache.close()
})

t.test('after an hour in which the process was stopped, values are as old as they are', async (t) => {
  const clock = new StoppableClock()
  const { cache, source } = cacheOver({ clock, staleMs: 24 * hourMs, hardTimeoutMs: 60_000 })
  source.has('acme', 'blue')
  await cache.refresh(['acme'])
  clock.stop(hourMs)
  t.match(cache.peek('acme'), { source: 'stale', ageMs: hourMs, value: { text: 'blue' } })
  await clock.advance(250)
  t.match(cache.peek('acme'), { source: 'fresh', ageMs: 250 })

  const answer = pending<{ key: string; value: { text: string } }[]>()
  source.answer = () => answer.promise
  const waiting = t.rejects(cache.get('globex'), { code: 'HOLDFAST_ERR_STALE_CACHE_LOAD_GIVEN_UP' })
  await clock.advance(0)
  clock.stop(hourMs)
  // The timers that were due meanwhile come first, then what had arrived.
  await clock.advance(30_000)
  await waiting
  answer.resolve([{ key: 'globex', value: { text: 'red' } }])
  await clock.advance(0)
  t.match(cache.peek('globex'), { source: 'stale', ageMs: hourMs + 30_000, value: { text: 'red' } })
  source.answer = (keys) => keys.map((key) => ({ key, value: { text: 'new' } }))
  await clock.advance(1_500)
  cache.peek('globex')
  await clock.advance(250)
  t.match(cache.peek('globex'), { source: 'fresh', value: { text: 'new' } })
  await cache.close()
  t.equal(clock.pendingTimers, 0)
})

t.test('a wall clock that jumps changes nothing while the process runs', async (t) => {
  const { cache, clock, source } = cacheOver()
  source.has('acme', 'blue')
  await cache.refresh(['acme'])
  for (const jumpMs of [24 * hourMs, -48 * hourMs]) {
    clock.jumpWall(jumpMs)
    await clock.advance(100)
    t.match(cache.peek('acme'), { source: 'fresh', ageMs: (jumpMs > 0 ? 1 : 2) * 100 })
  }
  await clock.advance(800)
  t.match(cache.peek('acme'), { source: 'stale', ageMs: 1_000 })
  await cache.close()
})
