import t from 'tap'
import { type Goal, judge, limitText } from '../src/harness/goals.ts'
import type { Slice } from '../src/harness/statistics.ts'

const slices = (figures: { ours: Slice['figures']; peer: Slice['figures'] }): readonly Slice[] => [
  { variant: 'peer', round: 0, position: 0, figures: figures.peer },
  { variant: 'ours', round: 0, position: 1, figures: figures.ours },
  { variant: 'peer', round: 0, position: 2, figures: figures.peer },
]
const goal: Goal = { claim: 'it is cheap', figure: 'ns', of: 'ours', against: 'peer', atMost: 0.7 }

t.test('a ratio at its limit is met, above it is not', async (t) => {
  t.equal(judge(goal, slices({ ours: { ns: 70 }, peer: { ns: 100 } })).verdict, 'met')
  t.equal(judge(goal, slices({ ours: { ns: 71 }, peer: { ns: 100 } })).verdict, 'not met')
})

t.test('a lower limit is kept from above, and both limits hold at once', async (t) => {
  const atLeast: Goal = { claim: 'it keeps up', figure: 'ns', of: 'ours', against: 'peer', atLeast: 0.95 }
  t.equal(judge(atLeast, slices({ ours: { ns: 95 }, peer: { ns: 100 } })).verdict, 'met')
  t.equal(judge(atLeast, slices({ ours: { ns: 94 }, peer: { ns: 100 } })).verdict, 'not met')
  const between: Goal = { ...atLeast, atMost: 1.05 }
  t.equal(judge(between, slices({ ours: { ns: 106 }, peer: { ns: 100 } })).verdict, 'not met')
})

t.test('where a control misses the limit, nothing is said of the other variant', async (t) => {
  const controlled: Goal = { ...goal, control: 'again' }
  const run = (again: number) => [
    ...slices({ ours: { ns: 60 }, peer: { ns: 100 } }),
    { variant: 'again', round: 0, position: 3, figures: { ns: again } },
  ]
  t.equal(judge(controlled, run(69)).verdict, 'met')
  const judged = judge(controlled, run(80))
  t.equal(judged.verdict, 'not judged')
  t.match(judged.reason, 'again, of which it always holds, was at 0.80')
})

t.test('a limit of zero is a limit', async (t) => {
  const none: Goal = { claim: 'nothing happens', figure: 'queries', of: 'ours', atMost: 0 }
  t.equal(judge(none, slices({ ours: { queries: 0 }, peer: {} })).verdict, 'met')
  t.equal(judge(none, slices({ ours: { queries: 1 }, peer: {} })).verdict, 'not met')
})

t.test('without a reference the goal is about the figure itself', async (t) => {
  const absolute: Goal = { claim: 'it runs once', figure: 'executions', of: 'ours', atMost: 1 }
  const judged = judge(absolute, slices({ ours: { executions: 1 }, peer: { executions: 50 } }))
  t.equal(judged.verdict, 'met')
  t.equal(judged.value.median, 1)
})

t.test('a figure that was not measured is not judged', async (t) => {
  const judged = judge(goal, slices({ ours: {}, peer: { ns: 100 } }))
  t.equal(judged.verdict, 'not judged')
  t.match(judged.reason, 'no such figure')
})

t.test('throughput and latency are judged only when both servers were busy', async (t) => {
  const throughput: Goal = { ...goal, figure: 'requestsPerSecond', atMost: 2 }
  const busy = { requestsPerSecond: 100, busy: 0.97 }
  t.equal(judge(throughput, slices({ ours: busy, peer: busy })).verdict, 'met')
  for (const figures of [
    { ours: { ...busy, busy: 0.5 }, peer: busy },
    { ours: busy, peer: { ...busy, busy: 0.5 } },
    { ours: busy, peer: { requestsPerSecond: 100 } },
  ]) {
    const judged = judge(throughput, slices(figures))
    t.equal(judged.verdict, 'not judged')
    t.match(judged.reason, 'of its core')
  }
  const idle = { p99Ms: 1, busy: 0.5 }
  t.equal(
    judge({ ...goal, figure: 'p99Ms', atMost: 2 }, slices({ ours: idle, peer: idle })).verdict,
    'not judged',
  )
})

t.test('limits read as words', async (t) => {
  t.equal(limitText(goal), 'at most 0.7')
  t.equal(limitText({ ...goal, atLeast: 0 }), 'at least 0, at most 0.7')
})
