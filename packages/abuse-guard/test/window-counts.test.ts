import { seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { WindowCounts } from '../src/window-counts.ts'

t.test('counts what happened within the window, and forgets it afterwards', async (t) => {
  const counts = new WindowCounts(2, 60_000)
  t.equal(counts.add(0, 1, 1000), 1)
  t.equal(counts.add(0, 2, 30_000), 3)
  t.equal(counts.total(0, 59_999), 3)
  t.equal(counts.total(0, 60_000), 2, 'the slot of the first is 60 s old')
  t.equal(counts.total(0, 89_999), 2)
  t.equal(counts.total(0, 90_000), 0)
  t.equal(counts.total(1, 90_000), 0, 'the other entry never counted')
})

t.test('an entry that is cleared begins at 0', async (t) => {
  const counts = new WindowCounts(1, 1200)
  counts.add(0, 5, 100)
  counts.clear(0)
  t.equal(counts.total(0, 100), 0)
  t.equal(counts.add(0, 1, 150), 1)
})

t.test('a clock that stands still or steps back loses nothing', async (t) => {
  const counts = new WindowCounts(1, 1200)
  t.equal(counts.add(0, 1, 1000), 1)
  t.equal(counts.add(0, 1, 1000), 2)
  t.equal(counts.add(0, 1, 700), 3)
})

t.test(
  'random traces: never more than happened within the window, never less than within eleven twelfths',
  async (t) => {
    const random = seededRandom()
    random.announce(t)
    for (let round = 0; round < 50; round += 1) {
      const windowMs = random.int(12, 5000)
      const counts = new WindowCounts(3, windowMs)
      const happened: { entry: number; weight: number; atMs: number }[] = []
      let nowMs = random.int(0, 10_000)
      for (let step = 0; step < 300; step += 1) {
        nowMs += random.int(0, 5) === 0 ? random.int(0, windowMs) : random.int(0, Math.ceil(windowMs / 20))
        const entry = random.int(0, 2)
        const weight = random.int(1, 4)
        happened.push({ entry, weight, atMs: nowMs })
        const said = counts.add(entry, weight, nowMs)
        const since = (ms: number) =>
          happened
            .filter((one) => one.entry === entry && one.atMs > nowMs - ms)
            .reduce((sum, one) => sum + one.weight, 0)
        const most = since(windowMs)
        const least = since((windowMs * 11) / 12)
        if (said > most || said < least) t.fail(`said ${said}, there were ${least} to ${most}`)
      }
    }
  },
)
