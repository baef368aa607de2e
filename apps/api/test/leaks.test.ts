// What must not be told, planted everywhere: then all that a service has said is looked through.

import { randomBytes } from 'node:crypto'
import { askRedis, startPostgres, startRedis, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { ServiceProcess, scratchDirectory, TEST_SETTINGS } from './service-process.ts'
import { ask, Browser, credentialsOf, demoAccounts, tokensOf } from './sign-in-client.ts'

t.setTimeout(180_000)

t.test('the canary of the run is among the secrets of every service', (t) => {
  const canary = process.env['HOLDFAST_TEST_CANARY']
  t.ok(canary === undefined || TEST_SETTINGS.SECRET_KEY.includes(canary), 'the test runner looks for it')
  t.end()
})

t.test('nothing that was planted is in anything that a service says, at any level', async (t) => {
  const canary = (name: string) => `canary-${name}-${randomBytes(12).toString('hex')}`
  const planted = {
    database: canary('database'),
    redis: canary('redis'),
    mail: canary('mail'),
    metrics: canary('metrics'),
    admin: canary('admin'),
    secret: canary('secret'),
    previous: canary('previous'),
    password: canary('password'),
    other: canary('other'),
    token: canary('token'),
    cookie: canary('cookie'),
  }
  const [postgres, redis] = await Promise.all([startPostgres(), startRedis()])
  t.teardown(() => Promise.all([postgres.stop(), redis.stop()]))
  await askRedis(
    redis.directPort,
    'ACL',
    'SETUSER',
    'service',
    'on',
    `>${planted.redis}`,
    '~*',
    '&*',
    '+@all',
  )
  const withPassword = (url: string, password: string) => {
    const changed = new URL(url)
    if (changed.username === '') changed.username = 'service'
    changed.password = password
    return changed.href
  }
  const dataDirectory = scratchDirectory(t)
  const service = await ServiceProcess.start(t, {
    LOG_LEVEL: 'trace',
    DATA_DIRECTORY: dataDirectory,
    DATABASE_URL: withPassword(postgres.url, planted.database),
    REDIS_URL: withPassword(redis.url, planted.redis),
    // Nobody listens there.
    SMTP_URL: `smtp://robot:${planted.mail}@127.0.0.1:9`,
    METRICS_TOKEN: planted.metrics,
    ADMIN_TOKEN: planted.admin,
    ENABLE_METRICS: 'true',
    SECRET_KEY: planted.secret,
    SECRET_KEY_PREVIOUS: planted.previous,
  })
  const { url } = service
  const said: string[] = []
  const hear = async (...asked: Parameters<typeof ask>) => {
    const answer = await ask(...asked)
    said.push(answer.text, JSON.stringify([...answer.headers]))
    return answer
  }
  const accounts = demoAccounts(dataDirectory)
  const trader = credentialsOf(accounts, 'user')
  const browser = new Browser()
  await waitUntil(async () => (await browser.post(url, '/auth/login', trader)).status === 200)
  const { bearer, accessToken, refreshToken } = await tokensOf(url, trader)

  // Where they belong, and everywhere else.
  await hear(url, 'POST', '/auth/login', { ...trader, password: planted.password })
  await hear(url, 'POST', '/auth/login', { ...trader, password: { nested: planted.password } })
  await hear(url, 'POST', '/auth/login', { ...trader, more: planted.password })
  await hear(url, 'POST', '/auth/register', {
    ...trader,
    email: 'new@mail.example',
    password: planted.password,
  })
  await hear(url, 'POST', '/auth/password/forgot', { tenant: trader.tenant, email: trader.email })
  await hear(
    url,
    'POST',
    '/auth/password',
    { password: planted.password, new_password: planted.other },
    bearer,
  )
  await hear(url, 'POST', '/auth/refresh', { refresh_token: planted.token })
  await hear(url, 'POST', '/auth/verify', { token: planted.token })
  for (const path of ['/auth/me', '/nowhere', '/acme/api/theme/history', '/metrics', '/health/check']) {
    for (const headers of [
      { authorization: `Bearer ${planted.token}` },
      { authorization: `Basic ${planted.token}` },
      { cookie: `sid=${planted.cookie}; sidf=${planted.cookie}` },
      { 'x-csrf-token': planted.token, 'sec-fetch-site': 'cross-site' },
      { 'x-correlation-id': `${planted.token}\u0001` },
    ]) {
      await hear(url, 'GET', path, undefined, headers as Record<string, string>).catch(() => undefined)
      await hear(url, 'POST', path, { password: planted.password }, headers as Record<string, string>).catch(
        () => undefined,
      )
    }
    for (const name of ['token', 'code', 'state', 'access_token', 'password']) {
      await hear(url, 'GET', `${path}?${name}=${planted.token}`)
    }
  }
  for (const text of [
    `{"password":"${planted.password}`,
    `{"password":"${planted.password}",}`,
    planted.password,
  ]) {
    const answer = await fetch(`${url}/auth/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: text,
    })
    said.push(await answer.text())
  }
  const management = { authorization: `Bearer ${planted.metrics}` }
  await hear(url, 'GET', '/metrics', undefined, management)
  await hear(url, 'GET', '/health/check', undefined, management)
  await hear(url, 'GET', '/health/security', undefined, management)
  const operator = { authorization: `Bearer ${planted.admin}` }
  await hear(url, 'GET', '/admin/abuse/blocks', undefined, operator)
  await hear(url, 'GET', '/admin/limits', undefined, operator)
  await hear(url, 'GET', '/metrics', undefined, operator)

  // What would be a line of its own in the log.
  const line = `x\n{"level":60,"msg":"made up"}\u001b[31m`
  for (const name of ['user-agent', 'referer', 'origin', 'x-forwarded-for']) {
    const text = name === 'user-agent' ? encodeURI(line) : '{"level":60,"msg":"made up"}'
    await hear(url, 'GET', `/nowhere?q=${encodeURIComponent(line)}`, undefined, { [name]: text })
  }
  await hear(url, 'POST', '/auth/login', { ...trader, email: line })

  // On a bad day, too.
  await Promise.all([postgres.kill9(), redis.kill9()])
  await hear(url, 'POST', '/auth/login', trader)
  await hear(url, 'POST', '/auth/login', { ...trader, mode: 'token' })
  await hear(url, 'GET', '/auth/me', undefined, bearer)
  await hear(url, 'POST', '/auth/refresh', { refresh_token: refreshToken })
  await browser.get(url, '/auth/me')
  await hear(url, 'GET', '/health/check', undefined, management)
  await service.stop()

  const everything = [service.stdout, service.stderr, ...said].join('\n')
  t.ok(service.stdout.split('\n').length > 100, 'it has said a lot')
  const lines = service.stdout.trim().split('\n')
  const foreign = lines.filter((line) => {
    const { level, time, msg } = JSON.parse(line) as Readonly<Record<string, unknown>>
    return [60, 'fatal'].includes(level as string) || time === undefined || msg === 'made up'
  })
  t.same(foreign, [], 'each line is one of ours')
  t.notMatch(service.stdout, '\u001b', 'nothing that a terminal obeys')
  const secrets = {
    ...planted,
    ...Object.fromEntries(accounts.map(({ email, password }) => [`password of ${email}`, password])),
    'access token': accessToken,
    'refresh token': refreshToken,
    session: browser.cookie.split(';')[0]?.replace('sid=', '') ?? '',
  }
  for (const [name, secret] of Object.entries(secrets)) {
    t.ok(secret.length > 8, name)
    const at = everything.indexOf(secret)
    t.equal(at, -1, `${name}: ${everything.slice(Math.max(0, at - 200), at)}`)
  }
})
