import { startRedis, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { Browser, guardOf, secrets, sessionApp } from './session-app.ts'

t.test('Redis is killed under 200 users of two processes', { timeout: 120_000 }, async (t) => {
  const server = await startRedis()
  const guards = [await guardOf(server, 500), await guardOf(server, 500)]
  const [one, two] = [
    await sessionApp({ redis: guards[0], secrets }),
    await sessionApp({ redis: guards[1], secrets }),
  ]
  t.teardown(async () => {
    await one.close()
    await two.close()
    for (const guard of guards) await guard.close()
    await server.stop()
  })
  const users = Array.from({ length: 200 }, (_, at) => new Browser(at % 2 === 0 ? one : two))
  for (const [at, user] of users.entries()) {
    const answer = await user.post('/login', { userId: `user-${at}`, roles: ['user', 'admin'] })
    if (answer.statusCode !== 200) throw new Error(answer.body)
  }

  await server.kill9()
  await waitUntil(() => guards.every(({ available }) => !available))
  let slowestMs = 0
  for (const [at, user] of users.entries()) {
    const startedMs = performance.now()
    const answer = await user.at(at % 3 === 0 ? one : two).get('/me')
    slowestMs = Math.max(slowestMs, performance.now() - startedMs)
    t.equal(answer.statusCode, 200)
    t.same(answer.json().roles, ['user'])
  }
  t.comment(`slowest request of 200 without Redis: ${slowestMs.toFixed(1)} ms`)
  t.equal((await users[0]?.get('/fresh'))?.statusCode, 503)

  const leaving = users.slice(0, 20).map((user) => user.at(one))
  const copies = users.slice(0, 20).map((user) => user.at(two))
  for (const user of leaving) t.equal((await user.post('/logout')).statusCode, 200)

  await server.restart()
  await waitUntil(() => guards.every(({ available }) => available))
  await waitUntil(() => one.redisSession.snapshot().untold === 0)
  for (const copy of copies) t.equal((await copy.get('/me')).statusCode, 401, 'logged out in the outage')
  for (const user of users.slice(20)) {
    t.match((await user.get('/me')).json(), { roles: ['user', 'admin'] }, 'nobody else is')
  }
})
