import t from 'tap'
import { UserSpikes } from '../src/user-spikes.ts'

const settings = { maxEvents: 50, windowMs: 300_000, maxUsers: 1000, maxFlagged: 10 }

t.test('the fiftieth event within five minutes flags a user, with a reason', async (t) => {
  const spikes = new UserSpikes(settings)
  for (let event = 1; event < 50; event += 1) {
    t.equal(spikes.note('alice', event % 5 === 0 ? 'bot.stop' : 'bot.start', event * 1000), undefined)
  }
  const flag = spikes.note('alice', 'bot.start', 60_000)
  t.same(flag, {
    user: 'alice',
    reason: '50 events within 300 s: bot.start 41, bot.stop 9',
    sinceMs: 60_000,
    events: 50,
  })
  t.equal(spikes.note('alice', 'bot.start', 61_000), undefined, 'it is flagged once')
  t.equal(spikes.flagOf('alice'), flag)
  t.equal(spikes.flagOf('bob'), undefined)
})

t.test('fifty events that take longer flag nobody', async (t) => {
  const spikes = new UserSpikes(settings)
  for (let event = 0; event < 500; event += 1) spikes.note('alice', 'login', event * 6200)
  t.equal(spikes.flagged, 0)
})

t.test('after a quiet window the reason names only what is new', async (t) => {
  const spikes = new UserSpikes({ ...settings, maxEvents: 2 })
  spikes.note('alice', 'old', 0)
  spikes.note('alice', 'new', 400_000)
  t.equal(spikes.note('alice', 'new', 400_001)?.reason, '2 events within 300 s: new 2')
})

t.test('the reason tells of the window alone, also of one who is never quiet', async (t) => {
  const spikes = new UserSpikes(settings)
  let nowMs = 0
  for (let event = 0; event < 400; event += 1) {
    nowMs += 10_000
    spikes.note('alice', event < 300 ? `kind-${event % 12}` : 'login', nowMs)
  }
  t.equal(spikes.flagged, 0, 'thirty in five minutes')
  for (let event = 0; event < 40; event += 1)
    spikes.note('alice', event % 4 === 0 ? 'bot.stop' : 'bot.start', nowMs)
  const reason = spikes.flagOf('alice')?.reason ?? ''
  const named = [...reason.matchAll(/([\w.]+) (\d+)(?:,|$)/g)]
  t.equal(
    named.reduce((sum, [, , count]) => sum + Number(count), 0),
    50,
    reason,
  )
  t.notMatch(reason, /kind|others/)
})

t.test('a user may do many kinds of things; few of them are named', async (t) => {
  const spikes = new UserSpikes(settings)
  for (let event = 0; event < 50; event += 1) spikes.note('alice', `kind-${event}`, 0)
  t.match(spikes.flagOf('alice')?.reason, /^50 events within 300 s: others 46, kind-0 1, .*kind-3 1$/)
})

t.test('a flag can be set by hand, and taken away with what was counted', async (t) => {
  const spikes = new UserSpikes(settings)
  spikes.note('alice', 'login', 0)
  t.match(spikes.flag('alice', 'charge back', 5), { reason: 'charge back', events: 1 })
  t.equal(spikes.unflag('alice'), true)
  t.equal(spikes.unflag('alice'), false)
  t.equal(spikes.events('alice', 5), 0)
  t.equal(spikes.unflag('nobody'), false)
})

t.test('the oldest flag makes room when there are too many', async (t) => {
  const spikes = new UserSpikes(settings)
  for (let user = 0; user < 12; user += 1) spikes.flag(`user-${user}`, 'x', user)
  t.equal(spikes.flagged, 10)
  t.equal(spikes.flags()[0]?.user, 'user-11')
  t.equal(spikes.flagOf('user-1'), undefined)
})

t.test('a flood of names does not make the guard forget who does much', async (t) => {
  const spikes = new UserSpikes(settings)
  let nowMs = 0
  for (let event = 1; event < 50; event += 1) spikes.note('alice', 'login', nowMs)
  for (let name = 0; name < 100_000; name += 1) {
    nowMs += 1
    spikes.note(`name-${name}`, 'login', nowMs)
  }
  t.equal(spikes.users, 1000, 'no more than the maximum')
  t.ok(spikes.displaced > 0)
  t.match(spikes.note('alice', 'login', nowMs), { user: 'alice', events: 50 })
})

t.test('users whose window is over make room unnoticed', async (t) => {
  const spikes = new UserSpikes({ ...settings, maxUsers: 2 })
  spikes.note('a', 'x', 0)
  spikes.note('b', 'x', 0)
  spikes.note('c', 'x', 400_000)
  t.equal(spikes.users, 2)
  t.equal(spikes.displaced, 0)
})

t.test('with no room for anybody nobody is counted', async (t) => {
  const spikes = new UserSpikes({ ...settings, maxUsers: 0 })
  for (let event = 0; event < 60; event += 1) t.equal(spikes.note('alice', 'x', 0), undefined)
})
