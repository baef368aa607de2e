import { HandClock, temporaryDirectory, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { FileLog, type RevocationLog } from '../src/index.ts'
import { RevocationJournal } from '../src/revocation-journal.ts'
import { SecretRing } from '../src/secret-ring.ts'
import { readId } from '../src/session-id.ts'
import { type Outages, startOutages } from './outages.ts'
import { Browser, secrets, sessionApp } from './session-app.ts'

let outages: Outages
const outage: Outages['run'] = (...world) => outages.run(...world)

t.before(async () => {
  outages = await startOutages()
})
t.teardown(() => outages.stop())

function fileLog(): FileLog {
  const directory = temporaryDirectory('revocation-log')
  t.teardown(() => directory.remove())
  return new FileLog(directory.path)
}

t.test('a logout of an outage holds on every process before that one uses Redis again', async (t) => {
  await outage(
    async ({ here, there, guards, browser, lose, heal }) => {
      const copy = browser.at(there)
      lose()
      await browser.post('/logout')
      // The other one finds Redis first; the one that noted the end never does.
      const first: number[] = []
      const stop = guards[1].onStateChange(async (state) => {
        if (state === 'up') first.push((await copy.get('/me')).statusCode)
      })
      await outages.healOne(1)
      await waitUntil(() => first.length === 1)
      stop()
      t.same(first, [401], 'already at its first request')
      t.equal(here.redisSession.snapshot().untold, 1)
      t.match(there.redisSession.snapshot(), { untold: 0, counts: { journalled: 0, replayed: 1 } })
      await heal()
      await waitUntil(() => here.redisSession.snapshot().untold === 0)
      t.equal((await browser.at(here).get('/me')).statusCode, 401)
    },
    { revocationLog: fileLog() },
  )
})

t.test('what ends on one process ends on the others, too, while Redis is away', async (t) => {
  await outage(
    async ({ here, there, browser, lose }) => {
      const other = new Browser(here)
      await other.post('/login', { userId: 'ann' })
      const copies = [browser.at(there), other.at(there)]
      lose()
      await browser.post('/logout')
      await waitUntil(async () => (await copies[0]?.get('/me'))?.statusCode === 503)
      t.equal((await copies[1]?.get('/me'))?.statusCode, 200)
      await here.redisSession.revokeAll('ann')
      await waitUntil(async () => (await copies[1]?.get('/me'))?.statusCode === 503)
    },
    { revocationLog: fileLog() },
  )
})

t.test('what a process noted that was killed is told by the next one, before it serves', async (t) => {
  const revocationLog = fileLog()
  await outage(
    async ({ there, guards, browser, lose, heal }) => {
      const killed = await sessionApp({ redis: guards[0], secrets, revocationLog })
      const copy = browser.at(there)
      lose()
      await browser.at(killed).post('/logout')
      // It forgets all it knows, and tells nobody: closed before Redis is back.
      await killed.close()
      await heal()
      const next = await sessionApp({ redis: guards[0], secrets, revocationLog })
      t.equal((await copy.get('/me')).statusCode, 401)
      t.match(next.redisSession.snapshot(), { untold: 0, counts: { replayed: 1 } })
      t.same(await revocationLog.read(10), [])
      await next.close()
    },
    // The others know of no log.
    {},
  )
})

t.test('what one process noted that lost Redis alone, and was killed, is told by the others', async (t) => {
  const revocationLog = fileLog()
  const clock = new HandClock()
  await outage(async ({ guards, browser }) => {
    const other = await sessionApp({ redis: guards[1], secrets, revocationLog, clock })
    const copy = browser.at(other)
    const id = readId(new SecretRing(secrets as [string]), browser.cookies.get('sid') ?? '')
    t.ok(id)
    const killed = new RevocationJournal({ log: revocationLog, owner: 'killed', clock, rememberMs: 0 })
    if (id !== undefined) await killed.note({ kind: 'session', address: id.address })
    t.equal((await copy.get('/me')).statusCode, 200, 'nobody has told it')
    await clock.advance(10_000)
    await waitUntil(() => other.redisSession.snapshot().counts.replayed === 1)
    t.equal((await copy.get('/me')).statusCode, 401)
    t.same(await revocationLog.read(10), [])
    await other.close()
    t.equal(clock.pendingTimers, 0)
  })
})

t.test('a log that does not work keeps Redis from nobody, and no logout is promised', async (t) => {
  const broken: RevocationLog = {
    append: async () => {
      throw new Error('the disk is full')
    },
    read: async () => {
      throw new Error('the disk is gone')
    },
    remove: async () => {},
  }
  await outage(
    async ({ here, there, browser, lose, heal }) => {
      lose()
      t.equal((await browser.post('/logout')).statusCode, 503, 'he is told that it did not work')
      t.equal((await browser.get('/me')).statusCode, 503, 'and yet nobody is believed here')
      await heal()
      t.ok(here.redisSession.snapshot().counts.oddities >= 2)
      t.equal((await browser.at(there).get('/me')).statusCode, 401)
    },
    { revocationLog: broken },
  )
})

t.test('a service that is closed in an outage asks its log no more', async (t) => {
  const clock = new HandClock()
  const asked: (() => void)[] = []
  const slow: RevocationLog = {
    append: async () => {},
    read: () => new Promise((resolve) => asked.push(() => resolve([]))),
    remove: async () => {},
  }
  await outage(async ({ guards, lose }) => {
    lose()
    const app = await sessionApp({ redis: guards[0], secrets, clock, revocationLog: slow })
    await clock.advance(1000)
    t.equal(asked.length, 1)
    await app.close()
    for (const answer of asked) answer()
    await clock.advance(10_000)
    t.equal(asked.length, 1)
    t.equal(clock.pendingTimers, 0)
  })
})

t.test('a log that hangs costs its budget, and is asked again', async (t) => {
  let hangs = true
  let reads = 0
  const entries = fileLog()
  const slow: RevocationLog = {
    append: (entry) => entries.append(entry),
    read: (maximum) => {
      reads += 1
      return hangs ? new Promise(() => {}) : entries.read(maximum)
    },
    remove: (names) => entries.remove(names),
  }
  await outage(
    async ({ here, browser, lose, heal }) => {
      lose()
      await heal()
      t.equal((await browser.get('/me')).statusCode, 200)
      hangs = false
      const before = reads
      await waitUntil(() => reads > before)
      t.equal(here.redisSession.available, true)
    },
    { revocationLog: slow },
  )
})
