import t from 'tap'
import { forgottenAtMs, MAX_OFFENCES, nextBlock, type Offences, offencesAt } from '../src/escalation.ts'

const minute = 60_000
const day = 86_400_000
const policy = { blockMs: 15 * minute, maxBlockMs: day, decayMs: day }

t.test('each block is twice as long as the one before, up to a day', async (t) => {
  let record: Offences | undefined
  let nowMs = 0
  const lengths: number[] = []
  for (let block = 0; block < 9; block += 1) {
    record = nextBlock(record, nowMs, policy)
    lengths.push((record.untilMs - nowMs) / minute)
    nowMs = record.untilMs
  }
  t.same(lengths, [15, 30, 60, 120, 240, 480, 960, 1440, 1440])
})

t.test('every quiet day takes one doubling back', async (t) => {
  const record = { untilMs: 1000, offences: 3 }
  t.equal(offencesAt(record, 0, policy), 3)
  t.equal(offencesAt(record, 1000 + day - 1, policy), 3)
  t.equal(offencesAt(record, 1000 + day, policy), 2)
  t.equal(offencesAt(record, 1000 + 9 * day, policy), 0)
  t.equal(offencesAt(undefined, 0, policy), 0)
  t.equal(nextBlock(record, 1000 + day, policy).untilMs - 1000 - day, 60 * minute)
  t.equal(forgottenAtMs(record, policy), 1000 + 3 * day)
})

t.test('what a blocked client tries does not make its block longer', async (t) => {
  const record = { untilMs: 1000, offences: 1 }
  t.equal(nextBlock(record, 999, policy), record)
  t.not(nextBlock(record, 1000, policy), record)
})

t.test('offences have a most', async (t) => {
  t.equal(nextBlock({ untilMs: 0, offences: 500 }, 0, policy).offences, MAX_OFFENCES)
})
