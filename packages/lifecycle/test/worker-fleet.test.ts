import { HandClock } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { errors, WorkerFleet, type WorkerFleetSettings } from '../src/index.ts'
import { KeptLog } from './fake-process.ts'
import { FakeWorker } from './fake-worker.ts'

function fleetOf(t: Test, workers: number, more: Partial<WorkerFleetSettings> = {}) {
  const clock = new HandClock()
  const log = new KeptLog()
  const forked: FakeWorker[] = []
  const fork = (place: number) => {
    const worker = new FakeWorker(100 + forked.length, place)
    forked.push(worker)
    return worker
  }
  const fleet = new WorkerFleet({ workers, fork, clock, log, ...more })
  t.teardown(async () => {
    const stopping = fleet.stop()
    for (const worker of forked) worker.exit(0)
    await stopping
    // Nothing can be asserted any more.
    if (clock.pendingTimers > 0) throw new Error(`${clock.pendingTimers} timers are left`)
  })
  return { clock, log, forked, fleet }
}

async function serving(t: Test, workers: number, more: Partial<WorkerFleetSettings> = {}) {
  const parts = fleetOf(t, workers, more)
  const starting = parts.fleet.start()
  for (const worker of parts.forked) worker.serve()
  await starting
  return parts
}

t.test('it has started when all serve', async (t) => {
  const { clock, forked, fleet } = fleetOf(t, 3)
  let started = false
  const starting = fleet.start().then(() => {
    started = true
  })
  forked[0]?.serve()
  forked[2]?.serve()
  await clock.advance(1000)
  t.notOk(started)
  forked[1]?.serve()
  await starting
  t.strictSame(fleet.snapshot(), {
    pids: [100, 101, 102],
    serving: 3,
    lost: 0,
    lostBy: { ended: 0, killed: 0, late: 0, stuck: 0 },
    replaced: 0,
    silentMs: 0,
    restarting: false,
  })
})

t.test('one that does not start ends all, and is named', async (t) => {
  const { clock, forked, fleet } = fleetOf(t, 2)
  const failing = t.rejects(fleet.start(), {
    code: 'HOLDFAST_ERR_LIFECYCLE_WORKER_FAILED',
    message: 'worker 1 ended with 78',
  })
  forked[1]?.exit(78)
  forked[0]?.serve()
  await clock.advance(0)
  t.strictSame(forked[0]?.told, ['stopping'])
  forked[0]?.exit(0)
  await failing
  t.equal(forked.length, 2, 'and is not tried again')

  const late = fleetOf(t, 1, { readyTimeoutMs: 500, endTimeoutMs: 100 })
  const waiting = t.rejects(late.fleet.start(), { message: 'worker 0 does not serve in time' })
  await late.clock.advance(600)
  await waiting
  t.strictSame(late.forked[0]?.told, ['stopping', 'kill'])
})

t.test('what cannot be forked has ended', async (t) => {
  const fails = {
    fork: () => {
      throw new Error('no memory')
    },
  }
  const { log, fleet } = fleetOf(t, 1, fails)
  await t.rejects(fleet.start(), { message: 'worker 0 ended with 1' })
  t.match(log.line('a worker cannot be forked'), { place: 0, err: { message: 'no memory' } })
  t.equal(await fleet.stop(), 0, 'there is nobody to wait for')
  fleet.endAgain()
})

t.test('who serves and ends while others start is started again', async (t) => {
  const { clock, forked, fleet } = fleetOf(t, 2)
  const starting = fleet.start()
  t.equal(fleet.start(), starting, 'once')
  forked[0]?.serve()
  await clock.advance(0)
  forked[0]?.exit(1)
  await clock.advance(500)
  t.equal(forked[2]?.place, 0)
  forked[1]?.serve()
  await starting
  t.match(fleet.snapshot(), { pids: [102, 101], lost: 1 })
})

t.test('a stop ends a start', async (t) => {
  const { forked, fleet } = fleetOf(t, 2)
  const interrupted = t.rejects(fleet.start(), errors.StoppedError)
  forked[0]?.serve()
  const stopping = fleet.stop()
  t.strictSame([forked[0]?.told, forked[1]?.told], [['stopping'], ['stopping']])
  forked[0]?.exit(0)
  forked[1]?.exit(0)
  await interrupted
  t.equal(await stopping, 0)
})

t.test('who ends by himself is started again, ever later, and soon again after a long life', async (t) => {
  const { clock, log, forked, fleet } = await serving(t, 1)
  for (const waitMs of [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]) {
    const count = forked.length
    forked.at(-1)?.exit(1)
    await clock.advance(waitMs - 1)
    t.equal(forked.length, count, `not before ${waitMs} ms`)
    t.strictSame(fleet.snapshot().pids, [undefined])
    await clock.advance(1)
    t.equal(forked.length, count + 1)
  }
  t.match(log.lines.at(-1), { level: 'error', message: 'a worker has ended', fields: { place: 0, code: 1 } })
  forked.at(-1)?.serve()
  await clock.advance(60_000)
  t.match(log.line('a worker serves again'), { place: 0, pid: 108 })
  const count = forked.length
  forked.at(-1)?.exit(1)
  await clock.advance(500)
  t.equal(forked.length, count + 1)
  t.match(fleet.snapshot(), { lost: 9, lostBy: { ended: 9, killed: 0 }, serving: 0 })
})

t.test('who is started again and does not serve is killed, and tried again', async (t) => {
  const { clock, log, forked, fleet } = await serving(t, 1, { readyTimeoutMs: 5000 })
  forked[0]?.exit(1)
  await clock.advance(500)
  await clock.advance(4999)
  t.strictSame(forked[1]?.told, [])
  await clock.advance(1)
  t.strictSame(forked[1]?.told, ['kill'])
  t.match(log.line('a worker does not serve in time and is killed'), { place: 0, pid: 101 })
  await clock.advance(1000)
  t.equal(forked.length, 3)
  t.match(fleet.snapshot(), { lost: 2, lostBy: { ended: 1, late: 1 } })
})

t.test('a restart replaces one after the other, each when its successor serves', async (t) => {
  const { clock, forked, fleet } = await serving(t, 2)
  const restarting = fleet.restart()
  t.equal(fleet.restart(), restarting, 'one at a time')
  await clock.advance(0)
  t.equal(forked.length, 3)
  t.strictSame(forked[0]?.told, [], 'still serves')
  forked[2]?.serve()
  await clock.advance(0)
  t.strictSame(forked[0]?.told, ['replaced'])
  t.equal(forked.length, 3, 'the next one waits for its end')
  forked[0]?.exit(0)
  await clock.advance(0)
  t.equal(forked[3]?.place, 1)
  forked[3]?.serve()
  await clock.advance(0)
  forked[1]?.exit(0)
  await restarting
  t.match(fleet.snapshot(), { pids: [102, 103], serving: 2, lost: 0, replaced: 2, restarting: false })
})

t.test('a restart waits for the start', async (t) => {
  const { clock, forked, fleet } = fleetOf(t, 1)
  const restarting = fleet.restart()
  await clock.advance(0)
  t.equal(forked.length, 1)
  forked[0]?.serve()
  await clock.advance(0)
  t.equal(forked.length, 2)
  forked[1]?.serve()
  await clock.advance(0)
  forked[0]?.exit(0)
  await restarting
  t.strictSame(fleet.snapshot().pids, [101])
})

t.test('a successor that is lost while the one before it ends is started again', async (t) => {
  const { clock, forked, fleet } = await serving(t, 1)
  const restarting = fleet.restart()
  await clock.advance(0)
  forked[1]?.serve()
  await clock.advance(0)
  t.strictSame(forked[0]?.told, ['replaced'])
  forked[1]?.exit(1)
  await clock.advance(500)
  t.equal(forked.length, 3)
  forked[0]?.exit(0)
  await restarting
  t.match(fleet.snapshot(), { pids: [102], lost: 1 })
})

t.test('a restart takes the place of one that is waited for', async (t) => {
  const { clock, forked, fleet } = await serving(t, 1)
  forked[0]?.exit(1)
  await clock.advance(499)
  const restarting = fleet.restart()
  await clock.advance(30_000)
  t.equal(forked.length, 2, 'one successor, and nobody else')
  forked[1]?.serve()
  await restarting
  t.strictSame(fleet.snapshot().pids, [101])
})

t.test('who was started again and is replaced before it serves is nobody to wait for', async (t) => {
  const { clock, forked, fleet } = await serving(t, 1, { readyTimeoutMs: 5000 })
  forked[0]?.exit(1)
  await clock.advance(500)
  const restarting = fleet.restart()
  await clock.advance(0)
  forked[2]?.serve()
  await clock.advance(5000)
  t.strictSame(forked[1]?.told, ['replaced'], 'and is not killed for it')
  forked[1]?.exit(0)
  await restarting
  t.match(fleet.snapshot(), { pids: [102], lost: 1 })
})

t.test('a version that does not start replaces nothing', async (t) => {
  const { clock, forked, fleet } = await serving(t, 2, { readyTimeoutMs: 500 })
  const restarting = t.rejects(fleet.restart(), {
    code: 'HOLDFAST_ERR_LIFECYCLE_RESTART_FAILED',
    message: 'the successor of worker 0 does not serve in time; it and those after it stay what they were',
  })
  await clock.advance(500)
  await restarting
  t.strictSame(fleet.snapshot().pids, [100, 101])
  t.strictSame(forked[0]?.told, [])
  t.strictSame(forked[2]?.told, ['kill'])

  // Who is lost while his successor fails is started again.
  const again = t.rejects(fleet.restart(), errors.RestartFailedError)
  await clock.advance(0)
  forked[0]?.exit(1)
  await clock.advance(0)
  forked[3]?.exit(1)
  await again
  t.strictSame(fleet.snapshot().pids, [104, 101])
})

t.test('who does not end is killed, and the worst code counts', async (t) => {
  const { clock, log, forked, fleet } = await serving(t, 3, { endTimeoutMs: 1000 })
  const stopping = fleet.stop()
  t.equal(fleet.stop(), stopping)
  forked[0]?.exit(0)
  forked[1]?.exit(0)
  await clock.advance(999)
  t.strictSame(forked[2]?.told, ['stopping'])
  fleet.endAgain()
  t.strictSame([forked[0]?.told, forked[2]?.told], [['stopping'], ['stopping', 'stopping']])
  await clock.advance(1)
  t.strictSame(forked[2]?.told, ['stopping', 'stopping', 'kill'])
  t.equal(await stopping, 1)
  t.match(log.line('a worker does not end and is killed'), { pid: 102 })
  await t.rejects(fleet.restart(), errors.StoppedError)
})

t.test('a stop ends a restart, all that take part in it, and a wait for the next start', async (t) => {
  const { clock, forked, fleet } = await serving(t, 2)
  forked[1]?.exit(1)
  await clock.advance(0)
  const restarting = t.rejects(fleet.restart(), errors.StoppedError)
  await clock.advance(0)
  const stopping = fleet.stop()
  t.strictSame([forked[0]?.told, forked[2]?.told], [['stopping'], ['stopping']])
  forked[2]?.serve()
  forked[0]?.exit(0)
  await clock.advance(0)
  let stopped = false
  stopping.then(() => {
    stopped = true
  })
  await clock.advance(0)
  t.notOk(stopped, 'the successor has not ended')
  forked[2]?.exit(3)
  await restarting
  t.equal(await stopping, 3)
  await clock.advance(60_000)
  t.equal(forked.length, 3)
})

t.test('a stop waits for one that is replaced, and does not tell it again', async (t) => {
  const { clock, forked, fleet } = await serving(t, 2)
  const restarting = t.rejects(fleet.restart(), errors.StoppedError)
  await clock.advance(0)
  forked[2]?.serve()
  await clock.advance(0)
  const stopping = fleet.stop()
  t.strictSame(forked[0]?.told, ['replaced'])
  for (const worker of forked) worker.exit(0)
  await restarting
  t.equal(await stopping, 0)
  t.equal(forked.length, 3)
})

t.test('a fleet has from 1 to 256 workers', async (t) => {
  for (const workers of [0, 257, 1.5, Number.NaN]) {
    t.throws(() => fleetOf(t, workers), {
      code: 'HOLDFAST_ERR_LIFECYCLE_OPTION',
      message: /"workers" must be/,
    })
  }
})
