import diagnostics from 'node:diagnostics_channel'
import { HandClock } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { ConcurrencyGuard, type ConcurrencyGuardOptions } from '../src/index.ts'
import { MemoryLeases } from './memory-leases.ts'

const conflict = {
  code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_CONFLICT',
  statusCode: 429,
  retryAfterMs: 30_000,
  retryAfterSeconds: 30,
}

function localGuard(options: ConcurrencyGuardOptions = {}) {
  const clock = new HandClock()
  return { clock, guard: new ConcurrencyGuard({ clock, ...options }) }
}

/** Several processes with one store. */
function fleet(count: number, options: ConcurrencyGuardOptions = {}) {
  const clock = new HandClock()
  const leases = new MemoryLeases(clock)
  const members = Array.from({ length: count }, () => {
    const store = leases.store()
    return { store, guard: new ConcurrencyGuard({ clock, redis: store, random: () => 0.5, ...options }) }
  })
  return { clock, leases, members: members as [Member, Member, ...Member[]] }
}
type Member = { store: ReturnType<MemoryLeases['store']>; guard: ConcurrencyGuard }

/** What a promise came to, once everything that can settle has settled. */
function watch<T>(promise: Promise<T>) {
  const seen: { value?: T; error?: unknown; state: 'pending' | 'resolved' | 'rejected' } = {
    state: 'pending',
  }
  promise.then(
    (value) => Object.assign(seen, { value, state: 'resolved' }),
    (error) => Object.assign(seen, { error, state: 'rejected' }),
  )
  return seen
}

function isAtRest(t: Test, clock: HandClock, ...guards: ConcurrencyGuard[]) {
  for (const guard of guards) t.match(guard.snapshot(), { held: 0, waiting: 0, unreturned: 0 })
  t.equal(clock.pendingTimers, 0, 'no timer is left')
}

t.test('one operation of a key at a time; whoever comes meanwhile is told at once', async (t) => {
  const { clock, guard } = localGuard()
  const first = await guard.begin(['bot', 7])
  t.match(first, { fence: undefined, degraded: false })
  await t.rejects(guard.begin(['bot', '7']), conflict)
  const other = await guard.begin(['bot', 8])
  t.equal(first.end(), undefined, 'without Redis there is nothing to wait for')
  const second = await guard.begin(['bot', 7])
  other.end()
  second.end()
  t.match(guard.snapshot(), { begun: { local: 3 }, ended: 3, refused: { 'held-here': 1 } })
  isAtRest(t, clock, guard)
})

t.test('an operation ends once: a late second end does not end the next one', async (t) => {
  const { guard } = localGuard()
  const first = await guard.begin('a')
  first.end()
  const second = await guard.begin('a')
  first.end()
  await t.rejects(guard.begin('a'), conflict)
  second.end()
  t.equal(guard.snapshot().ended, 2)
})

t.test('run without work is refused before anything begins', async (t) => {
  const guard = new ConcurrencyGuard()
  t.teardown(() => guard.close())
  await t.rejects(guard.run('a', {}, 5 as never), {
    code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_OPTION',
    message: /"work" must be a function, received 5/,
  })
  t.equal(guard.snapshot().begun.local, 0)
})

t.test('run gives the key back when its work returns, throws and rejects', async (t) => {
  const { clock, guard } = localGuard()
  t.equal(await guard.run('a', {}, () => 1), 1)
  const thrown = new Error('no')
  const throwing = () => {
    throw thrown
  }
  await t.rejects(guard.run('a', {}, throwing), thrown)
  await t.rejects(
    guard.run('a', {}, () => Promise.reject(thrown)),
    thrown,
  )
  isAtRest(t, clock, guard)
})

t.test('callers that may wait get their turn in the order in which they came', async (t) => {
  const { clock, guard } = localGuard({ maxWaiting: 3 })
  const order: string[] = []
  const gates = new Map<string, () => void>()
  const run = (name: string) =>
    guard.run('a', {}, async () => {
      order.push(name)
      await new Promise<void>((resolve) => gates.set(name, resolve))
    })
  const runs = ['first', 'second', 'third', 'fourth'].map(run)
  await t.rejects(run('fifth'), conflict, 'the line is full')
  t.match(guard.snapshot(), { held: 1, waiting: 3 })
  t.equal(await guard.run('b', {}, () => 'at once'), 'at once', 'another key does not wait')
  for (const name of ['first', 'second', 'third', 'fourth']) {
    await clock.advance(10)
    t.equal(order.at(-1), name)
    gates.get(name)?.()
  }
  await Promise.all(runs)
  isAtRest(t, clock, guard)
})

t.test('a caller waits for maxWaitMs and no longer', async (t) => {
  const { clock, guard } = localGuard({ maxWaiting: 2, maxWaitMs: 100 })
  const first = await guard.begin('a', { maxWaiting: 0 })
  const waiting = watch(guard.begin('a'))
  await clock.advance(99)
  t.equal(waiting.state, 'pending')
  await clock.advance(1)
  t.match(waiting.error, conflict)
  first.end()
  isAtRest(t, clock, guard)
})

t.test('a caller whose signal aborts steps out of the line, and the next one moves up', async (t) => {
  const { clock, guard } = localGuard({ maxWaiting: 5 })
  const first = await guard.begin('a')
  const controller = new AbortController()
  const leaving = watch(guard.begin('a', { signal: controller.signal }))
  const staying = watch(guard.begin('a'))
  await clock.advance(0)
  controller.abort(new Error('gone'))
  await clock.advance(0)
  t.match(leaving.error, {
    code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_ABORTED',
    statusCode: 499,
    cause: { message: 'gone' },
  })
  first.end()
  await clock.advance(0)
  t.equal(staying.state, 'resolved')
  staying.value?.end()
  await t.rejects(guard.begin('a', { signal: controller.signal }), {
    code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_ABORTED',
  })
  isAtRest(t, clock, guard)
})

t.test('the signal of a caller aborts that of its operation, which goes on holding the key', async (t) => {
  const { clock, guard } = localGuard()
  const controller = new AbortController()
  const operation = await guard.begin('a', { signal: controller.signal })
  t.equal(operation.signal.aborted, false)
  controller.abort(new Error('gone'))
  t.match(operation.signal.reason, {
    code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_ABORTED',
    cause: { message: 'gone' },
  })
  await t.rejects(guard.begin('a'), conflict, 'it may still be at work')
  operation.end()
  isAtRest(t, clock, guard)
})

t.test('nothing aborts an operation that is over', async (t) => {
  const { clock, guard } = localGuard({ timeoutMs: 50 })
  const controller = new AbortController()
  const operation = await guard.begin('a', { signal: controller.signal })
  const { signal } = operation
  operation.end()
  controller.abort()
  await clock.advance(1000)
  t.equal(signal.aborted, false)
  t.equal(operation.signal, signal)
  t.equal(guard.snapshot().timedOut, 0)
})

t.test('at the time-out run rejects, and the key stays with the work until it stops', async (t) => {
  const { clock, guard } = localGuard({ timeoutMs: 100, graceMs: 50 })
  const { promise, resolve } = Promise.withResolvers<void>()
  let reason: unknown
  const running = watch(
    guard.run('a', {}, async ({ signal }) => {
      signal.addEventListener('abort', () => {
        reason = signal.reason
      })
      await promise
    }),
  )
  await clock.advance(100)
  t.match(running.error, {
    code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_TIMEOUT',
    statusCode: 504,
    retryAfterMs: 30_000,
  })
  t.equal(reason, running.error)
  await t.rejects(guard.begin('a'), conflict)
  resolve()
  await clock.advance(0)
  const next = await guard.begin('a')
  next.end()
  t.match(guard.snapshot(), { timedOut: 1, givenUp: 0 })
  isAtRest(t, clock, guard)
})

t.test('work that does not stop loses the key after its grace, and harms nobody when it ends', async (t) => {
  const { clock, guard } = localGuard({ timeoutMs: 100, graceMs: 50 })
  const late = await guard.begin('a')
  await clock.advance(149)
  await t.rejects(guard.begin('a'), conflict)
  await clock.advance(1)
  const next = await guard.begin('a')
  t.equal(late.ended, true)
  t.match(
    late.signal.reason,
    { code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_TIMEOUT' },
    'also when it is asked for late',
  )
  late.end()
  await t.rejects(guard.begin('a'), conflict)
  next.end()
  t.match(guard.snapshot(), { timedOut: 1, givenUp: 1, ended: 2 })
  isAtRest(t, clock, guard)
})

t.test(
  'without a time-out, or with an endless grace, the key stays for as long as the work takes',
  async (t) => {
    const { clock, guard } = localGuard()
    const endless = Number.POSITIVE_INFINITY
    const first = await guard.begin('a', { timeoutMs: endless })
    const second = await guard.begin('b', { timeoutMs: 10, graceMs: endless })
    await clock.advance(100_000_000)
    await t.rejects(guard.begin('a'), conflict)
    await t.rejects(guard.begin('b'), conflict)
    t.equal(first.signal.aborted, false)
    t.equal(second.signal.aborted, true)
    first.end()
    second.end()
    isAtRest(t, clock, guard)
  },
)

t.test('a process has room for maxOperations, and a conflict is still called a conflict', async (t) => {
  const { guard } = localGuard({ maxOperations: 3, maxWaiting: 1 })
  const first = await guard.begin('a')
  const waiting = watch(guard.begin('a'))
  const other = await guard.begin('b')
  await t.rejects(guard.begin('c'), {
    code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_FULL',
    statusCode: 503,
    retryAfterSeconds: 1,
  })
  await t.rejects(
    guard.begin('b'),
    { code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_FULL' },
    'there is no room to wait',
  )
  await t.rejects(guard.begin('a'), conflict)
  first.end()
  other.end()
  await new Promise((resolve) => setImmediate(resolve))
  waiting.value?.end()
  t.match(guard.snapshot(), { held: 0, waiting: 0 })
})

t.test('close refuses who waits and who comes, and waits for what runs', async (t) => {
  const { clock, guard } = localGuard({ maxWaiting: 1 })
  const first = await guard.begin('a')
  const waiting = watch(guard.begin('a'))
  await clock.advance(0)
  const closing = watch(guard.close())
  await clock.advance(0)
  const closed = { code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_CLOSED', statusCode: 503, retryAfterSeconds: 1 }
  t.match(waiting.error, closed)
  await t.rejects(guard.begin('b'), closed)
  t.equal(closing.state, 'pending')
  t.equal(first.signal.aborted, false)
  first.end()
  await clock.advance(0)
  t.equal(closing.state, 'resolved')
  await guard.close()
  isAtRest(t, clock, guard)
})

t.test('close waits for closeTimeoutMs and no longer', async (t) => {
  const { clock, guard } = localGuard({ closeTimeoutMs: 100 })
  await guard.begin('a', { timeoutMs: Number.POSITIVE_INFINITY })
  const closing = watch(guard.close())
  await clock.advance(99)
  t.equal(closing.state, 'pending')
  await clock.advance(1)
  t.equal(closing.state, 'resolved')
})

t.test(
  'in all processes together there is one operation of a key, and each has a larger fence',
  async (t) => {
    const { clock, leases, members } = fleet(3)
    const [one, two] = members
    const first = await one.guard.begin('a')
    t.ok(first.fence)
    await t.rejects(two.guard.begin('a'), conflict)
    t.match(two.guard.snapshot().refused, { 'held-elsewhere': 1 })
    const other = await two.guard.begin('b')
    await first.end()
    const second = await two.guard.begin('a')
    t.ok((second.fence ?? 0) > (first.fence ?? Number.POSITIVE_INFINITY))
    await second.end()
    await other.end()
    t.equal(leases.count, 0)
    isAtRest(t, clock, one.guard, two.guard)
  },
)

t.test('a conflict within the process asks Redis nothing', async (t) => {
  const { members } = fleet(2)
  const [{ guard, store }] = members
  const first = await guard.begin('a')
  for (let attempt = 0; attempt < 49; attempt += 1) await t.rejects(guard.begin('a'), conflict)
  t.equal(store.asked, 1)
  await first.end()
})

t.test('the key is free elsewhere before the end of an operation is told', async (t) => {
  const { members } = fleet(2)
  const [one, two] = members
  for (let round = 0; round < 20; round += 1) {
    await one.guard.run('a', {}, () => undefined)
    await two.guard.run('a', {}, () => undefined)
  }
  t.equal(one.guard.snapshot().begun.fenced, 20)
})

t.test('who may wait asks again while another process is at work, one of a line at a time', async (t) => {
  const { clock, members } = fleet(2, { pollMs: 50 })
  const [one, two] = members
  const first = await one.guard.begin('a')
  const patient = { maxWaiting: 5, maxWaitMs: 10_000 }
  const waiting = [1, 2, 3].map(() => watch(two.guard.begin('a', patient)))
  await clock.advance(500)
  t.equal(two.store.asked, 11)
  t.match(two.guard.snapshot(), { held: 1, waiting: 2 })
  await first.end()
  await clock.advance(50)
  t.strictSame(
    waiting.map(({ state }) => state),
    ['resolved', 'pending', 'pending'],
  )
  await waiting[0]?.value?.end()
  await clock.advance(0)
  t.equal(waiting[1]?.state, 'resolved', 'the next one does not wait for a timer')
  await waiting[1]?.value?.end()
  await clock.advance(0)
  await waiting[2]?.value?.end()
  isAtRest(t, clock, one.guard, two.guard)
})

t.test('who waits for another process is told of the conflict at maxWaitMs', async (t) => {
  const { clock, members } = fleet(2)
  const [one, two] = members
  const first = await one.guard.begin('a')
  const waiting = watch(two.guard.begin('a', { maxWaiting: 1, maxWaitMs: 120 }))
  await clock.advance(119)
  t.equal(waiting.state, 'pending')
  await clock.advance(2)
  t.match(waiting.error, conflict)
  t.match(two.guard.snapshot(), { refused: { 'held-elsewhere': 1 } })
  await first.end()
  isAtRest(t, clock, one.guard, two.guard)
})

t.test('a holder that is gone is replaced after its lease', async (t) => {
  const { clock, members } = fleet(2, { leaseMs: 1000 })
  const [one, two] = members
  const gone = await one.guard.begin('a')
  await clock.advance(20_000)
  await t.rejects(two.guard.begin('a'), conflict, 'while it lives it is renewed')
  one.store.lose()
  const waiting = watch(two.guard.begin('a', { maxWaiting: 1, maxWaitMs: 5000 }))
  await clock.advance(1100)
  t.equal(waiting.state, 'resolved')
  t.ok((waiting.value?.fence ?? 0) > (gone.fence ?? Number.POSITIVE_INFINITY))
})

t.test('a lease that is lost aborts the signal, with what to do about it', async (t) => {
  const { clock, leases, members } = fleet(2, { leaseMs: 900 })
  const [one, two] = members
  const operation = await one.guard.begin('a')
  const { signal } = operation
  leases.clear()
  await clock.advance(300)
  t.match(signal.reason, {
    code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_LEASE_LOST',
    statusCode: 503,
    retryAfterMs: 30_000,
    cause: { message: 'taken' },
  })
  await t.rejects(one.guard.begin('a'), conflict, 'in this process the work still holds the key')
  const next = await two.guard.begin('a')
  await operation.end()
  await t.rejects(one.guard.begin('a'), conflict, 'the late end does not end the next one')
  await next.end()
  t.equal(one.guard.snapshot().leasesLost, 1)
  isAtRest(t, clock, one.guard, two.guard)
})

t.test(
  'Redis lost for longer than a lease: who may go on without it goes on, and is seen again later',
  async (t) => {
    const { clock, leases, members } = fleet(2, { leaseMs: 900, timeoutMs: 60_000 })
    const [one, two] = members
    const operation = await one.guard.begin('a')
    const { fence } = operation
    one.store.lose()
    await clock.advance(900)
    t.match(operation, { degraded: true, fence })
    t.equal(operation.signal.aborted, false)
    t.equal(leases.count, 0)
    const younger = await two.guard.begin('a')
    t.ok((younger.fence ?? 0) > (fence ?? Number.POSITIVE_INFINITY))
    await younger.end()
    one.store.restore()
    await clock.advance(0)
    await t.rejects(two.guard.begin('a'), conflict)
    t.equal(operation.fence, fence, 'what it writes is as old as it is')
    await operation.end()
    t.equal(leases.count, 0)
    t.match(one.guard.snapshot(), { leasesLost: 0, overlapped: 0 })
    isAtRest(t, clock, one.guard, two.guard)
  },
)

t.test('Redis lost for longer than a lease: who may not go on without it is told', async (t) => {
  const { clock, members } = fleet(1, { leaseMs: 900, timeoutMs: 60_000, onStoreLoss: 'closed' })
  const [{ guard, store }] = members
  const operation = await guard.begin('a')
  store.lose()
  await clock.advance(900)
  t.match(operation.signal.reason, {
    code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_LEASE_LOST',
    cause: { message: 'silent' },
  })
  await operation.end()
  t.equal(guard.snapshot().leasesLost, 1)
  store.restore()
  await clock.advance(0)
  isAtRest(t, clock, guard)
})

t.test('a loss that is seen only at the end is counted all the same', async (t) => {
  const { leases, members } = fleet(2)
  const [{ guard }] = members
  const operation = await guard.begin('a')
  leases.clear()
  await operation.end()
  t.equal(guard.snapshot().leasesLost, 1)
})

t.test('while Redis is lost each process is on its own, without a fence, and without a wait', async (t) => {
  const { clock, members } = fleet(2)
  const [one, two] = members
  for (const { store } of members) store.lose()
  const first = await one.guard.begin('a')
  t.match(first, { fence: undefined, degraded: true })
  await t.rejects(one.guard.begin('a'), conflict)
  const second = await two.guard.begin('a')
  t.equal(one.store.asked + two.store.asked, 0, 'nobody asks for what is not there')
  t.equal(first.end(), undefined)
  t.equal(second.end(), undefined)
  t.match(one.guard.snapshot().begun, { degraded: 1 })
  isAtRest(t, clock, one.guard, two.guard)
})

t.test(
  "with onStoreLoss: 'closed' nothing begins while Redis is lost, and nobody stays in line",
  async (t) => {
    const { clock, members } = fleet(1, { onStoreLoss: 'closed', maxWaiting: 5 })
    const [{ guard, store }] = members
    const unavailable = {
      code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_UNAVAILABLE',
      statusCode: 503,
      retryAfterSeconds: 1,
    }
    const first = await guard.begin('a')
    const waiting = [1, 2].map(() => watch(guard.begin('a')))
    await clock.advance(0)
    store.lose()
    await t.rejects(guard.begin('b'), unavailable)
    await first.end()
    await clock.advance(0)
    for (const { error } of waiting) t.match(error, unavailable)
    store.restore()
    await clock.advance(0)
    const again = await guard.begin('a')
    await again.end()
    isAtRest(t, clock, guard)
  },
)

t.test('a question that Redis does not answer is one that it cannot answer', async (t) => {
  for (const available of [true, false]) {
    const { clock, leases, members } = fleet(1)
    const [{ guard, store }] = members
    store.hold()
    const asking = watch(guard.begin('a'))
    await clock.advance(0)
    await t.rejects(guard.begin('a'), conflict, 'the key is taken while it is asked for')
    store.lose(available)
    await clock.advance(0)
    t.match(asking.value, { degraded: true, fence: undefined })
    t.equal(leases.count, 1, 'it was granted all the same')
    asking.value?.end()
    store.restore()
    t.equal(leases.count, 0)
    isAtRest(t, clock, guard)
  }
})

t.test(
  'a caller that leaves while Redis is asked is told at once, and its lease is given back',
  async (t) => {
    const { clock, leases, members } = fleet(2)
    const [{ guard, store }, two] = members
    store.hold()
    const controller = new AbortController()
    const asking = watch(guard.begin('a', { signal: controller.signal }))
    await clock.advance(0)
    controller.abort()
    await clock.advance(0)
    t.match(asking.error, { code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_ABORTED' })
    await t.rejects(guard.begin('a'), conflict)
    await t.rejects(two.guard.begin('a'), conflict)
    const patient = watch(guard.begin('a', { maxWaiting: 1 }))
    store.answer()
    await clock.advance(0)
    t.equal(patient.state, 'resolved', 'the next in line begins')
    await patient.value?.end()
    t.equal(leases.count, 0)
    isAtRest(t, clock, guard)
  },
)

t.test('a caller that left while Redis said no, or nothing, leaves the key behind', async (t) => {
  for (const says of ['no', 'nothing']) {
    const { clock, members } = fleet(2)
    const [{ guard, store }, two] = members
    const other = says === 'no' ? await two.guard.begin('a') : undefined
    store.hold()
    const controller = new AbortController()
    const asking = watch(guard.begin('a', { signal: controller.signal, maxWaiting: 1 }))
    await clock.advance(0)
    controller.abort()
    if (says === 'no') store.answer()
    else store.lose()
    await clock.advance(0)
    t.equal(asking.state, 'rejected')
    t.equal(guard.snapshot().held, 0)
    await other?.end()
    store.restore()
    isAtRest(t, clock, guard, two.guard)
  }
})

t.test('a caller that leaves while it waits for another process leaves the key to the next', async (t) => {
  const { clock, members } = fleet(2)
  const [one, two] = members
  const first = await one.guard.begin('a')
  const controller = new AbortController()
  const leaving = watch(two.guard.begin('a', { maxWaiting: 1, signal: controller.signal }))
  const staying = watch(two.guard.begin('a', { maxWaiting: 1 }))
  await clock.advance(10)
  controller.abort()
  await first.end()
  await clock.advance(100)
  t.equal(leaving.state, 'rejected')
  t.equal(staying.state, 'resolved')
  await staying.value?.end()
  isAtRest(t, clock, one.guard, two.guard)
})

t.test('a signal that aborts in the same moment as the grant does not start the work', async (t) => {
  const { clock, leases, members } = fleet(1)
  const [{ guard, store }] = members
  const controller = new AbortController()
  let ran = false
  store.hold()
  const running = watch(
    guard.run('a', { signal: controller.signal }, () => {
      ran = true
    }),
  )
  await clock.advance(0)
  diagnostics.subscribe('holdfast:concurrency-guard:degraded', abort)
  function abort() {
    controller.abort()
  }
  t.teardown(() => diagnostics.unsubscribe('holdfast:concurrency-guard:degraded', abort))
  store.lose()
  await clock.advance(0)
  t.match(running.error, { code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_ABORTED' })
  t.equal(ran, false)
  store.restore()
  t.equal(leases.count, 0)
  isAtRest(t, clock, guard)
})

t.test(
  'Redis lost between the grant and the end: the lease is given back as soon as Redis is there',
  async (t) => {
    const { clock, leases, members } = fleet(2)
    const [one, two] = members
    const operation = await one.guard.begin('a')
    one.store.lose()
    await operation.end()
    t.match(one.guard.snapshot(), { held: 0, unreturned: 1 })
    await t.rejects(two.guard.begin('a'), conflict, 'the other process cannot know')
    one.store.restore()
    const next = one.guard.begin('a')
    await clock.advance(0)
    const begun = await next
    t.ok(begun.fence, 'it is given back before this process asks again')
    await begun.end()
    t.equal(leases.count, 0)
    isAtRest(t, clock, one.guard)
  },
)

t.test('a lease that cannot be given back is forgotten when it has ended by itself', async (t) => {
  const { clock, members } = fleet(1, { leaseMs: 1000 })
  const [{ guard, store }] = members
  const operation = await guard.begin('a')
  store.lose()
  await operation.end()
  await clock.advance(999)
  t.equal(guard.snapshot().unreturned, 1)
  await clock.advance(1)
  t.equal(guard.snapshot().unreturned, 0)
  t.equal(clock.pendingTimers, 0)
})

t.test('a Redis that is there and takes nothing back is asked again a little later', async (t) => {
  const { clock, leases, members } = fleet(1)
  const [{ guard, store }] = members
  const operation = await guard.begin('a')
  store.lose(true)
  await operation.end()
  await clock.advance(260)
  t.equal(guard.snapshot().unreturned, 1)
  store.lose(false)
  await clock.advance(260)
  t.equal(clock.pendingTimers, 0, 'no timer while Redis is away')
  store.restore()
  await clock.advance(0)
  t.equal(leases.count, 0)
  isAtRest(t, clock, guard)
})

t.test('an operation that began without Redis takes its lease when Redis is there', async (t) => {
  const { clock, leases, members } = fleet(2)
  const [one, two] = members
  one.store.lose()
  const operation = await one.guard.begin('a')
  const over = await one.guard.begin('b')
  one.store.hold()
  one.store.restore()
  await clock.advance(0)
  over.end()
  one.store.answer()
  await clock.advance(0)
  t.match(operation, { fence: undefined, degraded: true }, 'others are kept out; it does not become younger')
  t.equal(leases.count, 1, 'what was over by then has given its lease back')
  await t.rejects(two.guard.begin('a'), conflict)
  await operation.end()
  const next = await two.guard.begin('a')
  await next.end()
  isAtRest(t, clock, one.guard, two.guard)
})

t.test('an operation that Redis refused a lease takes it later, although Redis was never away', async (t) => {
  const { clock, members } = fleet(2)
  const [one, two] = members
  one.store.lose(true)
  const operation = await one.guard.begin('a')
  t.match(operation, { fence: undefined, degraded: true })
  await clock.advance(750)
  t.equal(one.store.asked, 3, 'again and again')
  one.store.heal()
  await clock.advance(1000)
  await t.rejects(two.guard.begin('a'), conflict)
  await clock.advance(16_000)
  t.equal(one.store.asked, 4, 'not any more')
  await operation.end()
  isAtRest(t, clock, one.guard, two.guard)
})

t.test('an operation that Redis refuses its lease on its return takes it a little later', async (t) => {
  const { clock, members } = fleet(2)
  const [one, two] = members
  one.store.lose()
  const operation = await one.guard.begin('a')
  one.store.restore()
  one.store.lose(true)
  await clock.advance(0)
  one.store.heal()
  await clock.advance(250)
  await t.rejects(two.guard.begin('a'), conflict)
  t.equal(one.guard.snapshot().overlapped, 0)
  await operation.end()
  isAtRest(t, clock, one.guard, two.guard)
})

t.test('nobody asks for a lease while Redis is lost, nor after the guard was closed', async (t) => {
  const { clock, members } = fleet(1, { timeoutMs: Number.POSITIVE_INFINITY, closeTimeoutMs: 100 })
  const [{ guard, store }] = members
  store.lose(true)
  const operation = await guard.begin('a')
  store.lose()
  await clock.advance(1000)
  t.equal(store.asked, 1)
  store.restore()
  store.lose(true)
  await clock.advance(0)
  const closing = watch(guard.close())
  await clock.advance(100)
  t.equal(closing.state, 'resolved')
  t.equal(clock.pendingTimers, 0)
  operation.end()
})

t.test('many operations without a lease do not ask all at once when Redis is back', async (t) => {
  let numbers = 0
  // 0, 0.01 ... 0.99, over and over.
  const random = () => (numbers++ % 100) / 100
  for (const { count, afterHalf, withinMs } of [
    { count: 100, afterHalf: 100, withinMs: 0 },
    { count: 2100, afterHalf: 100 + 1020, withinMs: 200 },
    { count: 12_100, afterHalf: 100 + 6120, withinMs: 1000 },
  ]) {
    const { clock, leases, members } = fleet(1, { random, maxOperations: 20_000, timeoutMs: Infinity })
    const [{ guard, store }] = members
    store.lose()
    const operations = await Promise.all(Array.from({ length: count }, (_, at) => guard.begin(`key ${at}`)))
    store.restore()
    await clock.advance(0)
    t.equal(store.asked, Math.min(count, 100 + (count - 100) / 100), 'those whose number is 0 as well')
    await clock.advance(withinMs / 2)
    t.equal(store.asked, afterHalf)
    await clock.advance(withinMs / 2)
    t.equal(store.asked, count, `all of them within ${withinMs} ms`)
    await Promise.all(operations.map((operation) => operation.end()))
    t.equal(leases.count, 0)
    isAtRest(t, clock, guard)
  }
})

t.test('operations that Redis refused do not ask again all at once', async (t) => {
  let numbers = 0
  const { clock, members } = fleet(1, { random: () => (numbers++ % 100) / 100 })
  const [{ guard, store }] = members
  store.lose(true)
  const operations = await Promise.all(Array.from({ length: 100 }, (_, at) => guard.begin(`key ${at}`)))
  store.heal()
  await clock.advance(250)
  t.equal(store.asked, 100 + 51)
  await clock.advance(125)
  t.equal(store.asked, 200)
  await Promise.all(operations.map((operation) => operation.end()))
  isAtRest(t, clock, guard)
})

t.test('a Redis that goes on refusing is asked less and less often, until it answers', async (t) => {
  const { clock, members } = fleet(2, { timeoutMs: Infinity })
  const [one, two] = members
  one.store.lose(true)
  const operation = await one.guard.begin('a')
  const askedWithin = async (ms: number) => {
    const before = one.store.asked
    await clock.advance(ms)
    return one.store.asked - before
  }
  for (const ms of [250, 500, 1000, 2000, 4000, 8000]) t.equal(await askedWithin(ms), 1, `after ${ms} ms`)
  t.equal(await askedWithin(80_000), 10, 'every 8 seconds at last')

  const blocking = await two.guard.begin('a')
  one.store.heal()
  await clock.advance(8000)
  t.equal(one.guard.snapshot().overlapped, 1)
  one.store.lose(true)
  await clock.advance(1000)
  t.equal(await askedWithin(250), 1, 'it had answered: from the beginning')
  t.equal(await askedWithin(500), 1)

  one.store.lose()
  one.store.restore()
  one.store.lose(true)
  await clock.advance(0)
  t.equal(await askedWithin(250), 1, 'it was back: from the beginning')
  await blocking.end()
  await operation.end()
  one.store.heal()
  isAtRest(t, clock, one.guard, two.guard)
})

t.test('leases are given back in portions, which leave room for others at the door', async (t) => {
  const { clock, leases, members } = fleet(1)
  const [{ guard, store }] = members
  const operations = await Promise.all(Array.from({ length: 2500 }, (_, at) => guard.begin(`key ${at}`)))
  store.lose()
  await Promise.all(operations.map((operation) => operation.end()))
  store.hold()
  store.restore()
  await clock.advance(0)
  t.equal(leases.count, 1500)
  store.answer()
  await clock.advance(0)
  t.equal(leases.count, 0)
  isAtRest(t, clock, guard)
})

t.test('a lease that comes too late for its operation refuses nobody of its process', async (t) => {
  const { clock, members } = fleet(1)
  const [one] = members
  one.store.lose()
  const operation = await one.guard.begin('a')
  one.store.hold()
  one.store.restore()
  const ended = operation.end()
  const waiting = one.guard.begin('a', { maxWaiting: 1 })
  await t.rejects(one.guard.begin('a'), conflict, 'it is told of at once')
  one.store.answer()
  await ended
  await clock.advance(0)
  const next = await waiting
  t.ok(next.fence, 'Redis grants the next one')
  await next.end()
  t.match(one.guard.snapshot(), { held: 0, refused: { 'held-elsewhere': 0 } })
  isAtRest(t, clock, one.guard)
})

t.test('an operation that began without Redis and finds another process at work is counted', async (t) => {
  const { clock, members } = fleet(2)
  const [one, two] = members
  one.store.lose()
  const operation = await one.guard.begin('a')
  const other = await two.guard.begin('a')
  one.store.restore()
  await clock.advance(0)
  t.match(operation, { degraded: true, fence: undefined })
  t.equal(one.guard.snapshot().overlapped, 1)
  await clock.advance(3000)
  t.equal(one.guard.snapshot().overlapped, 1, 'once, however often it asks')
  await other.end()
  await clock.advance(1000)
  await t.rejects(two.guard.begin('a'), conflict, 'it goes on asking')
  await operation.end()

  one.store.lose()
  const second = await one.guard.begin('b')
  const blocking = await two.guard.begin('b')
  one.store.restore()
  await clock.advance(0)
  // Again and again, and lost in between.
  one.store.restore()
  one.store.lose(true)
  one.store.restore()
  await clock.advance(500)
  second.end()
  await blocking.end()
  isAtRest(t, clock, one.guard, two.guard)
})

t.test(
  'close gives every lease back before it resolves, and lets nobody wait for another process',
  async (t) => {
    const { clock, leases, members } = fleet(2)
    const [one, two] = members
    const operation = await one.guard.begin('a')
    const other = await two.guard.begin('b')
    const pausing = watch(one.guard.begin('b', { maxWaiting: 1 }))
    await clock.advance(0)
    one.store.hold()
    const asking = watch(one.guard.begin('b2', { maxWaiting: 1 }))
    await clock.advance(0)
    const closing = watch(one.guard.close())
    await clock.advance(0)
    t.match(pausing.error, { code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_CLOSED' })
    t.equal(asking.state, 'pending', 'Redis may have granted it')
    one.store.answer()
    await clock.advance(0)
    await asking.value?.end()
    await operation.end()
    await clock.advance(0)
    t.equal(closing.state, 'resolved')
    t.equal(leases.count, 1, 'that of the other process')
    t.equal(one.store.listeners, 0)
    await other.end()
    isAtRest(t, clock, one.guard, two.guard)
  },
)

t.test('a caller that was about to wait for another process when the guard closed is refused', async (t) => {
  const { clock, members } = fleet(2)
  const [one, two] = members
  const other = await two.guard.begin('a')
  one.store.hold()
  const asking = watch(one.guard.begin('a', { maxWaiting: 1 }))
  await clock.advance(0)
  const closing = watch(one.guard.close())
  one.store.answer()
  await clock.advance(0)
  t.match(asking.error, { code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_CLOSED' })
  t.equal(closing.state, 'resolved')
  await other.end()
})

t.test('events tell what happened, with the key, to who listens', async (t) => {
  const { clock, leases, members } = fleet(2, { timeoutMs: 100, graceMs: 50, leaseMs: 300 })
  const [{ guard, store }] = members
  const seen: [string, unknown][] = []
  for (const name of ['refused', 'degraded', 'timed-out', 'given-up', 'lease-lost']) {
    const listen = (message: unknown) => void seen.push([name, message])
    diagnostics.subscribe(`holdfast:concurrency-guard:${name}`, listen)
    t.teardown(() => diagnostics.unsubscribe(`holdfast:concurrency-guard:${name}`, listen))
  }
  const operation = await guard.begin('a')
  await t.rejects(guard.begin('a'), conflict)
  leases.clear()
  await clock.advance(150)
  store.lose()
  const degraded = await guard.begin('b')
  degraded.end()
  const key = '["a"]'
  t.match(seen, [
    ['refused', { key, reason: 'held-here' }],
    ['timed-out', { key, fence: operation.fence, durationMs: 100 }],
    ['lease-lost', { key, durationMs: 100 }],
    ['given-up', { key, durationMs: 150 }],
    ['degraded', { key: '["b"]', fence: undefined, durationMs: 0 }],
  ])
})

t.test('a wrong option of a call is refused before anything is held', async (t) => {
  const { guard } = localGuard()
  const wrong: object[] = [{ timeoutMs: -1 }, { signal: {} }, { timeout: 1 }, { redis: undefined }]
  for (const options of wrong) {
    await t.rejects(guard.begin('a', options), { code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_OPTION' })
    await t.rejects(
      guard.run('a', options, () => 1),
      { code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_OPTION' },
    )
  }
  await t.rejects(guard.begin(''), { code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_KEY' })
  t.equal(guard.snapshot().held, 0)
})
