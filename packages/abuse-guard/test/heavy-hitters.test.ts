import { seededRandom } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { HeavyHitters } from '../src/heavy-hitters.ts'
import type { Subject } from '../src/subject.ts'

const windowMs = 60_000
const four = (a: number): Subject => ({ bits: 32, a: a | 0, b: 0 })
const table = (entries: number, seed = 1, protectedCount = 50) =>
  new HeavyHitters({ entries, windowMs, protectedCount, seeds: [seed, seed + 1] })

t.test('while there is room, everybody is counted exactly from the first request on', async (t) => {
  const hitters = table(1024)
  for (let request = 1; request <= 200; request += 1) {
    t.equal(hitters.add(four(1), 1, request), request)
  }
  t.equal(hitters.count(four(1), 300), 200)
  t.equal(hitters.count(four(2), 300), 0)
  t.equal(hitters.count(four(1), 300 + windowMs), 0)
  t.equal(hitters.displaced, 0)
})

t.test('the same bits of another length are somebody else', async (t) => {
  const hitters = table(1024)
  hitters.add({ bits: 64, a: 5, b: 0 }, 3, 0)
  hitters.add({ bits: 48, a: 5, b: 0 }, 4, 0)
  t.equal(hitters.count({ bits: 64, a: 5, b: 0 }, 0), 3)
  t.equal(hitters.count({ bits: 48, a: 5, b: 0 }, 0), 4)
  t.equal(hitters.count(four(5), 0), 0)
})

/** Twenty floods in tables so small that everything collides; what was added, and how much its sender has sent by then. */
function* randomFloods(t: Test) {
  const random = seededRandom()
  random.announce(t)
  for (let round = 0; round < 20; round += 1) {
    const hitters = table(16, random.int(0, 2 ** 31), random.int(2, 60))
    const truth = new Map<number, number>()
    for (let request = 0; request < 5000; request += 1) {
      const who = random.int(0, 3) === 0 ? random.int(0, 3) : random.int(0, 500)
      const sent = (truth.get(who) ?? 0) + 1
      truth.set(who, sent)
      yield { hitters, who, sent, counted: hitters.add(four(who), 1, request), nowMs: request }
    }
  }
}

t.test('random floods: nobody is ever counted for somebody else', async (t) => {
  for (const { who, sent, counted } of randomFloods(t)) {
    if (counted > sent) t.fail(`${who} sent ${sent}, and ${counted} were counted`)
  }
})

t.test('random floods: with its estimate, nobody is counted less than he sent', async (t) => {
  for (const { hitters, who, sent, counted, nowMs } of randomFloods(t)) {
    const most = counted + hitters.estimate(four(who), nowMs)
    if (most < sent) t.fail(`${who} sent ${sent}, and at most ${most} were seen`)
  }
})

t.test('while there is room nothing is estimated', async (t) => {
  const hitters = table(1024)
  for (let request = 0; request < 200; request += 1) hitters.add(four(1), 1, request)
  t.equal(hitters.estimate(four(1), 200), 0)
})

t.test('who has half of what leads to a block is not displaced by a flood of new addresses', async (t) => {
  const hitters = table(16)
  for (let request = 0; request < 50; request += 1) hitters.add(four(7), 1, request)
  for (let stranger = 0; stranger < 200_000; stranger += 1) {
    hitters.add(four(1000 + (stranger % 40_000)), 1, 100)
  }
  t.equal(hitters.add(four(7), 1, 200), 51)
  t.ok(hitters.displaced > 0, 'others came and went')
})

t.test('a heavy one that comes in the midst of a flood is found', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const hitters = table(1024, random.int(0, 2 ** 31))
  let stranger = 0
  let sent = 0
  let count = 0
  // A table that is full eight times over, and 50 strangers for each request of the one.
  for (; stranger < 8192; stranger += 1) hitters.add(four(stranger), 1, 0)
  while (count <= 100 && sent < 1000) {
    for (let between = 0; between < 50; between += 1) {
      stranger += 1
      hitters.add(four(stranger), 1, 1000 + sent)
    }
    count = hitters.add(four(-7), 1, 1000 + sent)
    sent += 1
  }
  t.ok(count > 100, `counted ${count} of ${sent}`)
  t.ok(sent < 200, `it took ${sent} requests`)
})

t.test('an entry is free again when its window is over', async (t) => {
  const hitters = table(16)
  for (let who = 0; who < 16; who += 1) hitters.add(four(who), 30, 0)
  let exact = 0
  for (let who = 100; who < 116; who += 1) if (hitters.add(four(who), 1, windowMs) === 1) exact += 1
  t.ok(exact >= 8, `${exact} newcomers were counted exactly`)
})

t.test('the share of forwarded requests is that of the present stay', async (t) => {
  const hitters = table(1024)
  hitters.look(four(1), true)
  t.equal(hitters.forwardedShare(four(1)), 0, 'who is not in the table is not looked at')
  hitters.add(four(1), 1, 0)
  for (const forwarded of [true, true, false, true]) hitters.look(four(1), forwarded)
  t.equal(hitters.forwardedShare(four(1)), 0.75)
  t.equal(hitters.forwardedShare(four(2)), 0)
  hitters.add(four(1), 1, windowMs)
  t.equal(hitters.forwardedShare(four(1)), 0, 'after a quiet window it begins again')
})

t.test('what is forgotten begins at 0', async (t) => {
  const hitters = table(1024)
  hitters.add(four(1), 9, 0)
  hitters.forget(four(1))
  hitters.forget(four(2))
  t.equal(hitters.count(four(1), 0), 0)
  t.equal(hitters.add(four(1), 1, 0), 1)
})

t.test('the highest counts come first', async (t) => {
  const hitters = table(1024)
  for (let who = 1; who <= 30; who += 1) hitters.add(four(who), who, 0)
  t.same(
    hitters.top(3, 0).map(({ subject, count }) => [subject.a, count]),
    [
      [30, 30],
      [29, 29],
      [28, 28],
    ],
  )
})

t.test('the table has at least two buckets, and a power of two of entries', async (t) => {
  t.equal(table(1).entries, 16)
  t.equal(table(1000).entries, 1024)
})
