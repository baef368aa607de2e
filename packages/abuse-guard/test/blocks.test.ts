import t from 'tap'
import { type Block, Blocks } from '../src/blocks.ts'
import type { Subject } from '../src/subject.ts'

const policy = { blockMs: 1000, maxBlockMs: 8000, decayMs: 5000 }
const four = (a: number): Subject => ({ bits: 32, a, b: 0 })
const block = (subject: Subject, untilMs: number, sinceMs = 0): Block => ({
  subject,
  untilMs,
  sinceMs,
  offences: 1,
  reason: 'test',
  origin: 'automatic',
  refused: 0,
  shared: false,
})

t.test('a block holds until its end, and is remembered until its offences are forgotten', async (t) => {
  const blocks = new Blocks(10, policy, 1)
  t.equal(blocks.active(four(1), 0), undefined)
  const one = block(four(1), 1000)
  blocks.set(one, 0)
  t.equal(blocks.active(four(1), 999), one)
  t.equal(blocks.active(four(1), 1000), undefined)
  t.equal(blocks.active(four(2), 0), undefined)
  blocks.sweep(5999)
  t.equal(blocks.get(four(1)), one)
  blocks.sweep(6000)
  t.equal(blocks.get(four(1)), undefined)
  t.equal(blocks.size, 0)
})

t.test('a block by hand, without offences, outlives the sweeping', async (t) => {
  const blocks = new Blocks(10, policy, 1)
  blocks.set({ ...block(four(1), 90_000), offences: 0 }, 0)
  blocks.sweep(80_000)
  t.equal(blocks.size, 1)
  blocks.sweep(90_000)
  t.equal(blocks.size, 0)
})

t.test('it knows which lengths of networks it holds', async (t) => {
  const blocks = new Blocks(10, policy, 1)
  t.equal(blocks.hasBits(56), false)
  const subject = { bits: 56, a: 1, b: 256 } as const
  blocks.set(block(subject, 1000), 0)
  blocks.set(block(subject, 2000), 0)
  t.equal(blocks.size, 1, 'a later one takes the place')
  t.equal(blocks.hasBits(56), true)
  t.equal(blocks.delete(subject), true)
  t.equal(blocks.delete(subject), false)
  t.equal(blocks.hasBits(56), false)
})

t.test('subjects that share a hash do not share a block', async (t) => {
  // Among 200,000 subjects with 32 bits of hash, about five pairs share one.
  const blocks = new Blocks(400_000, policy, 7)
  const subject = (at: number): Subject => ({ bits: 64, a: at, b: Math.imul(at, 0x01000193) })
  for (let at = 0; at < 200_000; at += 2) blocks.set(block(subject(at), 1000), 0)
  for (let at = 1; at < 200_000; at += 2) if (blocks.active(subject(at), 0) !== undefined) t.fail(String(at))
  for (let at = 0; at < 200_000; at += 2) {
    if (blocks.active(subject(at), 0) === undefined || !blocks.delete(subject(at))) t.fail(String(at))
  }
  t.equal(blocks.size, 0)
})

t.test('when it is full, an ended block makes room, and then the one that ends first', async (t) => {
  const blocks = new Blocks(3, policy, 1)
  blocks.set(block(four(1), 500), 0)
  blocks.set(block(four(2), 3000), 0)
  blocks.set(block(four(3), 2000), 0)
  blocks.set(block(four(4), 9000), 1000)
  t.same(
    [1, 2, 3, 4].map((a) => blocks.get(four(a)) !== undefined),
    [false, true, true, true],
  )
  t.equal(blocks.dropped, 0)
  blocks.set(block(four(5), 9000), 1000)
  t.same(
    [2, 3, 4, 5].map((a) => blocks.get(four(a)) !== undefined),
    [true, false, true, true],
  )
  t.equal(blocks.dropped, 1)
  t.equal(blocks.size, 3)
})

t.test('the list holds what runs, the latest first', async (t) => {
  const blocks = new Blocks(10, policy, 1)
  blocks.set(block(four(1), 900, 1), 1)
  blocks.set(block(four(2), 900, 2), 2)
  blocks.set(block(four(3), 10, 3), 3)
  t.same(
    blocks.list(100).map(({ subject }) => subject.a),
    [2, 1],
  )
})
