import { GuardedRedis } from '@holdfast/redis-guard'
import { startRedisCluster, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { Browser, secrets, sessionApp } from './session-app.ts'

t.test('a whole service on a Redis Cluster: no call leaves its slot, and every end is heard', async (t) => {
  const cluster = await startRedisCluster()
  const guards = [0, 1].map(
    () =>
      new GuardedRedis({
        cluster: cluster.addresses,
        budgetMs: 5000,
        connectTimeoutMs: 5000,
        heartbeatMs: 50,
      }),
  ) as [GuardedRedis, GuardedRedis]
  for (const guard of guards) t.equal(await guard.ready(20_000), true)
  const options = { secrets, outageFields: ['theme'] }
  const [one, two] = [
    await sessionApp({ ...options, redis: guards[0] }),
    await sessionApp({ ...options, redis: guards[1] }),
  ]
  const ends: string[] = []
  two.post('/watch', { config: { redisSession: 'required' } }, async ({ session }) => {
    session.onEnd((reason) => ends.push(reason))
  })
  t.teardown(async () => {
    await one.close()
    await two.close()
    for (const guard of guards) await guard.close()
    await cluster.stop()
  })
  await waitUntil(() => guards.every((guard) => guard.listening('hf:redis-session:ended')))

  // So many that all nodes have some.
  const users = Array.from({ length: 30 }, (_, at) => ({ userId: `user-${at}`, browser: new Browser(one) }))
  for (const { userId, browser } of users) {
    await browser.post('/data', { cart: userId })
    t.equal((await browser.post('/login', { userId, keep: ['cart'] })).statusCode, 200)
    t.same((await browser.at(two).get('/data/cart')).json(), { value: userId })
    await browser.post('/data', { theme: 'dark' })
    await browser.post('/elevate')
  }
  for (const { userId } of users) t.equal((await two.redisSession.list(userId)).length, 1)
  await waitUntil(async () => {
    const fresh = await sessionApp({ ...options, redis: guards[0] })
    const { signedIn } = (await fresh.redisSession.statistics()) ?? {}
    await fresh.close()
    return signedIn === users.length
  })

  const [ann, ben, carl, ...others] = users.map(({ browser }) => browser) as [
    Browser,
    Browser,
    Browser,
    ...Browser[],
  ]
  await ann.at(two).post('/watch')
  await ann.post('/logout')
  await waitUntil(() => ends.length === 1)
  t.equal(await one.redisSession.revoke('user-1', (await ben.get('/me')).json().id), true)
  t.equal(await one.redisSession.revokeAll('user-2'), 1)
  for (const browser of [ann, ben, carl]) t.equal((await browser.at(two).get('/me')).statusCode, 401)

  const heal = guards.map((guard) => guard.breaker.isolate('a test'))
  const late = Array.from({ length: 10 }, () => new Browser(one))
  for (const [at, browser] of late.entries()) await browser.post('/login', { userId: `late-${at}` })
  for (const browser of others) {
    t.equal((await browser.at(two).get('/me')).statusCode, 200)
    await browser.post('/data', { theme: 'light' })
  }
  await one.redisSession.revokeAll('user-3')
  for (const end of heal) end()
  for (const guard of guards) await guard.ready(20_000)
  for (const browser of late) t.equal((await browser.at(two).get('/me')).statusCode, 200)
  t.equal((await others[0]?.at(two).get('/me'))?.statusCode, 401)
  for (const browser of others.slice(1)) {
    t.same((await browser.get('/data/theme')).json(), { value: 'light' })
  }
})
