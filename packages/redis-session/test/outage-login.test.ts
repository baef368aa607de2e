import { waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { RedisStore } from '../src/redis-store.ts'
import { SecretRing } from '../src/secret-ring.ts'
import { readId } from '../src/session-id.ts'
import { type Outages, startOutages } from './outages.ts'
import { Browser, secrets } from './session-app.ts'

const ring = new SecretRing(secrets as [string])

/** Where the session of an id would be. */
function addressOf(sid: string) {
  const id = readId(ring, sid)
  if (id === undefined) throw new Error('that is no id')
  return id.address
}

let outages: Outages
const outage: Outages['run'] = (...world) => outages.run(...world)

t.before(async () => {
  outages = await startOutages()
})
t.teardown(() => outages.stop())

t.test('who signs in during an outage is signed in everywhere, and has a session after it', async (t) => {
  for (const encrypt of [false, true]) {
    await outage(
      async ({ here, there, lose, heal }) => {
        lose()
        const browser = new Browser(here)
        const answer = await browser.post('/login', {
          userId: 'ann',
          roles: ['user', 'admin'],
          permanent: true,
        })
        t.equal(answer.statusCode, 200)
        t.match(browser.setCookies, [/^sid=v1.*Max-Age=2592000;/, /^sidf=p1\..*Max-Age=900;/])
        const before = browser.cookies.get('sid')
        for (const each of [browser, browser.at(there)]) {
          t.match((await each.get('/me')).json(), { userId: 'ann', tenantId: 'acme', roles: ['user'] })
          t.equal((await each.get('/fresh')).statusCode, 503, 'the proof of an outage opens nothing')
        }
        await heal()
        const elsewhere = browser.at(there)
        t.match((await elsewhere.get('/me')).json(), { userId: 'ann', roles: ['user', 'admin'] })
        t.match(elsewhere.setCookies, [/^sid=v1.*Max-Age=25\d{5};/, /^sidf=v1\./])
        t.not(elsewhere.cookies.get('sid'), before, 'never under the id of the outage')
        t.same((await elsewhere.get('/fresh')).json(), { fresh: true }, 'he has just given his password')
        t.equal((await there.redisSession.list('ann')).length, 2, 'one of before, one of the outage')
        t.match(there.redisSession.snapshot().counts, { claimed: 1 })
        t.match(here.redisSession.snapshot().counts, { sealedLogins: 1, logins: 2 })
      },
      { encrypt },
    )
  }
})

t.test('requests that come together after the outage agree on one session', async (t) => {
  await outage(async ({ here, there, lose, heal }) => {
    lose()
    const browser = new Browser(here)
    await browser.post('/login', { userId: 'ann' })
    await heal()
    const copies = Array.from({ length: 20 }, (_, at) => browser.at(at % 2 === 0 ? here : there))
    const answers = await Promise.all(copies.map((copy) => copy.get('/me')))
    t.ok(answers.every(({ statusCode }) => statusCode === 200))
    t.equal(new Set(copies.map((copy) => copy.cookies.get('sid'))).size, 1)
    t.equal((await here.redisSession.list('ann')).length, 2)
  })
})

t.test('a login of an outage ends as any other does, and cannot be repeated', async (t) => {
  const ends = {
    'logout before Redis is back': async ({ browser, heal }) => {
      await browser.post('/logout')
      await heal()
    },
    'logout after it': async ({ browser, heal }) => {
      await heal()
      await browser.get('/me')
      await browser.post('/logout')
    },
    'logout as the first request': async ({ browser, heal }) => {
      await heal()
      await browser.post('/logout')
    },
    'another login as the first request': async ({ browser, heal }) => {
      await heal()
      await browser.post('/login', { userId: 'ann' })
      await browser.post('/logout')
    },
    'all sessions, in the outage': async ({ app, heal }) => {
      await app.redisSession.revokeAll('ann')
      await heal()
    },
    'all sessions, after it': async ({ app, heal }) => {
      await heal()
      await app.redisSession.revokeAll('ann')
    },
    'by its name, in the outage': async ({ app, heal, id }) => {
      await app.redisSession.revoke('ann', id)
      await heal()
    },
    'by its name, after it': async ({ app, heal, id }) => {
      await heal()
      await app.redisSession.revoke('ann', id)
    },
  } satisfies Record<
    string,
    (world: {
      browser: Browser
      app: {
        redisSession: { revoke: (user: string, id: string) => unknown; revokeAll: (user: string) => unknown }
      }
      heal: () => Promise<void>
      id: string
    }) => Promise<void>
  >
  for (const [name, end] of Object.entries(ends)) {
    await outage(async ({ here, there, lose, heal }) => {
      lose()
      const browser = new Browser(here)
      const { id } = (await browser.post('/login', { userId: 'ann' })).json()
      const [copy, copyThere] = [browser.at(here), browser.at(there)]
      await end({ browser, app: here, heal, id })
      for (const each of [copy, copyThere]) t.equal((await each.get('/me')).statusCode, 401, name)
      t.match(copy.setCookies, [/^sid=; Max-Age=0/, /^sidf=; Max-Age=0/])
    })
  }
})

t.test('a login that was claimed, and nobody heard of it, is claimed again', async (t) => {
  await outage(async ({ here, there, guards, lose, heal }) => {
    lose()
    const browser = new Browser(here)
    await browser.post('/login', { userId: 'ben' })
    await heal()
    const lost = browser.at(there)
    const { id } = (await lost.get('/me')).json()
    // A minute ago, by the clock of Redis: requests that come together agree for a shorter time.
    const [guard] = guards
    const { tag, hash } = addressOf(browser.cookies.get('sid') ?? '')
    const session = guard.key('redis-session', tag, 's', id)
    const atMs = Number(await guard.call('HGET', session, 't')) - 60_000
    await guard.call('HSET', session, 't', atMs)
    await guard.call('SET', guard.key('redis-session', tag, 'g', hash), atMs)
    const late = browser.at(here)
    t.equal((await late.get('/me')).json().id, id)
    t.equal(late.cookies.get('sid'), lost.cookies.get('sid'))
    await guard.call('HSET', session, 't', atMs + 1)
    t.equal((await browser.get('/me')).statusCode, 401, 'somebody has used what came of it')
    await here.redisSession.revokeAll('ben')
  })
})

t.test('who leaves ends what another request has made of his login, too', async (t) => {
  for (const onRedisDown of ['sealed-cookie', 'memory'] as const) {
    for (const leave of ['/logout', '/login']) {
      await outage(
        async ({ here, there, lose, heal }) => {
          lose()
          const browser = new Browser(here)
          await browser.post('/login', { userId: 'ben' })
          await heal()
          // The answer that had the new id was lost, or is under way still.
          const other = browser.at(onRedisDown === 'memory' ? here : there)
          t.equal((await other.get('/me')).statusCode, 200)
          t.equal((await here.redisSession.list('ben')).length, 1)
          await browser.post(leave, { userId: 'ann' })
          t.equal((await other.get('/me')).statusCode, 401, `${onRedisDown}: ${leave}`)
          t.same(await here.redisSession.list('ben'), [])
        },
        { onRedisDown },
      )
    }
  }
})

t.test('all but one: the one may be a login of the outage', async (t) => {
  await outage(async ({ here, browser, lose, heal }) => {
    lose()
    const [kept, other] = [new Browser(here), new Browser(here)]
    const { id } = (await kept.post('/login', { userId: 'ann' })).json()
    await other.post('/login', { userId: 'ann' })
    await here.redisSession.revokeAll('ann', { except: id })
    t.equal((await kept.get('/me')).statusCode, 200)
    t.equal((await other.get('/me')).statusCode, 503)
    await heal()
    t.equal((await kept.get('/me')).statusCode, 200)
    for (const gone of [other, browser]) t.equal((await gone.get('/me')).statusCode, 401)
  })
})

t.test('a login of an outage ends the session before it', async (t) => {
  await outage(async ({ here, there, browser, lose, heal }) => {
    const stolen = browser.at(there)
    lose()
    await browser.post('/login', { userId: 'ann' })
    t.equal((await stolen.at(here).get('/me')).statusCode, 503)
    await heal()
    t.equal((await stolen.get('/me')).statusCode, 401)
    t.equal((await browser.get('/me')).statusCode, 200)
  })
})

t.test('a user may have too many sessions for one more of an outage', async (t) => {
  await outage(
    async ({ here, lose, heal }) => {
      lose()
      const browser = new Browser(here)
      await browser.post('/login', { userId: 'ann' })
      await heal()
      t.equal((await browser.get('/me')).statusCode, 401)
      t.match(here.redisSession.snapshot().counts, { discarded: 1, claimed: 0 })
    },
    { maxPerUser: 1, whenFull: 'deny' },
  )
})

t.test('memory: as well, by the process that he signed in at; deny: nobody signs in', async (t) => {
  await outage(
    async ({ here, there, lose, heal }) => {
      lose()
      const browser = new Browser(here)
      t.equal((await browser.post('/login', { userId: 'ann' })).statusCode, 200)
      t.equal((await browser.get('/me')).statusCode, 200)
      t.equal((await browser.at(there).get('/me')).statusCode, 503)
      await heal()
      const copies = [browser.at(here), browser.at(here), browser.at(here)]
      const answers = await Promise.all(copies.map((copy) => copy.get('/me')))
      t.same(
        answers.map(({ statusCode }) => statusCode),
        [200, 200, 200],
      )
    },
    { onRedisDown: 'memory' },
  )
  for (const options of [{ onRedisDown: 'deny' }, { outageMs: 0 }] as const) {
    await outage(async ({ here, lose }) => {
      lose()
      t.equal((await new Browser(here).post('/login', { userId: 'ann' })).statusCode, 503)
    }, options)
  }
})

t.test('somebody who is too much for a cookie cannot sign in without Redis', async (t) => {
  await outage(async ({ here, lose }) => {
    const roles = ['user', ...Array.from({ length: 31 }, (_, at) => `${at}`.padEnd(64, 'é'))]
    const browser = new Browser(here)
    t.equal((await browser.post('/login', { userId: 'ann', roles })).statusCode, 200)
    t.ok(browser.cookies.has('sidf'), 'of the roles that an outage leaves, there is room')
    lose()
    t.match((await new Browser(here).post('/login', { userId: 'ann', roles })).json(), {
      code: 'HOLDFAST_ERR_REDIS_SESSION_TOO_LARGE',
    })
  })
})

t.test('who does not fit into a cookie has none, which is told', async (t) => {
  const roles = Array.from({ length: 32 }, (_, at) => `${at}`.padEnd(64, 'é'))
  await outage(
    async ({ here }) => {
      const browser = new Browser(here)
      await browser.post('/login', { userId: 'ann', roles })
      t.notOk(browser.cookies.has('sidf'))
      t.match(here.redisSession.snapshot().counts, { oddities: 1 })
    },
    { outageRoles: roles },
  )
})

t.test('what was changed without Redis is kept, where nobody else has changed the session', async (t) => {
  const options = { outageFields: ['theme', 'draft'] }
  for (const onRedisDown of ['sealed-cookie', 'memory'] as const) {
    await outage(
      async ({ here, there, browser, lose, heal }) => {
        await browser.post('/data', { theme: 'light', cart: 1 })
        lose()
        t.equal((await browser.post('/data', { theme: 'dark', draft: 'x' })).statusCode, 200, onRedisDown)
        t.equal((await browser.post('/data', { draft: null })).statusCode, 200)
        t.equal((await browser.post('/data', { theme: 'darker', cart: 2 })).statusCode, 503, 'all or nothing')
        t.same((await browser.get('/data/theme')).json(), { value: 'dark' })
        t.same((await browser.get('/data/draft')).json(), { value: null })
        await heal()
        t.same((await browser.get('/data/theme')).json(), { value: 'dark' })
        t.same((await browser.at(there).get('/data/theme')).json(), { value: 'dark' }, 'in Redis, too')
        t.same((await browser.get('/data/cart')).json(), { value: 1 })
        t.match(here.redisSession.snapshot().counts, { merged: 1, discarded: 0 })
      },
      { ...options, onRedisDown },
    )
  }
  await outage(async ({ here, there, guards, browser, lose, heal }) => {
    // Only one process loses Redis; the same browser writes at the other one.
    lose([guards[0]])
    await browser.post('/data', { theme: 'dark' })
    const sid = new Map([['sid', browser.cookies.get('sid') ?? '']])
    await new Browser(there, sid).post('/data', { theme: 'light' })
    await heal()
    t.same((await browser.get('/data/theme')).json(), { value: 'light' }, 'Redis wins')
    t.match(here.redisSession.snapshot().counts, { merged: 0, discarded: 1 })
    await browser.post('/data', { theme: 'dark' })
    t.same((await browser.get('/data/theme')).json(), { value: 'dark' })
  }, options)
  await outage(async ({ here, lose, heal }) => {
    lose()
    const late = new Browser(here)
    await late.post('/login', { userId: 'ann' })
    await late.post('/data', { theme: 'dark' })
    await heal()
    t.same((await late.get('/data/theme')).json(), { value: 'dark' }, 'of a login of the outage')
    t.equal((await late.get('/me')).statusCode, 200)
  }, options)
})

t.test('changes that Redis could not be told when it was back are told it later', async (t) => {
  for (const onRedisDown of ['sealed-cookie', 'memory'] as const) {
    await outage(
      async ({ here, guards, browser, lose, heal }) => {
        lose()
        await browser.post('/data', { theme: 'dark' })
        await heal()
        const [guard] = guards
        const { run } = guard
        guard.run = (async (...call: Parameters<typeof run>) => {
          if (call[0].name === 'session-commit') throw new Error('too much to do')
          return run.apply(guard, call)
        }) as typeof run
        t.equal((await browser.get('/me')).statusCode, 200, onRedisDown)
        guard.run = run
        t.same((await browser.get('/data/theme')).json(), { value: 'dark' })
        t.match(here.redisSession.snapshot().counts, { merged: 1, discarded: 0 })
      },
      { outageFields: ['theme'], touchEveryMs: 0, onRedisDown },
    )
  }
})

t.test('what does not fit into a cookie is refused by its name', async (t) => {
  await outage(
    async ({ browser, lose }) => {
      lose()
      t.match((await browser.post('/data', { draft: 'x'.repeat(4000) })).json(), {
        code: 'HOLDFAST_ERR_REDIS_SESSION_TOO_LARGE',
        message: /"draft"/,
      })
    },
    { outageFields: ['draft'] },
  )
})

t.test('a session that was made by a call without an answer does not stay', async (t) => {
  await outage(async ({ here, guards, heal, lose }) => {
    const app = guards[0]
    const before = (await here.redisSession.list('ann')).length
    // The budget ends while Redis works: it has run, and nobody heard of it.
    const { run } = app
    app.run = (async (...call: Parameters<typeof run>) => {
      await run.apply(app, call)
      lose()
      throw Object.assign(new Error('no answer'), { mayHaveRun: true })
    }) as typeof run
    const browser = new Browser(here)
    const answer = await browser.post('/login', { userId: 'ann' })
    app.run = run
    t.equal(answer.statusCode, 200)
    t.equal((await browser.get('/me')).statusCode, 200)
    await heal()
    await waitUntil(() => here.redisSession.snapshot().untold === 0)
    t.equal((await browser.get('/me')).statusCode, 200)
    t.equal((await here.redisSession.list('ann')).length, before + 1, 'one login, one session')
  })
})

t.test('an end that overtakes the beginning of its session holds', async (t) => {
  const store = new RedisStore(outages.guards[0])
  const address = { tag: '0a0b', hash: 'overtaken'.padEnd(32, '_') }
  t.equal(await store.destroy(address), false)
  const draft = {
    idleMs: 60_000,
    absolute: { afterMs: 60_000 },
    principal: undefined,
    authenticated: false,
    device: undefined,
    fields: new Map(),
  }
  const bound = { maxPerUser: 5, whenFull: 'evict' } as const
  t.same(await store.create(address, undefined, draft, bound), { outcome: 'gone' })
  t.equal(await store.has(address), false)
})
