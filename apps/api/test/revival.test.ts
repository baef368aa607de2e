import { HandClock } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { keepAlive } from '../src/db/revival.ts'

/** A server of which only the test knows whether it runs. */
function setUp(t: Test) {
  const clock = new HandClock()
  const told: string[] = []
  const server = { running: true, startable: true }
  let release: (() => void) | undefined
  const stop = keepAlive({
    isRunning: () => server.running,
    start: async () => {
      told.push('start')
      if (release !== undefined) await new Promise<void>((resolve) => (release = resolve))
      if (!server.startable) throw new Error('no')
      server.running = true
    },
    firstWaitMs: 1000,
    maxWaitMs: 3000,
    lookEveryMs: 100,
    clock,
    onGone: (startInMs) => told.push(`gone, ${startInMs}`),
    onStarted: () => told.push('started'),
    onFailed: (error, nextInMs) => told.push(`${error}, ${nextInMs}`),
  })
  t.teardown(stop)
  return {
    clock,
    server,
    stop,
    said: () => told.splice(0),
    holdStarts: () => {
      release = () => {}
      return () => release?.()
    },
  }
}

t.test('a server that runs is left alone; one that has ended is started after the first wait', async (t) => {
  const { clock, server, said } = setUp(t)
  await clock.advance(5000)
  t.strictSame(said(), [])
  server.running = false
  await clock.advance(1099)
  t.strictSame(said(), ['gone, 1000'])
  await clock.advance(1)
  t.strictSame(said(), ['start', 'started'])
  await clock.advance(5000)
  t.strictSame(said(), [], 'once')
})

t.test(
  'starts that fail come less and less often, up to a limit; one that succeeds begins anew',
  async (t) => {
    const { clock, server, said } = setUp(t)
    server.running = false
    server.startable = false
    await clock.advance(1100)
    t.strictSame(said(), ['gone, 1000', 'start', 'Error: no, 2000'])
    await clock.advance(2000)
    t.strictSame(said(), ['start', 'Error: no, 3000'])
    await clock.advance(3000)
    t.strictSame(said(), ['start', 'Error: no, 3000'])
    server.startable = true
    await clock.advance(3000)
    t.strictSame(said(), ['start', 'started'])
    server.running = false
    await clock.advance(1100)
    t.strictSame(said(), ['gone, 1000', 'start', 'started'])
  },
)

t.test('stopped, it starts nothing more, and waits for a start that is under way', async (t) => {
  const idle = setUp(t)
  idle.server.running = false
  await idle.clock.advance(500)
  await idle.stop()
  await idle.clock.advance(5000)
  t.strictSame(idle.said(), ['gone, 1000'])
  t.equal(idle.clock.pendingTimers, 0)

  for (const startable of [true, false]) {
    const { clock, server, said, stop, holdStarts } = setUp(t)
    const finish = holdStarts()
    Object.assign(server, { running: false, startable })
    await clock.advance(1100)
    let stopped = false
    const stopping = stop().then(() => {
      stopped = true
    })
    await clock.advance(0)
    t.equal(stopped, false)
    finish()
    await stopping
    t.strictSame(said(), ['gone, 1000', 'start'])
    t.equal(clock.pendingTimers, 0)
  }
})
