import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { temporaryDirectory, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import type { Asker } from '../src/plan.ts'
import { HandFleet } from './hand-fleet.ts'

const MINUTE = 60_000
const bots = { group: 'bots', path: '/api/bot/start', open: false }
const somebody: Asker = {
  method: 'POST',
  tenant: () => 'acme',
  address: () => '192.0.2.1',
  roles: () => ['user'],
  hasBypass: () => false,
}

t.test('a rule that closes something else begins again', async (t) => {
  const fleet = new HandFleet()
  const one = await fleet.process()
  await one.set({ id: 'move', scope: { group: 'bots' } })
  await one.set({ id: 'move', scope: { group: 'bots' }, message: 'We move.' })
  t.equal(fleet.logged(/has begun/).length, 1, 'another message closes nothing')
  await one.set({ id: 'move', scope: 'all' })
  t.match(
    fleet.logged(/has begun/).map(({ details }) => details),
    [{ scope: { group: 'bots' } }, { rule: 'move', mode: 'block', scope: {} }],
  )
  t.match(
    fleet.logged(/has ended/).map(({ details }) => details),
    [{ rule: 'move', scope: { group: 'bots' } }],
  )
})

t.test('a window is announced, begins, and ends by itself', async (t) => {
  const fleet = new HandFleet()
  const one = await fleet.process()
  const from = one.wallMs() + 20 * MINUTE
  await one.set({ from, until: from + 30 * MINUTE, message: 'We move.' })
  t.match(one.status, { maintenanceEnabled: false, bannerMessage: '', rules: [] })
  t.match(one.rules(), [{ state: 'scheduled' }])
  await fleet.clock.advance(5 * MINUTE)
  t.match(one.status, { maintenanceEnabled: false, bannerMessage: /^Maintenance begins at .* We move.$/ })
  t.match(one.status.rules, [{ active: false, fromMs: from }])
  await fleet.clock.advance(15 * MINUTE)
  t.match(one.status, { maintenanceEnabled: true, bannerMessage: 'We move.' })
  t.ok(one.plan)
  t.equal(one.retryAfterMs(one.plan?.rules[0] as never), 30 * MINUTE)
  await fleet.clock.advance(30 * MINUTE)
  t.same(one.status, { maintenanceEnabled: false, bannerMessage: '', banner: undefined, rules: [] })
  t.equal(one.plan, undefined)
  t.match(one.rules(), [{ state: 'ended' }], 'until the next change')
  t.same(
    fleet.lines.map(({ message }) => message),
    ['the state of maintenance has changed', 'maintenance has begun', 'maintenance has ended'],
  )
})

t.test('a window that is years away does not begin at once', async (t) => {
  const fleet = new HandFleet()
  const one = await fleet.process()
  await one.set({ from: one.wallMs() + 400 * 86_400_000, announceMs: 0 })
  await fleet.clock.advance(0)
  t.equal(one.plan, undefined)
  await one.close()
})

t.test('a rule or a banner that ends in the past is refused', async (t) => {
  const one = await new HandFleet().process()
  const refused = { code: 'HOLDFAST_ERR_MAINTENANCE_RULE', message: /"until" must be in the future/ }
  await t.rejects(one.set({ until: one.wallMs() }), refused)
  await t.rejects(one.setBanner({ message: 'hello', until: one.wallMs() }), refused)
})

t.test('what is closed for one tenant alone is told to nobody else', async (t) => {
  const one = await new HandFleet().process()
  await one.set({ scope: { tenant: 'acme' }, message: 'You have not paid.' })
  t.same(one.status, { maintenanceEnabled: false, bannerMessage: '', banner: undefined, rules: [] })
  t.equal(one.judge(bots, somebody).pass, false)
  t.equal(one.retryAfterMs(one.plan?.rules[0] as never), undefined, 'nobody knows until when')
  await one.clear()
  t.equal(one.judge(bots, somebody).pass, false, 'who opens the service does not open it for him')
  await one.clear({ ofTenants: true })
  t.equal(one.judge(bots, somebody).pass, true)
})

t.test('a rule that only shows a banner closes nothing', async (t) => {
  const one = await new HandFleet().process()
  await one.set({ mode: 'banner-only', message: 'Odds are late.' })
  t.match(one.status, {
    maintenanceEnabled: false,
    bannerMessage: 'Odds are late.',
    banner: { severity: 'info' },
  })
  t.equal(one.judge(bots, somebody).pass, true)
})

t.test('the banner has nothing to do with maintenance', async (t) => {
  const fleet = new HandFleet()
  const one = await fleet.process()
  await one.setBanner({ message: 'hello', severity: 'critical', until: one.wallMs() + MINUTE })
  t.match(one.status, { maintenanceEnabled: false, bannerMessage: 'hello' })
  await one.set({ message: 'closed' })
  t.match(one.status, { maintenanceEnabled: true, bannerMessage: 'hello' })
  await fleet.clock.advance(MINUTE)
  t.match(one.status, { bannerMessage: 'closed' }, 'its time is over')
  await one.setBanner({ message: 'again' })
  await one.clear()
  t.match(one.status, { maintenanceEnabled: false, bannerMessage: 'again' })
  await one.clearBanner()
  t.match(one.status, { bannerMessage: '' })
})

t.test('a request that may only read is one that would be refused if it wrote', async (t) => {
  const one = await new HandFleet().process()
  const reading = { ...somebody, method: 'GET' }
  t.equal(one.isReadOnly(bots, reading), false)
  await one.set({ mode: 'read-only', scope: { group: 'bots' } })
  t.equal(one.judge(bots, reading).pass, true)
  t.equal(one.isReadOnly(bots, reading), true)
  t.equal(one.isReadOnly({ ...bots, group: undefined }, reading), false)
  t.equal(one.isReadOnly({ ...bots, open: true }, reading), false)
  t.equal(one.isReadOnly(bots, { ...reading, roles: () => ['admin'] }), false, 'whom it lets pass may write')
})

t.test('quiescent is said when the last write of all processes has ended, and not before', async (t) => {
  const fleet = new HandFleet()
  const [one, two] = [await fleet.process(), await fleet.process()]
  // Long enough for the store to have heard of everybody.
  await fleet.clock.advance(20_000)
  const write = { group: 'bots', tenant: 'acme' }
  two.beginWrite(write)
  await one.set({ id: 'drain', mode: 'drain-writes' })
  await fleet.clock.advance(1000)
  t.match(await one.quiescence('drain'), { quiescent: false, inFlight: 1, complete: true })
  t.same((await one.quiescence('drain')).processes.map(({ state }) => state).toSorted(), [
    'draining',
    'quiescent',
  ])
  two.endWrite(write)
  two.endWrite(write)
  await fleet.clock.advance(1000)
  t.match(await one.quiescence('drain'), { quiescent: true, inFlight: 0 })
})

t.test('a process that does not keep to the rule yet, or has fallen silent, is waited for', async (t) => {
  const fleet = new HandFleet()
  const one = await fleet.process()
  await fleet.process()
  await fleet.clock.advance(20_000)
  fleet.store.deaf = true
  await one.set({ id: 'drain', mode: 'drain-writes' })
  t.same((await one.quiescence('drain')).processes.map(({ state }) => state).toSorted(), [
    'behind',
    'quiescent',
  ])
  await fleet.clock.advance(5000)
  t.equal((await one.quiescence('drain')).quiescent, true)
  await fleet.store.sync(0, { id: 'gone', text: '{"version":9e15,"draining":{"drain":0}}' })
  t.equal((await one.quiescence('drain')).quiescent, true)
  await fleet.clock.advance(15_001)
  t.match(await one.quiescence('drain'), { quiescent: false })
  t.ok((await one.quiescence('drain')).processes.some(({ id, state }) => id === 'gone' && state === 'silent'))
  await fleet.clock.advance(50_000)
  t.equal((await one.quiescence('drain')).quiescent, true, 'after a minute it is believed to be gone')
})

t.test('a process that has ended with a write under way is waited for as well', async (t) => {
  const fleet = new HandFleet()
  const [one, two] = [await fleet.process(), await fleet.process()]
  await fleet.clock.advance(20_000)
  two.beginWrite({ group: undefined, tenant: undefined })
  await one.set({ id: 'drain', mode: 'drain-writes' })
  await fleet.clock.advance(1000)
  await two.close()
  t.match(await one.quiescence('drain'), { quiescent: false, inFlight: 1 })
  await fleet.clock.advance(20_000)
  t.same((await one.quiescence('drain')).processes.map(({ state }) => state).toSorted(), [
    'quiescent',
    'silent',
  ])
  await fleet.clock.advance(60_000)
  t.equal((await one.quiescence('drain')).quiescent, true)
})

t.test('nothing is said before the store has heard of everybody, nor of words it cannot read', async (t) => {
  const fleet = new HandFleet()
  const one = await fleet.process()
  await one.set({ id: 'drain', mode: 'drain-writes' })
  t.match(await one.quiescence('drain'), { quiescent: false, complete: false })
  await fleet.clock.advance(20_000)
  t.match(await one.quiescence('drain'), { quiescent: true, complete: true })
  for (const text of [
    '',
    '[]',
    'null',
    '{"version":"9"}',
    '{"version":9e15}',
    '{"version":9e15,"draining":{"drain":"0"}}',
  ]) {
    await fleet.store.sync(0, { id: 'other', text })
    t.equal((await one.quiescence('drain')).quiescent, false, text)
  }
  await t.rejects(one.quiescence('other'), { code: 'HOLDFAST_ERR_MAINTENANCE_UNKNOWN' })
  fleet.store.available = false
  await t.rejects(one.quiescence('drain'), { code: 'HOLDFAST_ERR_MAINTENANCE_UNAVAILABLE' })
})

t.test('work in the background writes only where it may, and is waited for', async (t) => {
  const fleet = new HandFleet()
  const one = await fleet.process()
  t.equal(await one.write({ group: 'settlement' }, async () => 7), 7)
  t.equal(await one.write({}, () => 8), 8)
  await t.rejects(
    one.write({}, () => {
      throw new Error('its own')
    }),
    /its own/,
  )
  t.equal(one.snapshot().writesInFlight, 0)
  const { promise, resolve } = Promise.withResolvers<void>()
  const writing = one.write({ group: 'settlement', tenant: 'acme' }, () => promise)
  t.equal(one.snapshot().writesInFlight, 1)
  await one.set({
    mode: 'drain-writes',
    scope: { group: 'settlement', tenant: 'acme' },
    message: 'We drain.',
  })
  await t.rejects(
    one.write({ group: 'settlement', tenant: 'acme' }, () => t.fail('it must not run')),
    {
      code: 'HOLDFAST_ERR_MAINTENANCE_ACTIVE',
      statusCode: 503,
      message: 'We drain.',
      retryAfterSeconds: 120,
    },
  )
  t.equal(await one.write({ group: 'settlement', tenant: 'globex' }, () => 9), 9)
  resolve()
  await writing
  t.match(one.snapshot(), { writesInFlight: 0, refused: { 'drain-writes': 1 } })
})

t.test('a write counts for the rules that are about it', async (t) => {
  const fleet = new HandFleet()
  const one = await fleet.process()
  await fleet.clock.advance(20_000)
  one.beginWrite({ group: 'bots', tenant: 'acme' })
  one.beginWrite({ group: 'bots', tenant: undefined })
  one.beginWrite({ group: undefined, tenant: 'globex' })
  await one.set({ id: 'all', mode: 'drain-writes' })
  await one.set({ id: 'bots', mode: 'drain-writes', scope: { group: 'bots' } })
  await one.set({ id: 'acme', mode: 'drain-writes', scope: { tenant: 'acme' } })
  await one.set({ id: 'bets', mode: 'drain-writes', scope: { group: 'bets' } })
  const inFlight = async (id: string) => (await one.quiescence(id)).inFlight
  t.same(
    [await inFlight('all'), await inFlight('bots'), await inFlight('acme'), await inFlight('bets')],
    [3, 2, 2, 0],
  )
})

t.test('a bypass lets pass until it ends or all are revoked', async (t) => {
  const fleet = new HandFleet()
  const bypass = { keys: ['k'.repeat(32)] }
  const [one, two] = [await fleet.process({ bypass }), await fleet.process({ bypass })]
  const { token, id, untilMs } = one.issueBypass(MINUTE)
  t.match(two.readBypass(token), { id, untilMs: Math.floor(untilMs), epoch: 1 })
  await fleet.clock.advance(MINUTE)
  t.throws(() => two.readBypass(token), { code: 'HOLDFAST_ERR_MAINTENANCE_BYPASS', statusCode: 403 })
  const other = one.issueBypass(MINUTE).token
  await one.revokeBypasses({ by: 'alice' })
  await fleet.clock.advance(0)
  t.equal(one.findBypass(other), undefined)
  t.equal(two.findBypass(other), undefined)
  t.ok(two.findBypass(one.issueBypass(MINUTE).token))
  t.throws(() => one.issueBypass(8 * 86_400_000), { code: 'HOLDFAST_ERR_MAINTENANCE_RULE' })
})

t.test('without keys there is no bypass', async (t) => {
  const one = await new HandFleet().process()
  t.throws(() => one.issueBypass(MINUTE), { code: 'HOLDFAST_ERR_MAINTENANCE_UNKNOWN' })
  t.equal(one.findBypass('x'), undefined)
  await t.rejects(one.revokeBypasses(), { code: 'HOLDFAST_ERR_MAINTENANCE_UNKNOWN' })
})

t.test('a setting wins over what all agree on, in its process alone', async (t) => {
  const fleet = new HandFleet()
  const [off, on, usual] = [
    await fleet.process({ force: 'off' }),
    await fleet.process({ force: 'on', rule: { mode: 'read-only' } }),
    await fleet.process(),
  ]
  t.match(on.status, { maintenanceEnabled: true })
  t.equal(on.plan?.rules[0]?.mode, 'read-only')
  await usual.set({})
  await fleet.clock.advance(0)
  t.equal(off.plan, undefined)
  t.match(off.rules(), [{ state: 'overridden' }])
  t.equal(on.snapshot().override, 'setting')
  await fleet.clock.advance(20_000)
  await usual.set({ id: 'drain', mode: 'drain-writes' })
  await fleet.clock.advance(1000)
  t.equal((await usual.quiescence('drain')).quiescent, false, 'a process that goes its own way is waited for')
})

t.test('a file wins while it is there, and one that cannot be understood changes nothing', async (t) => {
  const fleet = new HandFleet()
  const directory = await temporaryDirectory()
  t.teardown(() => directory.remove())
  const file = join(directory.path, 'maintenance')
  const one = fleet.made({ file, fileCheckMs: 1000, rule: { id: 'usual' } })
  t.teardown(() => one.close())
  void one.start()
  const until = (what: string, isSo: () => boolean) =>
    waitUntil(
      async () => {
        await fleet.clock.advance(1000)
        return isSo()
      },
      { what, timeoutMs: 30_000 },
    )
  const ids = () => one.plan?.rules.map(({ rule }) => rule.id).join()
  await writeFile(file, '')
  await until('an empty file closes', () => ids() === 'usual')
  await writeFile(file, '[{"id":"a","mode":"read-only"},{"id":"b"}]')
  await until('a file of rules', () => ids() === 'b,a')
  await writeFile(file, '{"mode":"sleep"}')
  await until('a line in the log', () => fleet.logged(/cannot be understood/).length > 0)
  await fleet.clock.advance(5000)
  t.equal(ids(), 'b,a')
  await writeFile(file, 'x'.repeat(65_537))
  await until('another line', () => fleet.logged(/cannot be understood/).length > 1)
  await writeFile(file, 'OFF\n')
  await until('nothing is closed', () => ids() === undefined)
  t.equal(one.override?.origin, 'file')
  await writeFile(file, '{"id":"one"}')
  await until('a file of one rule', () => ids() === 'one')
  await rm(file)
  await until('no file', () => one.override === undefined)
  t.equal(one.plan, undefined)
})

t.test('history without a journal is that of this process, and bounded', async (t) => {
  const one = await new HandFleet().process()
  t.same(await one.history(), [])
  for (let at = 0; at < 105; at += 1) await one.setBanner({ message: `${at}` }, { by: 'alice' })
  const [first, second] = await one.history(2)
  t.match(first, { change: { action: 'banner.set', by: 'alice' } })
  t.same(
    (await one.history(1, first?.version)).map(({ version }) => version),
    [second?.version],
  )
  t.equal((await one.history(100, second?.version)).length, 98)
  await t.rejects(one.history(0), { code: 'HOLDFAST_ERR_MAINTENANCE_RULE' })
  await t.rejects(one.history(1, -1), { code: 'HOLDFAST_ERR_MAINTENANCE_RULE' })
})

t.test('history with a journal is the journal', async (t) => {
  const fleet = new HandFleet()
  const { journal } = fleet
  const one = await fleet.process({ journal })
  await one.set({})
  t.match(await one.history(), [{ change: { action: 'rule.set' } }])
  journal.broken = true
  await t.rejects(one.history(), /the journal cannot be reached/)
})

t.test('every change is an event, and so is every beginning and end', async (t) => {
  const fleet = new HandFleet()
  const one = await fleet.process()
  const told: unknown[] = []
  const listen = (message: unknown, name: string | symbol) =>
    void told.push([String(name).replace('holdfast:maintenance:', ''), message])
  for (const name of ['changed', 'begun', 'ended', 'refused']) {
    subscribe(`holdfast:maintenance:${name}`, listen)
    t.teardown(() => unsubscribe(`holdfast:maintenance:${name}`, listen))
  }
  await one.set({ id: 'a' })
  const [active] = one.plan?.rules ?? []
  if (active !== undefined) one.countRefused(active, 'POST', '/x')
  await one.remove('a')
  t.match(told, [
    ['changed', { learnt: false, change: { action: 'rule.set' } }],
    ['begun', { id: 'a', mode: 'block', scope: {} }],
    ['refused', { id: 'a', mode: 'block', method: 'POST', path: '/x' }],
    ['changed', { learnt: false, change: { action: 'rule.removed' } }],
    ['ended', { id: 'a', mode: 'block' }],
  ])
})
