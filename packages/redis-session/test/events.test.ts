import diagnostics from 'node:diagnostics_channel'
import t from 'tap'
import { Browser, sessionApp } from './session-app.ts'

t.test('what happens to sessions is told, without the secret of their ids', async (t) => {
  const told: [string, unknown][] = []
  for (const name of ['login', 'elevate', 'logout', 'revoke', 'oddity']) {
    const listener = (message: unknown) => told.push([name, message])
    const channel = `holdfast:redis-session:${name}`
    diagnostics.subscribe(channel, listener)
    t.teardown(() => diagnostics.unsubscribe(channel, listener))
  }
  const app = await sessionApp()
  const browser = new Browser(app)
  await browser.post('/login', { userId: 'ann' })
  await browser.post('/elevate')
  await browser.get('/me', { cookie: 'sid=a; sid=b' })
  const { id } = (await browser.get('/me')).json()
  await browser.post('/logout')
  await browser.post('/login', { userId: 'ann' })
  await app.redisSession.revokeAll('ann')
  t.match(told, [
    ['login', { userId: 'ann', session: /^[\w-]{32}$/ }],
    ['elevate', { userId: 'ann', session: id }],
    ['oddity', { what: 'duplicate-cookie', session: undefined }],
    ['logout', { session: id }],
    ['login', { userId: 'ann' }],
    ['revoke', { userId: 'ann' }],
  ])
  t.notOk(JSON.stringify(told).includes('v1.'))
  await app.close()
})
