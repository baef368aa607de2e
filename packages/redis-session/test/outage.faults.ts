import { startRedis, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import type { RedisSessionOptions } from '../src/index.ts'
import { Browser, guardOf, secrets, sessionApp } from './session-app.ts'

/** A service, somebody who is signed in, and a Redis that a route loses in its middle. */
async function world(t: Test, options: RedisSessionOptions = {}) {
  // Every write is kept before it is answered.
  const server = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] })
  const guard = await guardOf(server, 500, 50)
  const app = await sessionApp({ redis: guard, secrets, ...options })
  const lose = async () => {
    await server.kill9()
    await waitUntil(() => !guard.available)
  }
  app.post('/lose/:then', { config: { redisSession: 'optional' } }, async ({ session, params }) => {
    await lose()
    switch ((params as { then: string }).then) {
      case 'write':
        session.set('late', 1)
        break
      case 'logout':
        await session.logout()
        break
      case 'login':
        await session.login({ userId: 'ann' })
        break
      case 'elevate':
        await session.elevate()
        break
      case 'update':
        await session.increment('late')
    }
    return { user: session.user?.userId ?? null }
  })
  t.teardown(async () => {
    await app.close()
    await guard.close()
    await server.stop()
  })
  const heal = async () => {
    await server.restart()
    await waitUntil(() => guard.available)
  }
  const browser = new Browser(app)
  await browser.post('/login', { userId: 'ann', roles: ['user', 'admin'] })
  return { app, server, browser, lose, heal }
}

t.test('Redis is lost between the read and what follows', { timeout: 120_000 }, async (t) => {
  const expected = { nothing: 200, write: 503, update: 503, elevate: 503, logout: 200, login: 200 }
  for (const [then, status] of Object.entries(expected)) {
    const { browser, app, heal } = await world(t)
    const copy = browser.at(app)
    const answer = await browser.post(`/lose/${then}`)
    t.equal(answer.statusCode, status, then)
    if (status === 503) {
      t.match(answer.json(), { code: 'HOLDFAST_ERR_REDIS_SESSION_UNAVAILABLE' })
      t.same(browser.setCookies, [], 'he stays who he was')
    }
    await heal()
    const ended = then === 'logout' || then === 'login'
    t.equal((await copy.get('/me')).statusCode, ended ? 401 : 200, `${then}: the session before`)
    t.equal((await browser.get('/me')).statusCode, then === 'logout' ? 401 : 200, `${then}: he himself`)
    if (!ended)
      t.same((await browser.get('/data/late')).json(), { value: null }, 'nothing of a refused write')
  }
})

t.test('memory and deny, when Redis is killed', { timeout: 120_000 }, async (t) => {
  for (const [onRedisDown, status] of [
    ['memory', 200],
    ['deny', 503],
  ] as const) {
    const { browser, app, lose, heal } = await world(t, { onRedisDown })
    const copy = browser.at(app)
    await lose()
    t.equal((await browser.get('/me')).statusCode, status, onRedisDown)
    t.equal((await browser.get('/fresh')).statusCode, 503)
    t.equal((await new Browser(app).get('/me')).statusCode, 401, 'who has no id is nobody')
    t.equal((await browser.post('/logout')).statusCode, 200)
    await heal()
    t.equal((await copy.get('/me')).statusCode, 401, 'the logout holds')
    await browser.post('/login', { userId: 'ann' })
    t.equal((await browser.get('/me')).statusCode, 200)
  }
})
