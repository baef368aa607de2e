import { waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { type Outages, startOutages } from './outages.ts'
import { Browser } from './session-app.ts'

let outages: Outages
const outage: Outages['run'] = (...world) => outages.run(...world)

t.before(async () => {
  outages = await startOutages()
})
t.teardown(() => outages.stop())

t.test(
  'sealed cookie: users stay signed in on every process, without admin rights and without a proof',
  async (t) => {
    await outage(async ({ browser, there, lose, heal }) => {
      t.ok(browser.cookies.has('sidf'))
      t.match((await browser.get('/me')).json(), { roles: ['user', 'admin'] })
      t.same((await browser.get('/belief')).json(), { degraded: false })
      lose()
      const { degraded, confirmedAt } = (await browser.get('/belief')).json()
      t.ok(degraded)
      t.match(Date.now() - Date.parse(confirmedAt), /^\d{1,5}$/, 'at the login')
      for (const each of [browser, browser.at(there)]) {
        t.match((await each.get('/me')).json(), { userId: 'ann', tenantId: 'acme', roles: ['user'] })
        t.equal((await each.get('/fresh')).statusCode, 503, 'a route that wants a proof believes nothing')
        t.equal((await each.post('/elevate')).statusCode, 503)
        t.equal((await each.post('/data', { a: 1 })).statusCode, 503, 'a write is refused, not lost')
        t.same((await each.get('/data/a')).json(), { value: null })
      }
      await heal()
      t.match(
        (await browser.get('/me')).json(),
        { roles: ['user', 'admin'] },
        'nobody is logged out by the recovery',
      )
    })
  },
)

t.test('sealed cookie: only with its id, unchanged, while Redis is away', async (t) => {
  await outage(async ({ here, browser, lose }) => {
    const other = new Browser(here)
    await other.post('/login', { userId: 'ben' })
    const { sid = '', sidf = '' } = Object.fromEntries(browser.cookies)
    const as = (cookies: Record<string, string>) =>
      new Browser(here, new Map(Object.entries(cookies))).get('/me')
    t.equal((await as({ sidf })).statusCode, 401, 'Redis is there')
    lose()
    t.equal((await as({ sid, sidf })).statusCode, 200)
    t.equal((await as({ sidf })).statusCode, 401, 'without its id')
    t.equal(
      (await as({ sid: other.cookies.get('sid') ?? '', sidf })).statusCode,
      503,
      'with the id of another',
    )
    t.equal((await as({ sid })).statusCode, 503, 'without the cookie')
    t.equal((await as({ sid, sidf: sid })).statusCode, 503)
    for (let place = 12; place < sidf.length; place += 17) {
      const changed = sidf.slice(0, place) + (sidf[place] === 'A' ? 'B' : 'A') + sidf.slice(place + 1)
      t.equal((await as({ sid, sidf: changed })).statusCode, 503, `changed at ${place}`)
    }
  })
})

t.test('logouts of an outage hold in it and after it', async (t) => {
  for (const policy of ['sealed-cookie', 'memory', 'deny'] as const) {
    await outage(
      async ({ here, there, browser, lose, heal }) => {
        const [stolen, stolenThere] = [browser.at(here), browser.at(there)]
        lose()
        t.equal((await browser.post('/logout')).statusCode, 200, policy)
        t.notOk(browser.cookies.has('sid') || browser.cookies.has('sidf'))
        t.equal((await stolen.get('/me')).statusCode, 503, 'a copy is worth nothing here')
        t.equal(here.redisSession.snapshot().untold, 1)
        await heal()
        t.equal((await stolen.get('/me')).statusCode, 401)
        await waitUntil(() => here.redisSession.snapshot().untold === 0)
        t.equal((await stolenThere.get('/me')).statusCode, 401)
        t.match(here.redisSession.snapshot(), { untold: 0, counts: { journalled: 1, replayed: 1 } })
      },
      { onRedisDown: policy },
    )
  }
})

t.test('what ended in one outage is not believed in the next one', async (t) => {
  await outage(
    async ({ here, browser, lose, heal }) => {
      const all = new Browser(here)
      await all.post('/login', { userId: 'ben' })
      const listed = new Browser(here)
      const { id } = (await listed.post('/login', { userId: 'carl' })).json()
      const copies = [browser.at(here), all.at(here), listed.at(here)]
      lose()
      await browser.post('/logout')
      await here.redisSession.revokeAll('ben')
      await here.redisSession.revoke('carl', id)
      await heal()
      await waitUntil(() => here.redisSession.snapshot().untold === 0)
      lose()
      for (const copy of copies) t.equal((await copy.get('/me')).statusCode, 503)
    },
    // Of what it heard it remembers one alone: as if the words had been lost with the connection.
    { maxInMemory: 1 },
  )
})

t.test('all sessions of a user that are ended in an outage stay so; those made later do not', async (t) => {
  await outage(async ({ here, browser, lose, heal }) => {
    lose()
    t.equal(await here.redisSession.revokeAll('ann'), undefined, 'Redis is told later')
    t.equal((await browser.at(here).get('/me')).statusCode, 503)
    await heal()
    t.equal((await browser.get('/me')).statusCode, 401)
    const later = new Browser(here)
    await later.post('/login', { userId: 'ann' })
    t.equal((await later.get('/me')).statusCode, 200)
  })
})

t.test('memory: who was seen by this process; deny: nobody', async (t) => {
  await outage(
    async ({ browser, there, lose }) => {
      t.notOk(browser.cookies.has('sidf'))
      lose()
      t.match((await browser.get('/me')).json(), { roles: ['user'] })
      t.equal((await browser.at(there).get('/me')).statusCode, 503)
    },
    { onRedisDown: 'memory' },
  )
  await outage(
    async ({ browser, lose }) => {
      lose()
      t.equal((await browser.get('/me')).statusCode, 503)
      t.same((await browser.get('/optional')).json(), { user: null, unavailable: true })
    },
    { onRedisDown: 'deny' },
  )
})

t.test('what is believed ends by itself', async (t) => {
  await outage(
    async ({ browser, lose }) => {
      lose()
      t.equal((await browser.get('/me')).statusCode, 503)
    },
    { outageMs: 0 },
  )
})

t.test('one session that is ended by its name in an outage stays so, and no other does', async (t) => {
  await outage(async ({ here, there, browser, lose, heal }) => {
    const other = new Browser(here)
    const { id } = (await other.post('/login', { userId: 'ann' })).json()
    lose()
    t.equal(await here.redisSession.revoke('ann', 'none'), false, 'that is no name')
    t.equal(await here.redisSession.revoke('ben', id), undefined, 'it is not his, which nobody knows now')
    t.equal((await other.get('/me')).statusCode, 200)
    t.equal(await here.redisSession.revoke('ann', id), undefined)
    t.equal((await other.get('/me')).statusCode, 503)
    t.equal((await browser.get('/me')).statusCode, 200)
    await heal()
    t.equal((await other.at(there).get('/me')).statusCode, 401)
    t.equal((await browser.get('/me')).statusCode, 200)
  })
})

t.test('who logged out a moment before an outage is believed by no process', async (t) => {
  await outage(async ({ here, there, browser, guards, lose }) => {
    const copies = [browser.at(here), browser.at(there)]
    const channel = 'hf:redis-session:ended'
    // Who listened first is told first: the sessions of each process.
    const heard = guards.map((guard) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      const stop = guard.subscribe(channel, { onMessage: () => resolve(), onGap: () => {} })
      return promise.finally(stop)
    })
    await browser.post('/logout')
    await Promise.all(heard)
    lose()
    for (const copy of copies) t.equal((await copy.get('/me')).statusCode, 503)
  })
})
