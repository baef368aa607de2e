import { HandClock, seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { Bulkhead, type BulkheadOptions } from '../src/bulkhead.ts'
import { outcomeOf } from '../src/outcome.ts'

const full = { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_BULKHEAD_FULL', statusCode: 503, retryAfterSeconds: 1 }
const timedOut = {
  code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_BULKHEAD_TIMEOUT',
  statusCode: 503,
  retryAfterMs: 1000,
}

function bulkheadOf(options: BulkheadOptions = {}) {
  const clock = new HandClock()
  return { clock, bulkhead: new Bulkhead('vendor', { clock, ...options }) }
}

/** What became of a promise so far. */
function watched<T>(promise: Promise<T>) {
  const seen: { state: 'waiting' | 'done' | 'refused'; value?: T; error?: unknown } = { state: 'waiting' }
  promise.then(
    (value) => Object.assign(seen, { state: 'done', value }),
    (error) => Object.assign(seen, { state: 'refused', error }),
  )
  return seen
}

t.test(
  'as many works run as it has places, as many callers wait as its queue holds, and no more',
  async (t) => {
    const { clock, bulkhead } = bulkheadOf({ maxConcurrent: 2, maxWaiting: 3 })
    const releases = [bulkhead.tryAcquire(), bulkhead.tryAcquire()]
    t.equal(bulkhead.tryAcquire(), undefined)
    const waiters = [1, 2, 3].map(() => watched(bulkhead.acquire()))
    await t.rejects(bulkhead.acquire(), full)
    t.match(bulkhead.snapshot(), { running: 2, waiting: 3, longestQueue: 3, refusedFull: 1 })
    releases[0]?.()
    await clock.advance(0)
    t.strictSame(
      waiters.map(({ state }) => state),
      ['done', 'waiting', 'waiting'],
      'the place goes to who waits longest',
    )
    t.match(bulkhead.snapshot(), { running: 2, waiting: 2, admitted: 3 })
  },
)

t.test('a place given back twice is one place', async (t) => {
  const { bulkhead } = bulkheadOf({ maxConcurrent: 1 })
  const release = await bulkhead.acquire()
  release()
  release()
  t.equal(bulkhead.snapshot().running, 0)
  await bulkhead.acquire()
  release()
  t.equal(bulkhead.snapshot().running, 1)
})

t.test('nobody overtakes those who wait', async (t) => {
  const { clock, bulkhead } = bulkheadOf({ maxConcurrent: 1 })
  const release = await bulkhead.acquire()
  const first = watched(bulkhead.acquire())
  release()
  t.equal(bulkhead.tryAcquire(), undefined, 'the place is promised already')
  await clock.advance(0)
  t.equal(first.state, 'done')
})

t.test('a caller waits as long as it may, and then is refused', async (t) => {
  const { clock, bulkhead } = bulkheadOf({ maxConcurrent: 1, maxWaitMs: 100 })
  await bulkhead.acquire()
  const waiter = watched(bulkhead.acquire())
  await clock.advance(99)
  t.equal(waiter.state, 'waiting')
  await clock.advance(1)
  t.match(waiter.error, timedOut)
  t.match(bulkhead.snapshot(), { waiting: 0, timedOut: 1 })
  t.equal(clock.pendingTimers, 0)
})

t.test('a deadline ends the wait before that, and one that has passed lets nobody begin', async (t) => {
  const { clock, bulkhead } = bulkheadOf({ maxConcurrent: 1, maxWaitMs: 100 })
  await bulkhead.acquire()
  const waiter = watched(bulkhead.acquire({ deadlineMs: clock.nowMs() + 30 }))
  await clock.advance(30)
  t.match(waiter.error, { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_DEADLINE' })
  const { bulkhead: free } = bulkheadOf()
  await t.rejects(free.acquire({ deadlineMs: 0 }), { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_DEADLINE' })
  t.match(free.snapshot(), { running: 0, left: 1 })
})

t.test('who leaves frees its place in the queue at once, wherever that is', async (t) => {
  const { clock, bulkhead } = bulkheadOf({ maxConcurrent: 1, maxWaiting: 3 })
  const release = await bulkhead.acquire()
  const leaving = new AbortController()
  const first = watched(bulkhead.acquire())
  const second = watched(bulkhead.acquire({ signal: leaving.signal }))
  const third = watched(bulkhead.acquire())
  leaving.abort(new Error('gone'))
  t.equal(bulkhead.snapshot().waiting, 2)
  await clock.advance(0)
  t.match(second.error, {
    code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_ABORTED',
    name: 'AbortError',
    cause: { message: 'gone' },
  })
  release()
  await clock.advance(0)
  t.equal(first.state, 'done')
  first.value?.()
  await clock.advance(0)
  t.equal(third.state, 'done')
})

t.test('whose signal has aborted does not come in, though there is a place', async (t) => {
  const { bulkhead } = bulkheadOf()
  await t.rejects(bulkhead.acquire({ signal: AbortSignal.abort() }), {
    code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_ABORTED',
  })
  t.equal(bulkhead.snapshot().running, 0)
})

t.test('ten thousand who wait may all leave at once, and nothing is left of them', async (t) => {
  const { clock, bulkhead } = bulkheadOf({ maxConcurrent: 1, maxWaiting: 10_000 })
  await bulkhead.acquire()
  const leaving = Array.from({ length: 10_000 }, () => new AbortController())
  let left = 0
  const gone = leaving.map(({ signal }) =>
    bulkhead.acquire({ signal }).catch(({ code }) => {
      if (code === 'HOLDFAST_ERR_CIRCUIT_BREAKER_ABORTED') left += 1
    }),
  )
  await t.rejects(bulkhead.acquire(), full)
  for (const controller of leaving) controller.abort()
  await Promise.all(gone)
  t.equal(left, 10_000)
  t.match(bulkhead.snapshot(), { running: 1, waiting: 0, left: 10_000 })
  t.equal(clock.pendingTimers, 0)
})

t.test('execute gives the place back however the work ends', async (t) => {
  const { bulkhead } = bulkheadOf({ maxConcurrent: 1, maxWaiting: 0 })
  t.equal(await bulkhead.execute(() => 7), 7)
  await t.rejects(
    bulkhead.execute(() => {
      throw new Error('thrown')
    }),
    { message: 'thrown' },
  )
  await t.rejects(
    bulkhead.execute(async () => {
      throw new Error('rejected')
    }),
    { message: 'rejected' },
  )
  const work = Promise.withResolvers<number>()
  const running = bulkhead.execute(() => work.promise)
  await t.rejects(
    bulkhead.execute(() => 8),
    full,
  )
  work.resolve(9)
  t.equal(await running, 9)
  t.equal(bulkhead.snapshot().running, 0)
})

t.test('refusals say nothing about the dependency to a breaker around it', async (t) => {
  const { clock, bulkhead } = bulkheadOf({ maxConcurrent: 1, maxWaiting: 1, maxWaitMs: 10 })
  await bulkhead.acquire()
  const waiter = watched(bulkhead.acquire())
  const refused = await bulkhead.acquire().catch((error) => error)
  await clock.advance(10)
  t.equal(outcomeOf(refused), 'ignored')
  t.equal(outcomeOf(waiter.error as Error), 'ignored')
})

t.test('closed, it refuses everybody who waits and comes, and what runs goes on', async (t) => {
  const { clock, bulkhead } = bulkheadOf({ maxConcurrent: 1 })
  const release = await bulkhead.acquire()
  const waiters = [1, 2].map(() => watched(bulkhead.acquire()))
  bulkhead.close()
  await clock.advance(0)
  const closed = { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_CLOSED' }
  for (const { error } of waiters) t.match(error, closed)
  await t.rejects(bulkhead.acquire(), closed)
  t.equal(bulkhead.snapshot().running, 1)
  release()
  t.match(bulkhead.snapshot(), { running: 0, waiting: 0 })
  t.equal(clock.pendingTimers, 0)
})

t.test('in any order of events nothing is lost, and its bounds hold', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const { clock, bulkhead } = bulkheadOf({ maxConcurrent: 3, maxWaiting: 5, maxWaitMs: 20 })
  const held: (() => void)[] = []
  let settled = 0
  let asked = 0
  for (let step = 0; step < 3000; step += 1) {
    const action = random.int(0, 3)
    if (action <= 1) {
      const controller = new AbortController()
      if (random.int(0, 3) === 0) clock.schedule(random.int(1, 30), () => controller.abort())
      const deadlineMs = clock.nowMs() + random.int(1, 60)
      asked += 1
      bulkhead
        .acquire({ signal: controller.signal, deadlineMs })
        .then((release) => held.push(release))
        .catch(() => {})
        .finally(() => {
          settled += 1
        })
    } else if (action === 2) held.splice(random.int(0, Math.max(0, held.length - 1)), 1)[0]?.()
    else await clock.advance(random.int(0, 15))
    const { running, waiting } = bulkhead.snapshot()
    if (running > 3 || waiting > 5 || (waiting > 0 && running < 3))
      t.fail(`running ${running}, waiting ${waiting}`)
  }
  await clock.advance(100)
  for (const release of held) release()
  await clock.advance(100)
  for (const release of held) release()
  t.match(bulkhead.snapshot(), { running: 0, waiting: 0 })
  t.equal(settled, asked)
  t.equal(clock.pendingTimers, 0)
})

for (const options of [
  { maxConcurrent: 0 },
  { maxWaiting: -1 },
  { maxWaitMs: Number.NaN },
  { clock: {} },
  { maxWait: 1 },
  null,
]) {
  t.test(`${JSON.stringify(options)} is refused at construction`, async (t) => {
    t.throws(() => new Bulkhead('vendor', options as BulkheadOptions), {
      code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_INVALID_OPTION',
    })
  })
}

t.test('a bulkhead has a name', async (t) => {
  t.throws(() => new Bulkhead(''), { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_INVALID_OPTION' })
})
