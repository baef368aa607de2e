import { HandClock } from '@holdfast/test-kit'
import t from 'tap'
import { currentScope, type PoolScope, type Transaction } from '../src/index.ts'
import type { PressureState } from '../src/pressure.ts'
import { NOT_YET, WorkerLoop, type WorkerOptions, type WorkerRound } from '../src/worker-loop.ts'

type Save = WorkerOptions<string>['save']

/** A worker whose transactions are counted; while one is open, a connection is held. */
function startWorker(given: Partial<WorkerOptions<string>> = {}) {
  const clock = new HandClock()
  const seen = {
    clock,
    pressure: 'normal' as PressureState,
    held: 0,
    rounds: [] as number[],
    scopes: [] as PoolScope[],
    log: [] as string[],
    stopped: 0,
  }
  const keep = (_fields: object, message: string) => void seen.log.push(message)
  const tx = {
    query: async (sql: string) => {
      await new Promise<void>((resolve) => clock.schedule(Number(sql), resolve))
      return { rows: [] }
    },
  }
  const worker = new WorkerLoop<string>(
    {
      name: 'odds',
      intervalMs: 1000,
      jitter: 0,
      find: async () => {
        seen.rounds.push(clock.nowMs())
        return 'found'
      },
      save: async (tx) => tx.query('10'),
      ...given,
    },
    {
      clock,
      random: () => 0.5,
      log: { info: keep, warn: keep },
      pressure: () => seen.pressure,
      transaction: async (options, work) => {
        seen.scopes.push(options)
        seen.held += 1
        try {
          return await work(tx as unknown as Transaction)
        } finally {
          seen.held -= 1
        }
      },
      onStopped: () => {
        seen.stopped += 1
      },
    },
  )
  return Object.assign(seen, { worker })
}

t.test('finds, saves and pauses; the connection is held for the save alone', async (t) => {
  const held: number[] = []
  const seen = startWorker({
    find: async () => {
      held.push(seen.held)
      await new Promise<void>((resolve) => seen.clock.schedule(300, resolve))
      t.match(currentScope(), { criticality: 'background', route: 'worker odds' })
      return 'odds'
    },
    save: async (tx, found) => {
      t.equal(found, 'odds')
      held.push(seen.held)
      await tx.query('10')
    },
  })
  await seen.clock.advance(305)
  t.equal(seen.worker.snapshot().state, 'saving')
  await seen.clock.advance(2000)
  t.same(held, [0, 1, 0, 1], 'none while it finds')
  t.equal(seen.held, 0)
  t.match(seen.worker.snapshot(), { name: 'odds', state: 'pausing', rounds: 2, saved: 1 + 1, failed: 0 })
  t.match(seen.scopes[0], { criticality: 'background', route: 'worker odds' })
  t.equal(seen.log[0], 'worker "odds": opened, saved, closed')
  await seen.worker.stop()
  t.equal(seen.worker.snapshot().state, 'stopped')
  t.equal(seen.stopped, 1)
  t.equal(seen.clock.pendingTimers, 0)
})

t.test('warns when a connection is held and nothing is done with it', async (t) => {
  const idle: Save = async (tx) => {
    await tx.query('10')
    await new Promise<void>((resolve) => seen.clock.schedule(600, resolve))
    await tx.query('10')
  }
  const seen = startWorker({ save: idle })
  await seen.clock.advance(509)
  t.equal(seen.worker.snapshot().heldIdle, 0)
  await seen.clock.advance(2)
  t.equal(seen.worker.snapshot().heldIdle, 1)
  t.match(seen.log[0], /holds a connection and does nothing with it: wait in find\(\), not in save\(\)/)
  await seen.clock.advance(200)
  t.equal(seen.worker.snapshot().saved, 1)
  await seen.worker.stop()
})

t.test('a long statement is not idleness', async (t) => {
  const seen = startWorker({
    save: async (tx) => Promise.all([tx.query('2000'), tx.query('100')]),
  })
  await seen.clock.advance(2100)
  t.match(seen.worker.snapshot(), { saved: 1, heldIdle: 0 })
  await seen.worker.stop()
})

t.test('nothing to save takes no connection', async (t) => {
  const seen = startWorker({ find: async () => undefined })
  await seen.clock.advance(3500)
  t.match(seen.worker.snapshot(), { rounds: 4, saved: 0, failed: 0 })
  t.equal(seen.scopes.length, 0)
  await seen.worker.stop()
})

t.test('a round that came too early is neither a failure nor the end of a row of them', async (t) => {
  const ends = ['fails', 'waits', 'fails', 'waits', 'finds', 'fails']
  const told: WorkerRound[] = []
  const seen = startWorker({
    find: async () => {
      const end = ends.shift()
      if (end === 'fails') throw new Error('no')
      return end === 'waits' ? NOT_YET : 'odds'
    },
    pauseMs: () => 1000,
    onRound: (round) => void told.push(round),
  })
  await seen.clock.advance(5500)
  t.match(
    told.map(({ outcome, failures }) => [outcome, failures]),
    [
      ['failed', 1],
      ['waited', 1],
      ['failed', 2],
      ['waited', 2],
      ['saved', 0],
      ['failed', 1],
    ],
  )
  t.match(seen.worker.snapshot(), { rounds: 6, saved: 1, failed: 3 })
  t.equal(seen.scopes.length, 1, 'what came too early takes no connection')
  await seen.worker.stop()
})

t.test(
  'failures are logged and make the pauses longer, up to a bound; a success makes them short again',
  async (t) => {
    let fails = true
    const seen = startWorker({
      maxPauseMs: 4000,
      save: async (tx) => {
        if (fails) throw new Error('no')
        await tx.query('1')
      },
    })
    await seen.clock.advance(15_999)
    t.same(seen.rounds, [0, 2000, 6000, 10_000, 14_000])
    t.equal(seen.worker.snapshot().failed, 5)
    t.equal(seen.log[0], 'worker "odds" failed and tries again later')
    fails = false
    await seen.clock.advance(3100)
    t.same(seen.rounds.slice(-2), [18_000, 19_001])
    await seen.worker.stop()
  },
)

t.test('background work skips its rounds under pressure, other work does not', async (t) => {
  for (const [criticality, rounds] of [
    ['background', 0],
    ['normal', 3],
  ] as const) {
    const seen = startWorker({ criticality, find: async () => undefined, name: criticality })
    seen.pressure = 'pressed'
    await seen.clock.advance(0)
    const before = seen.worker.snapshot().rounds
    await seen.clock.advance(3000)
    t.equal(seen.worker.snapshot().rounds - before, rounds, criticality)
    await seen.worker.stop()
  }
})

t.test('first rounds are staggered, and pauses are not equally long', async (t) => {
  const seen = startWorker({ jitter: 0.2 })
  await seen.clock.advance(2500)
  t.same(
    seen.rounds.map((ms) => Math.round(ms)),
    [100, 1010, 1920],
    'half of a fifth',
  )
  await seen.worker.stop()
})

t.test('whoever is asked may say when to come again, and when to begin', async (t) => {
  const told: WorkerRound[] = []
  const pauses = [70, 10, Number.NaN, -1, Number.POSITIVE_INFINITY]
  const failed = new Error('not now')
  const seen = startWorker({
    firstPauseMs: 30,
    pauseMs: (round) => {
      t.equal(round, told.at(-1), 'the same round')
      return pauses.shift() ?? 100_000
    },
    onRound: (round) => void told.push(round),
    find: async () => {
      seen.rounds.push(seen.clock.nowMs())
      if (seen.rounds.length === 1) throw failed
      return seen.rounds.length === 2 ? 'found' : undefined
    },
  })
  await seen.clock.advance(29)
  t.same(seen.rounds, [])
  await seen.clock.advance(5000)
  t.same(seen.rounds, [30, 100, 120, 1120, 2120, 3120], 'what is no pause is the interval')
  t.strictSame(told.slice(0, 3), [
    { outcome: 'failed', failures: 1, error: failed },
    { outcome: 'saved', failures: 0, heldMs: 10 },
    { outcome: 'nothing', failures: 0, heldMs: undefined },
  ])
  await seen.worker.stop()
})

t.test('a listener that throws is logged, and the loop goes on', async (t) => {
  const wrong = (): never => {
    throw new Error('of the listener')
  }
  const seen = startWorker({ onRound: wrong, pauseMs: wrong, find: async () => undefined })
  await seen.clock.advance(2500)
  t.match(seen.worker.snapshot(), { rounds: 3, failed: 0 })
  t.same(seen.log.slice(0, 2), ['worker option "onRound" failed', 'worker option "pauseMs" failed'])
  await seen.worker.stop()
})

t.test('stopping ends a search that heeds its signal, and does not save', async (t) => {
  const seen = startWorker({
    find: ({ signal }) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('stopped')))),
  })
  await seen.clock.advance(10)
  t.equal(seen.worker.snapshot().state, 'finding')
  await seen.worker.stop()
  await seen.worker.stop()
  t.match(seen.worker.snapshot(), { state: 'stopped', saved: 0, failed: 0 })
})

t.test('wrong options are refused', async (t) => {
  for (const [wrong, option] of [
    [{ intervalMs: 0 }, 'worker.intervalMs'],
    [{ name: '' }, 'worker.name'],
    [{ find: 5 }, 'worker'],
    [{ jitter: 2 }, 'worker.jitter'],
    [{ criticality: 'high' }, 'worker.criticality'],
    [{ interval: 5 }, 'worker.interval'],
    [{ firstPauseMs: -1 }, 'worker.firstPauseMs'],
    [{ pauseMs: 5 }, 'worker.pauseMs'],
    [{ onRound: 'log' }, 'worker.onRound'],
  ] as const) {
    t.throws(() => startWorker(wrong as never), {
      code: 'HOLDFAST_ERR_POOL_GUARD_OPTION',
      message: new RegExp(`option "${option}"`),
    })
  }
})
