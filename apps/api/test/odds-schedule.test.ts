// When the provider is asked, by arithmetic alone.

import { seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { firstPauses, pauseAfter } from '../src/workers/odds/odds-schedule.ts'

const PAUSES = { intervalMs: 10_000, maxPauseMs: 100_000 }
/** Of floating point, in ms. */
const ROUNDING = 1e-6
const well = { failures: 0, notBeforeMs: 0 }

t.test('first wake-ups are spread over the interval, whatever the sports are called', (t) => {
  const random = seededRandom()
  random.announce(t)
  for (let round = 0; round < 200; round += 1) {
    const count = random.int(2, 100)
    const sports = Array.from({ length: count }, (_, at) => `s${at}_${random.int(0, 1e9)}`)
    const pauses = [...firstPauses(sports, 10_000).values()].toSorted((one, other) => one - other)
    const [first = 0] = pauses
    const last = pauses.at(-1) ?? 0
    t.equal(pauses.length, count)
    if (first < 0 || last >= 10_000) t.fail(`outside of the interval: ${first} to ${last}`)
    if (last - first < 8500 - ROUNDING) t.fail(`${count} sports begin within ${last - first} ms`)
    const gap = Math.min(...pauses.slice(1).map((ms, at) => ms - (pauses[at] ?? 0)))
    if (gap < 8500 / (count - 1) - ROUNDING) t.fail(`two of ${count} sports begin within ${gap} ms`)
  }
  t.end()
})

t.test('the same sports begin at the same moments, and those of lone processes differ', (t) => {
  t.strictSame(firstPauses(['golf', 'chess'], 1000), firstPauses(['chess', 'golf', 'golf'], 1000))
  const alone = ['golf', 'chess', 'tennis', 'football'].map((sport) => firstPauses([sport], 1000).get(sport))
  t.equal(new Set(alone).size, 4)
  t.strictSame(firstPauses([], 1000), new Map())
  t.end()
})

t.test('a pause is half to one and a half times the interval, and all of that', (t) => {
  const random = seededRandom()
  random.announce(t)
  const pauses = Array.from({ length: 5000 }, () => pauseAfter(well, PAUSES, () => random.next()))
  t.ok(pauses.every((ms) => ms >= 5000 && ms < 15_000))
  t.ok(Math.min(...pauses) < 5100 && Math.max(...pauses) > 14_900)
  t.end()
})

t.test('failures in a row double the bound below which the pause is anything, up to the longest', (t) => {
  const bound = (failures: number) => pauseAfter({ failures, notBeforeMs: 0 }, PAUSES, () => 1)
  t.strictSame([1, 2, 3, 4, 5, 1000].map(bound), [20_000, 40_000, 80_000, 100_000, 100_000, 100_000])
  t.equal(
    pauseAfter({ failures: 3, notBeforeMs: 0 }, PAUSES, () => 0),
    0,
    'full jitter',
  )
  t.end()
})

t.test('never before the provider wishes it, and not all at the same moment', (t) => {
  const random = seededRandom()
  random.announce(t)
  for (let round = 0; round < 2000; round += 1) {
    const notBeforeMs = random.int(1, 200_000)
    const failures = random.int(0, 8)
    const ms = pauseAfter({ failures, notBeforeMs }, PAUSES, () => random.next())
    const longest = Math.max(notBeforeMs + Math.min(notBeforeMs, 10_000), failures === 0 ? 0 : 100_000)
    if (ms < notBeforeMs || ms > longest)
      t.fail(`${ms} ms after ${failures} failures and a wish of ${notBeforeMs}`)
  }
  t.end()
})
