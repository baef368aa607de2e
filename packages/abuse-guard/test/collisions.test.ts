/** Addresses that somebody chose who knows the seed: they share every place of the tables. Nobody is to pay for others. */
import t from 'tap'
import { HeavyHitters } from '../src/heavy-hitters.ts'
import { type Subject, subjectHash, subjectText } from '../src/subject.ts'
import { guardOnHandClock } from './guard-on-hand-clock.ts'

const seed = 1
/** As the guard derives them. */
const seeds = [Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995, Math.imul(seed, 0x85ebca6b) ^ 0x27d4eb2f] as const
/** A table of 16 entries has a sketch of 1024 cells in each row. */
const cells = 1023

/** So many IPv4 addresses that share their bucket and all four cells of the sketch: one in half a million does. */
function colliding(count: number): Subject[] {
  const found: Subject[] = []
  const placeOf = (a: number) =>
    (subjectHash(seeds[0], 32, a, 0) & cells) | ((subjectHash(seeds[1], 32, a, 0) & cells & ~1) << 10)
  const wanted = placeOf(0x0a000001)
  for (let a = 0x0a000001; found.length < count; a += 1) {
    if (placeOf(a | 0) === wanted) found.push({ bits: 32, a: a | 0, b: 0 })
  }
  return found
}

const subjects = colliding(16)

t.test('who shares every place with one that floods is neither counted for him nor blocked', async (t) => {
  const [heavy, ...victims] = subjects.map(subjectText) as [string, ...string[]]
  const { guard, clock, send } = guardOnHandClock({ seed, maxTracked: 16 })
  let refused = 0
  let victimsRefused = 0
  for (let second = 0; second < 60; second += 1) {
    refused += send(heavy, 50)
    for (const victim of victims) victimsRefused += send(victim, 1)
    await clock.advance(1000)
  }
  t.equal(victimsRefused, 0, 'sixty requests a minute each, beside three thousand of the other')
  t.ok(refused >= 2800, `the heavy one was refused ${refused} times`)
  t.same(
    guard.list().map(({ address }) => address),
    [heavy],
  )
})

t.test('an estimate that is the sum of many leads to an exact count from 0', async (t) => {
  const hitters = new HeavyHitters({ entries: 16, windowMs: 60_000, protectedCount: 50, seeds })
  const truth = new Map<number, number>()
  for (let round = 0; round < 40; round += 1) {
    for (const subject of subjects) {
      const sent = (truth.get(subject.a) ?? 0) + 1
      truth.set(subject.a, sent)
      const said = hitters.add(subject, 1, round)
      if (said > sent) t.fail(`${subject.a} sent ${sent}, and ${said} were counted`)
    }
  }
  t.ok(hitters.displaced > 0)
})

t.test('no difference between two addresses makes them collide whatever the seed', async (t) => {
  const [a, b] = [0x20010db8, 0x00010002]
  const collisions: string[] = []
  for (let bit = 0; bit < 32; bit += 1) {
    // A bit of `a` that moves down by a shift of the hash, and a `b` that would take it back.
    for (let shift = 10; shift <= 20; shift += 1) {
      const other = { a: a ^ (1 << bit), b: b ^ (1 << bit) ^ ((1 << bit) >>> shift) }
      for (let seed = 1; seed <= 64; seed += 1) {
        const collides = subjectHash(seed, 64, a, b) === subjectHash(seed, 64, other.a, other.b)
        if (collides) collisions.push(`bit ${bit}, shift ${shift}, seed ${seed}`)
      }
    }
  }
  t.same(collisions, [])
})
