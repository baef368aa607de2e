import t from 'tap'
import type { Maintenance } from '../src/maintenance.ts'
import { HandFleet } from './hand-fleet.ts'

const isClosed = (process: Maintenance) => process.plan !== undefined

t.test('what one process closes is closed in all of them, at once', async (t) => {
  const fleet = new HandFleet()
  const [one, two] = [await fleet.process(), await fleet.process()]
  const { state, recorded, rule } = await one.set(
    { message: 'We move.' },
    { by: 'alice', reason: 'change 4711' },
  )
  t.equal(recorded, undefined, 'there is no journal')
  t.equal(rule.id, 'all')
  t.ok(isClosed(one))
  await fleet.clock.advance(0)
  t.ok(isClosed(two))
  t.same(two.state, state)
  t.match(two.state.change, { action: 'rule.set', subject: 'all', by: 'alice', reason: 'change 4711' })
  await two.remove('all')
  await fleet.clock.advance(0)
  t.notOk(isClosed(one))
})

t.test('without word of it, within five seconds', async (t) => {
  const fleet = new HandFleet()
  const [one, two] = [await fleet.process(), await fleet.process({ random: () => 0.999 })]
  fleet.store.deaf = true
  await one.set({})
  await fleet.clock.advance(0)
  t.notOk(isClosed(two))
  await fleet.clock.advance(5000)
  t.ok(isClosed(two))
})

t.test('while the store is away everything stays as it is, and nothing can be changed', async (t) => {
  const fleet = new HandFleet()
  const one = await fleet.process()
  await one.set({})
  fleet.store.available = false
  await fleet.clock.advance(60_000)
  t.ok(isClosed(one))
  await t.rejects(one.clear(), {
    code: 'HOLDFAST_ERR_MAINTENANCE_UNAVAILABLE',
    statusCode: 503,
    retryAfterSeconds: 1,
  })
  t.ok(isClosed(one))
  await t.rejects(
    one.quiescence('all'),
    { code: 'HOLDFAST_ERR_MAINTENANCE_UNKNOWN' },
    'that one drains nothing',
  )
  fleet.store.available = true
  await one.clear()
  t.notOk(isClosed(one))
})

t.test('a store that is there and refuses, as a full one does, is told about, once', async (t) => {
  const fleet = new HandFleet()
  const one = await fleet.process()
  fleet.store.failures = 4
  await t.rejects(one.set({}), { code: 'HOLDFAST_ERR_MAINTENANCE_UNAVAILABLE' })
  t.match(fleet.logged(/has not taken a change/), [{ level: 'warn', details: { err: Error } }])
  await fleet.clock.advance(60_000)
  t.equal(fleet.store.failures, 0)
  t.match(fleet.logged(/refuses to be looked at/), [{ level: 'warn', details: { err: Error } }])
  t.equal(fleet.logged(/refuses to be looked at/).length, 1)
  await one.set({})
  fleet.store.failures = 1
  await fleet.clock.advance(10_000)
  t.equal(fleet.logged(/refuses to be looked at/).length, 2, 'and when it happens again')
})

t.test('a store that has lost everything is told again by whoever knows', async (t) => {
  const fleet = new HandFleet()
  const one = await fleet.process()
  const { state } = await one.set({})
  fleet.store.flush()
  const two = await fleet.process()
  t.notOk(isClosed(two), 'it starts before anybody has noticed')
  await fleet.clock.advance(5000)
  t.ok(isClosed(two))
  t.equal(two.state.version, state.version)
  t.equal(one.snapshot().replica.restored, 1)
})

t.test('a start finds what is in force, in the store or in the journal', async (t) => {
  const fleet = new HandFleet()
  const { journal } = fleet
  const one = await fleet.process({ journal })
  const { recorded } = await one.set({})
  t.equal(recorded, true)
  t.ok(isClosed(await fleet.process()), 'in the store')
  await one.close()
  fleet.store.available = false
  const two = await fleet.process({ journal })
  t.ok(isClosed(two), 'in the journal, while the store is away')
  await two.close()
  fleet.store.available = true
  fleet.store.flush()
  const three = await fleet.process({ journal })
  t.ok(isClosed(three), 'in the journal, when the store has lost everything')
  t.ok(isClosed(await fleet.process()), 'and the store knows it again')
})

t.test('a start without store and journal goes by its settings, says so, and learns later', async (t) => {
  const fleet = new HandFleet()
  const { journal, store } = fleet
  const one = await fleet.process({ journal })
  await one.set({ id: 'one' })
  store.available = false
  journal.broken = true
  const initial = { rules: [{ id: 'initial', mode: 'read-only' }], banner: { message: 'hello' } } as const
  const two = await fleet.process({ journal, initial })
  t.same(
    two.rules().map(({ id }) => id),
    ['initial'],
  )
  t.equal(two.status.bannerMessage, 'hello')
  t.equal(two.snapshot().heard, false)
  t.equal(fleet.logged(/neither the store nor the journal/).length, 1)
  journal.broken = false
  await fleet.clock.advance(5000)
  t.same(
    two.rules().map(({ id }) => id),
    ['one'],
  )
  t.equal(two.snapshot().heard, true)
})

t.test(
  'what the settings say holds until somebody changes something, and is the beginning of that',
  async (t) => {
    const fleet = new HandFleet()
    const initial = { rules: [{ id: 'initial' }] }
    const one = await fleet.process({ initial })
    const two = await fleet.process({ initial })
    t.ok(isClosed(one))
    t.equal(one.state.version, 0)
    await one.set({ id: 'more', mode: 'read-only' })
    await fleet.clock.advance(0)
    t.same(
      two.rules().map(({ id }) => id),
      ['initial', 'more'],
    )
    await two.clear()
    t.ok(!isClosed(await fleet.process({ initial })), 'a start does not close again what somebody has opened')
  },
)

t.test('two who change something at one time lose nothing of either', async (t) => {
  const fleet = new HandFleet()
  fleet.store.deaf = true
  const [one, two] = [await fleet.process(), await fleet.process()]
  await one.set({ id: 'a' })
  await two.set({ id: 'b' })
  t.same(
    two.rules().map(({ id }) => id),
    ['a', 'b'],
  )
  await t.rejects(one.set({ id: 'c' }, { version: 1 }), {
    code: 'HOLDFAST_ERR_MAINTENANCE_CONFLICT',
    statusCode: 409,
  })
  await t.rejects(
    one.set({ id: 'c' }, { version: one.state.version }),
    { code: 'HOLDFAST_ERR_MAINTENANCE_CONFLICT' },
    'it did not know of b',
  )
  await one.set({ id: 'c' }, { version: one.state.version })
  t.same(
    one.rules().map(({ id }) => id),
    ['a', 'b', 'c'],
  )
})

t.test('a journal that is away keeps nobody from anything, and gets everything later', async (t) => {
  const fleet = new HandFleet()
  const { journal } = fleet
  const one = await fleet.process({ journal })
  journal.broken = true
  const [first, second] = [await one.set({ id: 'a' }), await one.set({ id: 'b' })]
  t.same([first.recorded, second.recorded], [false, false])
  t.equal(one.snapshot().replica.unrecorded, 2)
  journal.broken = false
  await fleet.clock.advance(5000)
  t.same(
    journal.entries.map(({ change }) => change.subject),
    ['a', 'b'],
  )
  t.equal(one.snapshot().replica.unrecorded, 0)
})

t.test('a journal that does not answer is waited for a second', async (t) => {
  const fleet = new HandFleet()
  const { journal } = fleet
  const one = await fleet.process({ journal })
  journal.append = () => new Promise(() => {})
  const changing = one.set({})
  await fleet.clock.advance(1000)
  t.equal((await changing).recorded, false)
})

t.test('changes that a journal never takes are bounded, and the oldest is told in the log', async (t) => {
  const fleet = new HandFleet()
  const { journal } = fleet
  const one = await fleet.process({ journal })
  journal.broken = true
  for (let at = 0; at < 102; at += 1) await one.setBanner({ message: `${at}` })
  t.equal(one.snapshot().replica.unrecorded, 100)
  t.equal(fleet.logged(/is missing in the journal/).length, 2)
})

t.test(
  'a change whose author ended before it was written down is written down by the next start',
  async (t) => {
    const fleet = new HandFleet()
    const { journal } = fleet
    const one = await fleet.process()
    await one.set({ id: 'a' }, { by: 'alice' })
    await fleet.process({ journal })
    await fleet.clock.advance(0)
    t.match(journal.entries, [{ change: { subject: 'a', by: 'alice' } }])
  },
)

t.test('a change whose answer was lost is found, told as one of here, and written down', async (t) => {
  const fleet = new HandFleet()
  const { journal, store } = fleet
  const [one, two] = [await fleet.process({ journal }), await fleet.process({ journal })]
  store.lostAnswers = 1
  await t.rejects(one.set({ id: 'a' }, { by: 'alice' }), { code: 'HOLDFAST_ERR_MAINTENANCE_UNAVAILABLE' })
  await fleet.clock.advance(0)
  t.ok(isClosed(one) && isClosed(two))
  t.match(journal.entries, [{ version: one.state.version, change: { subject: 'a', by: 'alice' } }])
  t.same(
    fleet.logged(/has changed/).map(({ details }) => (details as { learnt: boolean }).learnt),
    [false, true],
    'one of them says that it was made there',
  )
  await one.remove('a')
  t.equal(journal.entries.length, 2, 'what comes after it is written down once')
})

t.test('what nobody could read is not written', async (t) => {
  const fleet = new HandFleet()
  const one = await fleet.process()
  for (const note of [{ by: '' }, { by: 'x'.repeat(1001) }, { reason: '' }, { requestId: '' }]) {
    await t.rejects(one.set({}, note), { code: 'HOLDFAST_ERR_MAINTENANCE_RULE' })
  }
  t.same(one.rules(), [])
  await one.set({ reason: 'of the rule' }, { by: 'alice', reason: undefined })
  t.match(one.state.change, { by: 'alice', reason: 'of the rule' })
})

t.test('a state of another version is not kept to, and that is said once', async (t) => {
  const fleet = new HandFleet()
  const one = await fleet.process()
  const { state } = await one.set({ id: 'a' })
  await fleet.store.write('{"epoch":1,"rules":[{"mode":"sleep"}]}', state.version)
  await fleet.clock.advance(15_000)
  t.same(
    one.rules().map(({ id }) => id),
    ['a'],
  )
  t.equal(fleet.logged(/written by another version/).length, 1)
  await one.set({ id: 'b' })
  t.same(
    one.rules().map(({ id }) => id),
    ['a', 'b'],
    'a change replaces it',
  )
})

t.test('a call that fails once is made up for by the next look', async (t) => {
  const fleet = new HandFleet()
  fleet.store.deaf = true
  const [one, two] = [await fleet.process(), await fleet.process()]
  await one.set({})
  fleet.store.failures = 2
  await fleet.clock.advance(10_000)
  t.ok(isClosed(two))
  t.ok(two.snapshot().replica.failures + one.snapshot().replica.failures >= 2)
})

t.test('a closed process looks no more, and leaves no timer', async (t) => {
  const fleet = new HandFleet()
  const one = await fleet.process()
  await one.set({ until: fleet.clock.wallMs() + 1000 })
  await one.close()
  t.equal(await one.sync(), false)
  t.equal(fleet.clock.pendingTimers, 0)
  t.same((await fleet.store.members()).members, [])
})

t.test('windows begin and end in all processes by the clock of the store', async (t) => {
  const fleet = new HandFleet()
  fleet.store.aheadMs = 3_600_000
  const one = await fleet.process()
  t.equal(one.wallMs(), fleet.clock.wallMs() + 3_600_000)
  await one.set({ from: one.wallMs() + 1000, until: one.wallMs() + 2000 })
  t.notOk(isClosed(one))
  fleet.clock.jumpWall(-86_400_000)
  await fleet.clock.advance(1000)
  t.ok(isClosed(one), 'whatever happens to the clock of this process')
  await fleet.clock.advance(1000)
  t.notOk(isClosed(one))
})

t.test('a window that was over by a clock that is ahead is held by that of the store', async (t) => {
  const fleet = new HandFleet()
  fleet.store.aheadMs = -3_600_000
  const storeMs = fleet.clock.wallMs() - 3_600_000
  const one = fleet.made({ initial: { rules: [{ until: storeMs + 60_000 }] } })
  t.notOk(isClosed(one))
  const starting = one.start()
  await fleet.clock.advance(0)
  await starting
  t.ok(isClosed(one))
  await fleet.clock.advance(60_000)
  t.notOk(isClosed(one), 'it is over')
  fleet.store.aheadMs -= 900
  t.equal(await one.sync(), true)
  t.notOk(isClosed(one), 'and does not begin again because a clock was measured twice')
  await one.close()
})

t.test('processes without a store follow the journal, and none says that all is quiescent', async (t) => {
  const [here, there] = [new HandFleet(), new HandFleet()]
  const { journal } = here
  const [one, two] = [
    await here.process({ journal, processes: 2 }),
    await there.process({ journal, processes: 2 }),
  ]
  await one.set({ id: 'a', mode: 'drain-writes' })
  t.notOk(isClosed(two))
  await there.clock.advance(5000)
  t.ok(isClosed(two))
  t.same(two.state, one.state)
  await two.set({ id: 'b' })
  await one.set({ id: 'c' })
  t.same(
    one.rules().map(({ id }) => id),
    ['a', 'b', 'c'],
    'a change is made to the last one, whoever made that',
  )
  t.equal(journal.entries.length, 3)
  await here.clock.advance(60_000)
  t.match(await one.quiescence('a'), { quiescent: false, complete: false })
  journal.broken = true
  const { recorded } = await one.clear()
  t.equal(recorded, false)
  journal.broken = false
  await here.clock.advance(5000)
  await there.clock.advance(5000)
  t.notOk(isClosed(two), 'as soon as the journal has it')
})
