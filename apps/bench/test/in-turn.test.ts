import t from 'tap'
import { InTurn, type Turn } from '../src/harness/in-turn.ts'

/** Sends so many requests, of which each costs what `costOf` says. */
function sent(count: number, costOf: (turn: Turn, request: number) => number) {
  let used = 0
  const inTurn = new InTurn(() => used)
  const turns = Array.from({ length: count }, (_, request) => {
    const turn = inTurn.next()
    used += costOf(turn, request)
    return turn
  })
  return { inTurn, turns }
}

t.test('two applications get twenty requests each, forward and backward', async (t) => {
  const { turns } = sent(160, () => 1)
  const blocks = Array.from({ length: 8 }, (_, block) => new Set(turns.slice(block * 20, block * 20 + 20)))
  t.ok(blocks.every(({ size }) => size === 1))
  const [measured, reference] = ['measured', 'reference'] as const
  t.same(
    blocks.flatMap((block) => [...block]),
    [measured, reference, reference, measured, measured, reference, reference, measured],
  )
})

t.test('what the one costs of the other does not depend on how fast the machine is', async (t) => {
  const cost = (turn: Turn, request: number) => (turn === 'measured' ? 3 : 2) * (request < 800 ? 1 : 5)
  t.same(sent(1601, cost).inTurn.figures(), { cpuOfReference: 1.5, cpuInAll: 1.5 })
  // It becomes slower with every request.
  const slowing = sent(81, (_, request) => 1000 + request).inTurn.figures()['cpuOfReference'] ?? 0
  t.ok(Math.abs(slowing - 1) < 1e-9, `${slowing}`)
})

t.test('one pause of the machine does not move the median', async (t) => {
  const { inTurn } = sent(801, (_, request) => (request === 415 ? 100_000 : 10))
  const { cpuOfReference, cpuInAll } = inTurn.figures()
  t.equal(cpuOfReference, 1)
  t.not(cpuInAll, 1, 'but it was used')
})

t.test('figures are of what came since they were asked for, and of whole turns', async (t) => {
  const { inTurn } = sent(81, () => 1)
  t.same(inTurn.figures(), { cpuOfReference: 1, cpuInAll: 1 })
  t.same(inTurn.figures(), {})
  for (let request = 0; request < 80; request += 1) inTurn.next()
  t.same(inTurn.figures(), {}, 'the last block has not ended')
})

t.test('CPU that no clock saw is no figure', async (t) => {
  t.same(sent(81, () => 0).inTurn.figures(), {})
})
