import { HandClock, seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { Expiring, ExpiryQueue } from '../src/expiry-queue.ts'

class Entry extends Expiring {
  expiredAtMs: number | undefined
  readonly #clock: HandClock

  constructor(clock: HandClock) {
    super()
    this.#clock = clock
  }

  override expire(): void {
    this.expiredAtMs = this.#clock.nowMs()
  }
}

t.test('everything expires at its time, unless it was removed, under one timer', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const clock = new HandClock()
  const queue = new ExpiryQueue(100, clock)
  const added: { entry: Entry; atMs: number; removedAtMs?: number }[] = []
  for (let step = 0; step < 2000; step += 1) {
    if (random.int(0, 2) > 0) {
      const entry = new Entry(clock)
      queue.add(entry)
      added.push({ entry, atMs: clock.nowMs() })
    } else if (added.length > 0) {
      const chosen = random.pick(added)
      if (chosen.entry.place !== undefined) chosen.removedAtMs = clock.nowMs()
      queue.remove(chosen.entry)
    }
    if (clock.pendingTimers > 1) t.fail('more than one timer')
    if (random.int(0, 3) === 0) await clock.advance(random.int(0, 20))
  }
  await clock.advance(1000)
  for (const { entry, atMs, removedAtMs } of added) {
    const expected = removedAtMs === undefined ? atMs + 100 : undefined
    if (entry.expiredAtMs !== expected) t.fail(`added at ${atMs}: ${entry.expiredAtMs}, not ${expected}`)
  }
  t.equal(clock.pendingTimers, 0, 'an empty queue has no timer')
})

t.test('what is added while others expire has its whole time', async (t) => {
  const clock = new HandClock()
  const queue = new ExpiryQueue(10, clock)
  const second = new Entry(clock)
  class Adding extends Expiring {
    override expire(): void {
      queue.add(second)
    }
  }
  queue.add(new Adding())
  await clock.advance(19)
  t.equal(second.expiredAtMs, undefined)
  await clock.advance(1)
  t.equal(second.expiredAtMs, 20)
})

t.test('a timer that rings a little early is set again', async (t) => {
  let nowMs = 0
  const timers: { delayMs: number; callback: () => void }[] = []
  const clock = {
    nowMs: () => nowMs,
    wallMs: () => 0,
    schedule: (delayMs: number, callback: () => void) => {
      timers.push({ delayMs, callback })
      return () => {}
    },
  }
  const hand = new HandClock()
  const entry = new Entry(hand)
  new ExpiryQueue(50, clock).add(entry)
  nowMs = 49.6
  timers[0]?.callback()
  t.equal(entry.expiredAtMs, undefined)
  t.equal(timers[1]?.delayMs, 1)
  nowMs = 50.6
  timers[1]?.callback()
  t.equal(entry.expiredAtMs, 0)
  t.equal(timers.length, 2)
})
