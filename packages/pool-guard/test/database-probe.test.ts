import { HandClock } from '@holdfast/test-kit'
import t from 'tap'
import { DatabaseProbe } from '../src/database-probe.ts'

function probing(ask: (signal: AbortSignal) => Promise<unknown>) {
  const clock = new HandClock()
  const results: [number, boolean][] = []
  const probe = new DatabaseProbe({
    ask,
    clock,
    random: () => 0,
    intervalMs: 500,
    timeoutMs: 1000,
    onResult: (answered) => results.push([clock.nowMs(), answered]),
  })
  return { clock, probe, results }
}

t.test('asks at once and then by timer, until it is stopped', async (t) => {
  const { clock, probe, results } = probing(async () => {})
  probe.start()
  probe.start()
  await clock.advance(1100)
  t.same(results, [
    [0, true],
    [500, true],
    [1000, true],
  ])
  probe.stop()
  await clock.advance(5000)
  t.equal(results.length, 3)
  t.equal(clock.pendingTimers, 0)
})

t.test('one question at a time; an answer after its time counts for nothing', async (t) => {
  let late: () => void = () => {}
  let asked = 0
  let aborted = 0
  const { clock, probe, results } = probing((signal) => {
    asked += 1
    signal.addEventListener('abort', () => {
      aborted += 1
    })
    return new Promise<void>((resolve) => {
      late = resolve
    })
  })
  probe.once()
  t.ok(probe.running)
  probe.once()
  await clock.advance(1000)
  t.equal(asked, 1)
  t.same(results, [[1000, false]])
  t.equal(aborted, 1, 'its connection is let go')
  late()
  await clock.advance(1)
  t.equal(results.length, 1)
  t.notOk(probe.running)
})

t.test('closing ends the question that is under way, and nothing follows', async (t) => {
  let signalOf: AbortSignal | undefined
  const { clock, probe, results } = probing((signal) => {
    signalOf = signal
    return new Promise(() => {})
  })
  probe.start()
  await clock.advance(1)
  probe.close()
  t.ok(signalOf?.aborted)
  probe.start()
  probe.once()
  await clock.advance(5000)
  t.same(results, [])
})
