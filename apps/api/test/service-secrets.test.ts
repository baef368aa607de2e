// The secrets that keys are made of: where they come from, and what is good while one replaces another.

import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startPostgres, startRedis, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { derivedKey } from '../src/routes/auth/derived-key.ts'
import { Secret } from '../src/secret.ts'
import { serviceSecrets } from '../src/service-secrets.ts'
import { ServiceApp } from './service-app.ts'
import { scratchDirectory } from './service-process.ts'
import { ask, Browser, credentialsOf, demoAccounts, tokensOf } from './sign-in-client.ts'

t.setTimeout(120_000)

const [OLD, NEW] = ['the-old-secret-of-these-services-1', 'the-new-secret-of-these-services-2']
const UNSET = { secretKey: undefined, secretKeyPrevious: undefined }

function listening() {
  const warnings: string[] = []
  return {
    warnings,
    log: { warn: (_fields: unknown, message?: string) => warnings.push(message ?? String(_fields)) },
  }
}

const reveal = (secrets: readonly Secret[]) => secrets.map((secret) => secret.reveal())

t.test('those of the configuration, the newest first', (t) => {
  const { warnings, log } = listening()
  const [secretKey, secretKeyPrevious] = [new Secret(NEW), new Secret(OLD)]
  t.strictSame(reveal(serviceSecrets({ ...UNSET, secretKey }, undefined, log)), [NEW])
  t.strictSame(reveal(serviceSecrets({ secretKey, secretKeyPrevious }, '/nowhere', log)), [NEW, OLD])
  t.strictSame(warnings, [])
  t.end()
})

t.test('else one is made, kept for its owner alone, and found again', (t) => {
  const { warnings, log } = listening()
  const directory = scratchDirectory(t)
  const [made = ''] = reveal(serviceSecrets(UNSET, directory, log))
  t.match(made, /^[\w-]{64}$/)
  t.strictSame(readdirSync(directory), ['secret-key'])
  t.equal(statSync(join(directory, 'secret-key')).mode & 0o777, 0o600)
  t.strictSame(reveal(serviceSecrets(UNSET, directory, log)), [made])
  t.strictSame(reveal(serviceSecrets({ ...UNSET, secretKeyPrevious: new Secret(OLD) }, directory, log)), [
    made,
    OLD,
  ])
  t.strictSame(warnings, [])
  t.end()
})

t.test('where none can be kept, or what is kept is none, that is said', (t) => {
  const { warnings, log } = listening()
  t.match(reveal(serviceSecrets(UNSET, undefined, log))[0], /^[\w-]{64}$/)
  t.match(reveal(serviceSecrets(UNSET, '/nowhere/at/all', log))[0], /^[\w-]{64}$/)
  const directory = scratchDirectory(t)
  const file = join(directory, 'secret-key')
  for (const content of ['', 'short']) {
    writeFileSync(file, content)
    t.match(reveal(serviceSecrets(UNSET, directory, log))[0], /^[\w-]{64}$/)
    t.equal(readFileSync(file, 'utf8'), content, 'nothing is written over')
  }
  chmodSync(file, 0o600)
  t.strictSame(readdirSync(directory), ['secret-key'])
  t.equal(warnings.length, 4)
  t.match(warnings[1], /everybody is signed out by a restart/)
  t.end()
})

t.test('no two purposes and no two secrets share a key', (t) => {
  const purposes = ['access-token', 'access-token-id', 'csrf', 'limit'] as const
  const keys = [OLD, NEW].flatMap((text) =>
    purposes.map((purpose) => derivedKey(new Secret(text), purpose).toString('hex')),
  )
  t.equal(new Set(keys).size, 8)
  t.end()
})

t.test('while a secret is replaced, what was signed with either is good', async (t) => {
  const [postgres, redis] = await Promise.all([startPostgres(), startRedis()])
  t.teardown(() => Promise.all([postgres.stop(), redis.stop()]))
  const dataDirectory = scratchDirectory(t)
  const service = async (secrets: Readonly<Record<string, string>>) => {
    const settings = { DATABASE_URL: postgres.directUrl, REDIS_URL: redis.url, ...secrets }
    const started = await ServiceApp.start(t, settings, dataDirectory)
    await waitUntil(() => started.app.fastify.redisSession.available)
    return started.url
  }
  const before = await service({ SECRET_KEY: OLD })
  const during = await service({ SECRET_KEY: NEW, SECRET_KEY_PREVIOUS: OLD })
  const after = await service({ SECRET_KEY: NEW })
  const trader = credentialsOf(demoAccounts(dataDirectory), 'user')
  const eventually = (condition: () => Promise<boolean>) => waitUntil(condition, { timeoutMs: 30_000 })
  const signedIn = async (url: string) => {
    const browser = new Browser()
    await eventually(async () => (await browser.post(url, '/auth/login', trader)).status === 200)
    const { bearer, refreshToken } = await tokensOf(url, trader)
    const { body } = await browser.get(url, '/auth/me')
    return { browser, bearer, refreshToken, form: String(body['csrf_token']) }
  }
  const old = await signedIn(before)
  const statuses = async (url: string, { browser, bearer, form }: typeof old) => {
    const me = await browser.copy().get(url, '/auth/me')
    const token = await ask(url, 'GET', '/auth/me', undefined, bearer)
    // As a client that says nothing about where it comes from.
    const { cookie } = browser
    const change = await ask(url, 'DELETE', '/auth/sessions/nothing', undefined, {
      cookie,
      'x-csrf-token': form,
    })
    return [me.status, token.status, change.status]
  }
  await eventually(async () => (await statuses(before, old)).join() === '200,200,404')
  await eventually(async () => (await statuses(during, old)).join() === '200,200,404')
  await eventually(async () => (await statuses(after, old)).join() === '401,401,401')

  const fresh = await signedIn(during)
  await eventually(async () => (await statuses(after, fresh)).join() === '200,200,404')
  t.match(await ask(after, 'POST', '/auth/refresh', { refresh_token: old.refreshToken }), { status: 200 })
  const listed = await fresh.browser.get(during, '/auth/sessions')
  const sessions = listed.body.items?.filter(({ kind }) => kind === 'session') ?? []
  t.ok(sessions.length >= 2, 'of both secrets')
  t.match(await fresh.browser.post(during, '/auth/sessions/revoke-all'), { status: 204 })
  await eventually(async () => (await old.browser.copy().get(before, '/auth/me')).status === 401)
})
