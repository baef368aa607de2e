import { HandClock } from '@holdfast/test-kit'
import t from 'tap'
import { lineTime } from '../src/line-time.ts'

t.test('lines tell the time of the clock, and go with it', async (t) => {
  const clock = new HandClock()
  const time = lineTime(clock)
  const first = time()
  t.equal(first, new Date(clock.wallMs()).toISOString())
  t.equal(time(), first)
  await clock.advance(1)
  t.equal(Date.parse(time()) - Date.parse(first), 1)
})
