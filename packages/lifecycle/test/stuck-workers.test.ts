import type { Clock } from '@holdfast/footing'
import { HandClock } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { errors, WorkerFleet, type WorkerFleetSettings } from '../src/index.ts'
import { KeptLog } from './fake-process.ts'
import { FakeWorker } from './fake-worker.ts'

/** A worker that answers while it is not busy. */
class BusyWorker extends FakeWorker {
  asked = 0
  #busy = false
  #waiting: (() => void)[] = []

  set busy(busy: boolean) {
    this.#busy = busy
    if (busy) return
    for (const answer of this.#waiting) answer()
    this.#waiting = []
  }

  answers(): Promise<void> {
    this.asked += 1
    return new Promise((resolve) => {
      if (this.#busy) this.#waiting.push(resolve)
      else resolve()
    })
  }

  override kill(): void {
    this.told.push('kill')
    this.exit(137)
  }
}

async function serving(t: Test, workers: number, more: Partial<WorkerFleetSettings> = {}) {
  const hands = new HandClock()
  const skipped = { ms: 0 }
  // Time goes by in which this process does not run.
  const clock: Clock = {
    nowMs: () => hands.nowMs() + skipped.ms,
    wallMs: () => hands.wallMs(),
    schedule: (delayMs, callback) => hands.schedule(delayMs, callback),
  }
  const log = new KeptLog()
  const forked: BusyWorker[] = []
  const fork = (place: number) => {
    const worker = new BusyWorker(100 + forked.length, place)
    forked.push(worker)
    return worker
  }
  const fleet = new WorkerFleet({ workers, fork, clock, log, stuckAfterMs: 6000, ...more })
  t.teardown(async () => {
    const stopping = fleet.stop()
    for (const worker of forked) worker.exit(0)
    await stopping
    if (hands.pendingTimers > 0) throw new Error(`${hands.pendingTimers} timers are left`)
  })
  const starting = fleet.start()
  for (const worker of forked) worker.serve()
  await starting
  const at = (index: number) => {
    const worker = forked[index]
    if (worker === undefined) throw new Error(`there is no worker ${index}`)
    return worker
  }
  return { hands, skipped, log, forked, fleet, at }
}

t.test('who does not answer is told to end, killed, counted, and started again', async (t) => {
  const { hands, log, forked, fleet, at } = await serving(t, 2)
  await hands.advance(60_000)
  t.equal(at(0).asked, 60, 'everybody is asked all the time')
  at(0).busy = true
  await hands.advance(6999)
  t.strictSame(at(0).told, [])
  t.match(fleet.snapshot(), { silentMs: 5000, serving: 2 })
  await hands.advance(1)
  t.strictSame(at(0).told, ['stuck'])
  t.match(log.line('a worker does not answer and is told to end'), { place: 0, pid: 100, silentMs: 6000 })
  await hands.advance(4999)
  t.strictSame(at(0).told, ['stuck'])
  t.equal(at(0).asked, 61, 'and asked no more')
  await hands.advance(1)
  t.strictSame(at(0).told, ['stuck', 'kill'])
  t.match(log.line('a worker does not answer and is killed'), { place: 0, pid: 100 })
  await hands.advance(500)
  t.equal(forked.length, 3)
  at(2).serve()
  await hands.advance(10_000)
  t.match(fleet.snapshot(), {
    pids: [102, 101],
    serving: 2,
    lost: 1,
    lostBy: { stuck: 1, killed: 0 },
    silentMs: 0,
  })
  t.strictSame(at(1).told, [])
})

t.test('who comes round after he was told ends in order, and has his time for it', async (t) => {
  const { hands, fleet, at } = await serving(t, 2, { endTimeoutMs: 40_000 })
  at(1).busy = true
  await hands.advance(7000)
  t.strictSame(at(1).told, ['stuck'])
  at(1).busy = false
  await hands.advance(39_999)
  t.strictSame(at(1).told, ['stuck'])
  await hands.advance(1)
  t.strictSame(at(1).told, ['stuck', 'kill'])
  t.match(fleet.snapshot(), { lost: 1, lostBy: { stuck: 1, killed: 0 } })
})

t.test('a pause is not stuck, however often', async (t) => {
  const { hands, fleet, at } = await serving(t, 1)
  for (let round = 0; round < 20; round += 1) {
    at(0).busy = true
    await hands.advance(5999)
    at(0).busy = false
    await hands.advance(1000)
  }
  t.strictSame(at(0).told, [])
  t.match(fleet.snapshot(), { lost: 0, silentMs: 0 })
})

t.test('time for which this process was late itself counts against nobody', async (t) => {
  const { hands, skipped, fleet, at } = await serving(t, 2)
  for (const index of [0, 1]) at(index).busy = true
  // Suspended with them, again and again.
  for (let round = 0; round < 20; round += 1) {
    skipped.ms += 3_600_000
    await hands.advance(1000)
  }
  t.match(fleet.snapshot(), { silentMs: 0 })
  for (const index of [0, 1]) at(index).busy = false
  await hands.advance(10_000)
  t.strictSame([...at(0).told, ...at(1).told], [])

  // What was counted before stays: whoever is stuck is found all the same.
  at(0).busy = true
  await hands.advance(4000)
  skipped.ms += 3_600_000
  await hands.advance(4000)
  t.strictSame(at(0).told, ['stuck'])
})

t.test('they are ended one at a time, the next when the successor of the one before serves', async (t) => {
  const { hands, forked, fleet, at } = await serving(t, 4)
  for (const index of [0, 1, 2, 3]) at(index).busy = true
  await hands.advance(60_000)
  const told = () => forked.filter((worker) => worker.told.includes('stuck')).length
  t.equal(told(), 1)
  t.match(fleet.snapshot(), { serving: 3 })
  at(4).serve()
  await hands.advance(1000)
  t.equal(told(), 2)
  await hands.advance(60_000)
  t.equal(told(), 2)
  t.match(fleet.snapshot(), { serving: 3, lostBy: { stuck: 2 } })
})

t.test('fewer than half of the others are never left', async (t) => {
  const { hands, fleet, forked, at } = await serving(t, 4)
  for (const index of [0, 1, 2, 3]) at(index).busy = true
  await hands.advance(7000)
  t.strictSame(at(0).told, ['stuck'])
  // Whoever comes in their place does not get as far as that.
  for (let second = 0; second < 300; second += 1) {
    await hands.advance(1000)
    for (const worker of forked.slice(4)) worker.exit(1)
  }
  t.strictSame([at(1).told, at(2).told, at(3).told], [['stuck', 'kill'], [], []])
  t.match(fleet.snapshot(), { serving: 2, lostBy: { stuck: 2 } })
})

t.test('a restart takes the place of one that is stuck, and a stop does not tell it again', async (t) => {
  const { hands, fleet, at } = await serving(t, 2)
  const restarting = t.rejects(fleet.restart(), errors.StoppedError)
  await hands.advance(0)
  at(0).busy = true
  await hands.advance(20_000)
  t.strictSame(at(0).told, [], 'its successor is on its way')
  at(2).serve()
  await hands.advance(0)
  t.strictSame(at(0).told, ['replaced'])
  at(0).exit(0)
  await hands.advance(0)
  at(1).busy = true
  const stopping = fleet.stop()
  t.strictSame([at(1).told, at(2).told], [['stopping'], ['stopping']])
  await hands.advance(20_000)
  t.strictSame(at(1).told, ['stopping'])
  for (const index of [1, 2, 3]) at(index).exit(0)
  await restarting
  t.equal(await stopping, 0)
})

t.test('nobody is asked who cannot answer, nor with 0', async (t) => {
  const off = await serving(t, 1, { stuckAfterMs: 0 })
  off.at(0).busy = true
  await off.hands.advance(600_000)
  t.equal(off.at(0).asked, 0)
  t.match(off.fleet.snapshot(), { serving: 1, silentMs: 0 })

  const mute = await serving(t, 1)
  Object.defineProperty(mute.at(0), 'answers', { value: undefined })
  await mute.hands.advance(600_000)
  t.strictSame(mute.at(0).told, [])
  for (const stuckAfterMs of [-1, Number.NaN]) {
    t.throws(
      () =>
        new WorkerFleet({
          workers: 1,
          fork: () => mute.at(0),
          clock: mute.hands,
          log: mute.log,
          stuckAfterMs,
        }),
      {
        code: 'HOLDFAST_ERR_LIFECYCLE_OPTION',
      },
    )
  }
})

t.test('a signal from elsewhere has a reason of its own', async (t) => {
  const { hands, fleet, at } = await serving(t, 2)
  at(0).exit(137)
  at(1).exit(3)
  await hands.advance(0)
  t.match(fleet.snapshot(), { serving: 0, lost: 2, lostBy: { killed: 1, ended: 1, late: 0, stuck: 0 } })
})
