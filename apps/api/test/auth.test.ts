// Signing in as people and clients do it: over HTTP, on a real database, with the accounts of the demo data.

import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { startPostgres, waitUntil } from '@holdfast/test-kit'
import { hash as bcrypt } from 'bcryptjs'
import t, { type Test } from 'tap'
import { demoDatabase, freshDatabase, testPool } from './fresh-database.ts'
import { ServiceApp } from './service-app.ts'
import { scratchDirectory } from './service-process.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.setTimeout(240_000)

interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly body: Readonly<Record<string, unknown>> & { readonly items?: readonly Record<string, unknown>[] }
}

interface DemoAccount {
  readonly tenant: string
  readonly email: string
  readonly password: string
  readonly role: string
}

async function setUp(t: Test, environment: Readonly<Record<string, string>> = {}) {
  const dataDirectory = scratchDirectory(t)
  const databaseUrl = environment['DATABASE_URL'] ?? (await demoDatabase(postgres.directUrl, dataDirectory))
  const service = await ServiceApp.start(
    t,
    { DATABASE_URL: databaseUrl, RATE_LIMITS_SIGN_IN_ADDRESS: '10000/minute', ...environment },
    dataDirectory,
  )
  const file = join(dataDirectory, 'demo-credentials.json')
  const accounts: readonly DemoAccount[] = JSON.parse(readFileSync(file, 'utf8'))
  const accountOf = (role: string, tenant = 'acme') => {
    const found = accounts.find((account) => account.role === role && account.tenant === tenant)
    if (found === undefined) throw new Error(`there is no ${role} of ${tenant}`)
    const { email, password } = found
    return { tenant, email, password }
  }
  const ask = async (
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> => {
    const answer = await fetch(service.url + path, {
      method,
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    return { status: answer.status, headers: answer.headers, text, body: text === '' ? {} : JSON.parse(text) }
  }
  const post = (path: string, body?: unknown, headers?: Readonly<Record<string, string>>) =>
    ask('POST', path, body, headers)
  const get = (path: string, headers?: Readonly<Record<string, string>>) =>
    ask('GET', path, undefined, headers)
  const tokensOf = async (role: string, tenant?: string) => {
    const { body } = await post('/auth/login', { ...accountOf(role, tenant), mode: 'token' })
    const bearer = { authorization: `Bearer ${String(body['access_token'])}` }
    return { bearer, refreshToken: String(body['refresh_token']), body }
  }
  const browserOf = async (role: string, tenant?: string) => {
    return cookieOf(await post('/auth/login', accountOf(role, tenant)))
  }
  const sql = testPool(databaseUrl)
  t.teardown(() => sql.end())
  /** The mails that were written to the log. */
  const mails = () =>
    service.stdout
      .split('\n')
      .filter((line) => line.includes('"mail":'))
      .map((line) => (JSON.parse(line) as { mail: { to: string; subject: string; text: string } }).mail)
  const tokenOfMail = async (subject: RegExp, at = 0) => {
    await waitUntil(() => mails().filter((mail) => subject.test(mail.subject)).length > at)
    const mail = mails().filter((each) => subject.test(each.subject))[at]
    return /hf[vp]_[\w-]{43}/.exec(mail?.text ?? '')?.[0] ?? ''
  }
  return {
    service,
    file,
    accounts,
    accountOf,
    post,
    get,
    ask,
    tokensOf,
    browserOf,
    sql,
    mails,
    tokenOfMail,
  }
}

/** What a browser sends from then on, from a page of the service. */
function cookieOf({ headers }: Answer) {
  const cookie = headers.getSetCookie().at(-1)?.split(';')[0] ?? ''
  return { cookie, 'sec-fetch-site': 'same-origin' }
}

const NOT_SIGNED_IN = { status: 401, body: { error: 'HOLDFAST_ERR_API_NOT_SIGNED_IN' } }
const REFUSED = { status: 401, body: { error: 'HOLDFAST_ERR_API_SIGN_IN_REFUSED' } }

t.test('the demo accounts can sign in, and their passwords are in one file for one person', async (t) => {
  const DATABASE_URL = await freshDatabase(postgres.directUrl)
  const { file, accounts, post, get } = await setUp(t, { DATABASE_URL })
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.strictSame(
    accounts.map(({ tenant, email, role }) => `${tenant} ${email} ${role}`),
    [
      'acme trader@acme.example user',
      'acme operator@acme.example operator',
      'globex trader@globex.example user',
      'globex operator@globex.example operator',
      'acme admin@acme.example admin',
    ],
  )
  for (const { tenant, email, password, role } of accounts) {
    const { status, body, headers } = await post('/auth/login', { tenant, email, password, mode: 'token' })
    t.equal(status, 200)
    t.equal(headers.get('cache-control'), 'no-store')
    t.match(body, { token_type: 'Bearer', access_token: String, refresh_token: /^hfr_/, expires_in: 300 })
    const me = await get('/auth/me', { authorization: `Bearer ${String(body['access_token'])}` })
    t.match(me, { status: 200, body: { tenant, role, user_id: /^\d+$/, authenticated_at: /Z$/ } })
    t.notOk('csrf_token' in me.body)
  }
})

t.test('a session signs in, too, and can be told from a token', async (t) => {
  const { browserOf, get, post, accountOf } = await setUp(t)
  const browser = await browserOf('user')
  const me = await get('/auth/me', browser)
  t.match(me, { status: 200, body: { tenant: 'acme', role: 'user', csrf_token: /^[\w-]{16}\.[\w-]{43}$/ } })
  const login = await post('/auth/login', { ...accountOf('user'), remember: true })
  t.strictSame(login.body, { user_id: String(me.body['user_id']), tenant: 'acme', role: 'user' })
  const list = await get('/auth/sessions', cookieOf(login))
  t.equal(list.body.items?.length, 2)
  t.match(await post('/auth/logout', undefined, browser), { status: 204 })
  t.match(await get('/auth/me', browser), NOT_SIGNED_IN)
  t.match(await post('/auth/logout', undefined, browser), { status: 204 }, 'twice is once')
})

t.test('known or not, wrong in any way: one answer', async (t) => {
  const { accountOf, post, sql } = await setUp(t)
  const trader = accountOf('user')
  await sql.query(`update users set status = 'suspended' where email = 'operator@acme.example'`)
  await sql.query(`update tenants set status = 'suspended' where slug = 'globex'`)
  const bodies = new Set<string>()
  for (const wrong of [
    { ...trader, password: 'not the password' },
    { ...trader, email: 'nobody@acme.example' },
    { ...trader, tenant: 'nowhere' },
    { ...trader, tenant: 'globex' },
    accountOf('operator'),
    accountOf('user', 'globex'),
    // Has no password.
    { ...trader, email: 'second-trader@acme.example' },
    { ...trader, password: `${trader.password} ` },
  ]) {
    const answer = await post('/auth/login', wrong)
    t.match(answer, REFUSED, JSON.stringify({ ...wrong, password: '' }))
    // Each request has its own id, and nothing else tells them apart.
    bodies.add(JSON.stringify({ ...answer.body, correlation_id: '' }))
  }
  t.equal(bodies.size, 1)
  t.match(await post('/auth/login', { ...trader, email: 'TRADER@acme.EXAMPLE' }), { status: 200 })
})

t.test('what is no sign-in is refused before anything is computed', async (t) => {
  const { accountOf, post, ask, service } = await setUp(t)
  const trader = accountOf('user')
  for (const body of [
    {},
    [],
    { ...trader, password: '' },
    { ...trader, password: 12345678 },
    { ...trader, password: ['x'] },
    { ...trader, password: 'x'.repeat(1025) },
    { ...trader, role: 'admin' },
    { ...trader, tenant_id: '1' },
    { ...trader, remember: 'true' },
    { ...trader, mode: 'jwt' },
    { ...trader, tenant: '../acme' },
    { ...trader, tenant: '*' },
    { ...trader, email: 'nobody' },
    { ...trader, email: 'a@b@c' },
    { ...trader, email: 'a@b.c\r\nBcc: x@y.z' },
    { ...trader, email: '"x"<a@b.c>' },
    { ...trader, email: `${'x'.repeat(250)}@b.c` },
  ]) {
    t.match(await post('/auth/login', body), { status: 400 }, JSON.stringify(body).slice(0, 80))
  }
  const plain = await fetch(`${service.url}/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'text/plain' },
    body: JSON.stringify(trader),
  })
  t.equal(plain.status, 415)
  t.match(await ask('GET', '/auth/login'), { status: 405 })
})

t.test('after too many wrong passwords an account rests for that address, and nobody else', async (t) => {
  const { accountOf, post } = await setUp(t, { RATE_LIMITS_SIGN_IN: '4 per 15m burst 4 strict' })
  const trader = accountOf('user')
  for (let at = 0; at < 10; at += 1) {
    t.match(
      await post('/auth/login', { ...trader, mode: 'token' }),
      { status: 200 },
      'right ones do not count',
    )
  }
  for (const email of ['trader@acme.example', 'nobody@acme.example']) {
    for (let at = 0; at < 4; at += 1) {
      t.match(await post('/auth/login', { ...trader, email, password: 'wrong, wrong' }), REFUSED)
    }
    const limited = await post('/auth/login', { ...trader, email })
    t.match(limited, {
      status: 429,
      body: { error: 'HOLDFAST_ERR_API_SIGN_IN_LIMITED', retry_after: Number },
    })
    t.match(limited.headers.get('retry-after'), /^\d+$/)
  }
  t.match(await post('/auth/login', accountOf('operator')), { status: 200 })
})

t.test('tokens are refreshed, and one that is used twice ends its family', async (t) => {
  const { tokensOf, post, get, service } = await setUp(t)
  const { bearer, refreshToken } = await tokensOf('user')
  const refreshed = await post('/auth/refresh', { refresh_token: refreshToken })
  t.match(refreshed, { status: 200, body: { token_type: 'Bearer', expires_in: 300 } })
  const next = String(refreshed.body['refresh_token'])
  t.not(next, refreshToken)
  const replayed = await post('/auth/refresh', { refresh_token: refreshToken })
  t.equal(replayed.body['refresh_token'], next, 'whoever did not hear gets the same')
  const newest = await post('/auth/refresh', { refresh_token: next })
  const newestBearer = { authorization: `Bearer ${String(newest.body['access_token'])}` }
  t.match(await get('/auth/me', newestBearer), { status: 200 })
  const gone = { status: 401, body: { error: 'HOLDFAST_ERR_API_REFRESH_REFUSED' } }
  t.match(await post('/auth/refresh', { refresh_token: refreshToken }), gone, 'somebody else has it')
  t.match(service.stdout, /"event_type":"SECURITY_EVENT","event":"token.reuse"/)
  t.match(await post('/auth/refresh', { refresh_token: String(newest.body['refresh_token']) }), gone)
  t.match(await get('/auth/me', bearer), NOT_SIGNED_IN, 'also the access tokens, at once')
  t.match(await get('/auth/me', newestBearer), NOT_SIGNED_IN)
  for (const token of ['hfr_', 'x', `hfv_${'A'.repeat(43)}`, bearer.authorization.slice(7)]) {
    t.match(await post('/auth/refresh', { refresh_token: token }), { status: 400 })
  }
  t.match(
    await get('/auth/me', { authorization: `Bearer ${next}` }),
    NOT_SIGNED_IN,
    'a refresh token is no access token',
  )
})

t.test('of 50 uses of one refresh token at once one makes the next, for all of them', async (t) => {
  const { tokensOf, post, sql, service } = await setUp(t)
  const { refreshToken } = await tokensOf('user')
  const answers = await Promise.all(
    Array.from({ length: 50 }, () => post('/auth/refresh', { refresh_token: refreshToken })),
  )
  t.strictSame([...new Set(answers.map(({ status }) => status))], [200])
  const successors = new Set(answers.map(({ body }) => String(body['refresh_token'])))
  t.equal(successors.size, 1)
  t.equal((await sql.query('select from refresh_tokens where parent_digest is not null')).rowCount, 1)
  const [successor] = successors
  await sql.query(
    `update refresh_tokens set used_at = used_at - interval '11 seconds' where used_at is not null`,
  )
  t.match(await post('/auth/refresh', { refresh_token: refreshToken }), { status: 401 }, 'after the grace')
  t.match(await post('/auth/refresh', { refresh_token: successor }), { status: 401 }, 'the whole family')
  t.match(service.stdout, /"event_type":"SECURITY_EVENT","event":"token.reuse","family":"[0-9a-f-]{36}"/)
})

t.test('an account that there is not takes as long as one that there is', async (t) => {
  const { accountOf, post } = await setUp(t, { RATE_LIMITS_SIGN_IN: '10000/minute' })
  const trader = { ...accountOf('user'), password: 'wrong, wrong' }
  const timed = async (body: object) => {
    const startMs = performance.now()
    t.match(await post('/auth/login', body), REFUSED)
    return performance.now() - startMs
  }
  const known: number[] = []
  const unknown: number[] = []
  // In turns, so that what else the machine does meets both.
  for (let round = 0; round < 21; round += 1) {
    known.push(await timed(trader))
    unknown.push(await timed({ ...trader, email: 'nobody@acme.example' }))
  }
  const median = (values: number[]) => values.toSorted((left, right) => left - right)[10] ?? 0
  const [knownMs, unknownMs] = [median(known), median(unknown)]
  t.comment(
    `known ${knownMs.toFixed(1)} ms, unknown ${unknownMs.toFixed(1)} ms: ${(unknownMs / knownMs).toFixed(3)}`,
  )
})

t.test('signing out, one place or all places at once', async (t) => {
  const { tokensOf, browserOf, post, get, ask } = await setUp(t)
  const [one, two, three] = [await tokensOf('user'), await tokensOf('user'), await tokensOf('user')]
  const browser = await browserOf('user')
  const other = await browserOf('user')
  const stranger = await tokensOf('user', 'globex')

  t.match(await post('/auth/logout', undefined, one.bearer), { status: 204 })
  t.match(await get('/auth/me', one.bearer), NOT_SIGNED_IN)
  t.match(await post('/auth/refresh', { refresh_token: one.refreshToken }), { status: 401 })

  const { items = [] } = (await get('/auth/sessions', two.bearer)).body
  t.strictSame(items.map(({ kind, current }) => `${String(kind)} ${String(current)}`).toSorted(), [
    'session false',
    'session false',
    'token false',
    'token true',
  ])
  const third = items.find(({ kind, current }) => kind === 'token' && current === false)
  t.match(await ask('DELETE', `/auth/sessions/${String(third?.['id'])}`, undefined, stranger.bearer), {
    status: 404,
  })
  t.match(await ask('DELETE', `/auth/sessions/${String(third?.['id'])}`, undefined, two.bearer), {
    status: 204,
  })
  t.match(await get('/auth/me', three.bearer), NOT_SIGNED_IN)
  const session = items.find(({ kind }) => kind === 'session')
  t.match(await ask('DELETE', `/auth/sessions/${String(session?.['id'])}`, undefined, two.bearer), {
    status: 204,
  })
  const left = await Promise.all([browser, other].map((each) => get('/auth/me', each)))
  t.strictSame(left.map(({ status }) => status).toSorted(), [200, 401], 'that one and no other')
  t.match(await ask('DELETE', '/auth/sessions/nonsense', undefined, two.bearer), { status: 404 })

  t.match(await post('/auth/sessions/revoke-all', undefined, two.bearer), { status: 204 })
  t.match(await get('/auth/me', two.bearer), NOT_SIGNED_IN)
  for (const each of [browser, other]) t.match(await get('/auth/me', each), NOT_SIGNED_IN)
  t.match(await post('/auth/refresh', { refresh_token: two.refreshToken }), { status: 401 })
  t.match(await get('/auth/me', stranger.bearer), { status: 200 })
})

t.test('whoever registers and has the mailbox gets an account, and nobody learns who has one', async (t) => {
  const { post, sql, mails, tokenOfMail, service } = await setUp(t)
  const person = { tenant: 'acme', email: 'New.Person@mail.example', password: 'a long new password' }
  const first = await post('/auth/register', person)
  t.equal(first.status, 202)
  t.equal((await sql.query(`select from users where email like 'new.person%'`)).rowCount, 0, 'not before')
  t.match(await post('/auth/login', person), REFUSED)
  const token = await tokenOfMail(/Confirm/)
  t.match(await post('/auth/verify', { token }), {
    status: 200,
    body: { tenant: 'acme', email: 'new.person@mail.example' },
  })
  t.match(await post('/auth/verify', { token }), {
    status: 400,
    body: { error: 'HOLDFAST_ERR_API_MAIL_TOKEN' },
  })
  t.match(await post('/auth/login', person), { status: 200, body: { role: 'user' } })

  const again = await post('/auth/register', { ...person, password: 'another long password' })
  t.equal(again.text, first.text)
  const nowhere = await post('/auth/register', { ...person, tenant: 'nowhere' })
  t.equal(nowhere.text, first.text)
  await waitUntil(() => mails().length === 2)
  t.match(mails()[1], { to: 'new.person@mail.example', subject: 'You have an account already' })
  t.match(await post('/auth/login', person), { status: 200 }, 'its password is the old one')
  for (const password of ['short', 'password', 'new.person', 'acme2026']) {
    t.match(await post('/auth/register', { ...person, password }), {
      status: 400,
      body: { error: 'HOLDFAST_ERR_API_PASSWORD_WEAK' },
    })
  }
  t.match(await post('/auth/verify', { token: `hfv_${'A'.repeat(43)}` }), { status: 400 })
  t.notMatch(service.stdout, /a long new password/)
})

t.test('who registers an address first does not choose the password of whose address it is', async (t) => {
  const { post, tokenOfMail } = await setUp(t)
  const victim = { tenant: 'acme', email: 'victim@mail.example' }
  await post('/auth/register', { ...victim, password: 'chosen by an attacker' })
  await post('/auth/register', { ...victim, password: 'chosen by the owner' })
  const own = await tokenOfMail(/Confirm/, 1)
  t.match(await post('/auth/verify', { token: own }), { status: 200 })
  t.match(await post('/auth/login', { ...victim, password: 'chosen by an attacker' }), REFUSED)
  t.match(await post('/auth/login', { ...victim, password: 'chosen by the owner' }), { status: 200 })
  t.match(await post('/auth/verify', { token: await tokenOfMail(/Confirm/, 0) }), { status: 400 }, 'too late')
})

t.test(
  'a forgotten password is replaced by whoever has the mailbox, once, and ends everything',
  async (t) => {
    const { post, get, accountOf, tokensOf, browserOf, tokenOfMail, sql } = await setUp(t)
    const { tenant, email, password } = accountOf('user')
    const [client, browser] = [await tokensOf('user'), await browserOf('user')]
    const known = await post('/auth/password/forgot', { tenant, email })
    const unknown = await post('/auth/password/forgot', { tenant, email: 'nobody@acme.example' })
    t.equal(known.status, 202)
    t.equal(known.text, unknown.text)
    const first = await tokenOfMail(/Choose/)
    await post('/auth/password/forgot', { tenant, email })
    const token = await tokenOfMail(/Choose/, 1)
    const over = { status: 400, body: { error: 'HOLDFAST_ERR_API_MAIL_TOKEN' } }
    const reset = (body: object) => post('/auth/password/reset', body)
    t.match(
      await reset({ token: first, new_password: 'a brand new one' }),
      over,
      'a newer mail ends the older',
    )
    t.match(await reset({ token, new_password: 'trader1234' }), {
      status: 400,
      body: { detail: /more than a name/ },
    })
    t.match(await reset({ token, new_password: 'a brand new one' }), { status: 204 })
    t.match(await reset({ token, new_password: 'a brand new two' }), over)
    t.match(await post('/auth/login', { tenant, email, password }), REFUSED)
    t.match(await post('/auth/login', { tenant, email, password: 'a brand new one' }), { status: 200 })
    t.match(await get('/auth/me', client.bearer), NOT_SIGNED_IN)
    t.match(await get('/auth/me', browser), NOT_SIGNED_IN)
    t.match(await post('/auth/refresh', { refresh_token: client.refreshToken }), { status: 401 })

    await post('/auth/password/forgot', { tenant, email })
    const late = await tokenOfMail(/Choose/, 2)
    await sql.query(`update password_resets set expires_at = clock_timestamp()`)
    t.match(await reset({ token: late, new_password: 'a brand new one' }), over)
  },
)

t.test('one address gets a few mails, and the answer does not tell', async (t) => {
  const { post, accountOf, mails } = await setUp(t, { RATE_LIMITS_MAIL: '2 per 1h burst 2 strict' })
  const { tenant, email } = accountOf('user')
  const answers = []
  for (let at = 0; at < 5; at += 1)
    answers.push((await post('/auth/password/forgot', { tenant, email })).text)
  t.equal(new Set(answers).size, 1)
  await post('/auth/password/forgot', { tenant, email: accountOf('operator').email })
  await waitUntil(() => mails().some(({ to }) => to.startsWith('operator')))
  t.equal(mails().filter(({ to }) => to === email).length, 2)
})

t.test('a new password needs the old one, keeps whoever asks, and ends the rest', async (t) => {
  const { post, get, accountOf, tokensOf, browserOf, mails } = await setUp(t)
  const { tenant, email, password } = accountOf('user')
  const [client, other, browser] = [await tokensOf('user'), await tokensOf('user'), await browserOf('user')]
  const change = (body: object, headers: Record<string, string>) => post('/auth/password', body, headers)
  t.match(
    await change({ password: 'not it at all', new_password: 'a brand new one' }, client.bearer),
    REFUSED,
  )
  t.match(await change({ password, new_password: 'password' }, client.bearer), { status: 400 })
  t.match(await change({ password, new_password: 'a brand new one' }, client.bearer), { status: 204 })
  t.match(await get('/auth/me', client.bearer), { status: 200 })
  t.match(await get('/auth/me', other.bearer), NOT_SIGNED_IN)
  t.match(await get('/auth/me', browser), NOT_SIGNED_IN)
  await waitUntil(() => mails().some(({ subject }) => subject === 'Your password was changed'))

  const own = cookieOf(await post('/auth/login', { tenant, email, password: 'a brand new one' }))
  const body = { password: 'a brand new one', new_password: 'and one newer still' }
  const changed = await change(body, own)
  t.equal(changed.status, 204)
  t.not(cookieOf(changed).cookie, own.cookie, 'another id')
  t.match(await get('/auth/me', cookieOf(changed)), { status: 200 })
  t.match(await get('/auth/me', own), NOT_SIGNED_IN, 'the old one is nothing')
  t.match(await get('/auth/me', client.bearer), NOT_SIGNED_IN)
})

t.test('a hash of the service before is good once, and is another one then', async (t) => {
  const { post, sql, accountOf } = await setUp(t)
  const person = { tenant: 'acme', email: accountOf('user').email, password: 'from the old service' }
  const stored = async () =>
    String(
      (await sql.query('select password_hash from users where email = $1', [person.email])).rows[0]?.[
        'password_hash'
      ],
    )
  await sql.query('update users set password_hash = $1 where email = $2', [
    await bcrypt(person.password, 4),
    person.email,
  ])
  t.match(await post('/auth/login', { ...person, password: 'not from there' }), REFUSED)
  t.match(await stored(), /^\$2b\$/)
  t.match(await post('/auth/login', person), { status: 200 })
  t.match(await stored(), /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  t.match(await post('/auth/login', person), { status: 200 })
})

t.test('a storm of sign-ins is bounded: the rest is told when to come back', async (t) => {
  const { post, get, accountOf } = await setUp(t, {
    RATE_LIMITS_SIGN_IN: '10000/minute',
    RATE_LIMITS_ACCOUNT: '10000/minute',
  })
  const trader = accountOf('user')
  const storm = Array.from({ length: 120 }, () =>
    post('/auth/login', { ...trader, password: 'wrong, wrong' }),
  )
  t.match(await get('/healthz'), { status: 200 })
  const answers = await Promise.all(storm)
  const count = (wanted: number) => answers.filter(({ status }) => status === wanted).length
  t.comment(`401: ${count(401)}, 503: ${count(503)}`)
  t.equal(count(401) + count(503), 120)
  t.ok(count(401) >= 30 && count(503) > 0)
  for (const { status, headers, body } of answers) {
    if (status !== 503) continue
    t.match(headers.get('retry-after'), /^\d+$/)
    t.match(body, {
      error: 'HOLDFAST_ERR_API_PASSWORDS_BUSY',
      detail: 'too many people sign in at this moment',
    })
  }
})

t.test(
  'the log says of what is refused where it came from, and knows it by the id of the answer',
  async (t) => {
    const { service, accountOf, tokensOf, post } = await setUp(t)
    const { bearer } = await tokensOf('user')
    const wrong = { password: 'not the password', new_password: 'a brand new one' }
    const { email, tenant, password } = accountOf('user')
    const ids = [
      await post('/auth/login', { email, tenant, password: wrong.password }),
      await post('/auth/login', { tenant, email: 'nobody@acme.example', password }),
      await post('/auth/password', wrong, bearer),
    ].map(({ body }) => body['correlation_id'])
    const noted = () =>
      service.stdout
        .split('\n')
        .filter((line) => line.includes('"event":"sign-in.refused"'))
        .map((line) => JSON.parse(line) as object)
    await waitUntil(() => noted().length >= 3)
    t.match(
      noted(),
      ids.map((correlation_id) => ({
        event_type: 'SECURITY_EVENT',
        correlation_id,
        tenant: 'acme',
        address: '127.0.0.1',
      })),
    )
    t.notMatch(service.stdout, /nobody@acme/, 'now and then people type their password there')
  },
)

t.test('signing out works behind a proxy that asks for a password of its own', async (t) => {
  const { browserOf, post, get } = await setUp(t)
  const browser = await browserOf('user')
  const proxied = { ...browser, authorization: 'Basic c3RhZ2luZzpzdGFnaW5n' }
  t.match(await get('/auth/me', proxied), { status: 200 })
  t.match(await post('/auth/logout', undefined, proxied), { status: 204 })
  t.match(await get('/auth/me', browser), NOT_SIGNED_IN)
})

t.test(
  'while the line is full, who needs it is refused before anything is done, and nobody else',
  async (t) => {
    const { service, post, get, ask, tokensOf } = await setUp(t, { RATE_LIMITS_IP: '10 per 1h' })
    const { bearer } = await tokensOf('user')
    const { hashingLine } = service.app.fastify
    const held = Promise.withResolvers<void>()
    const line = []
    while (hashingLine.refusal() === undefined) line.push(hashingLine.run(() => held.promise))
    const busy = { status: 503, body: { error: 'HOLDFAST_ERR_API_PASSWORDS_BUSY', retry_after: Number } }
    for (const path of ['/auth/login', '/auth/register', '/auth/password/reset', '/auth/password']) {
      for (let at = 0; at < 5; at += 1) t.match(await post(path, { nonsense: true }), busy, path)
    }
    t.match(await ask('GET', '/auth/login'), { status: 405 })
    t.match(await get('/auth/me', bearer), { status: 200 }, 'and his address was not counted')
    held.resolve()
    await Promise.all(line)
    t.match(await post('/auth/login', {}), { status: 400 })
  },
)

t.test('nothing that was secret is in the log', async (t) => {
  const { service, accounts, tokensOf, browserOf, post } = await setUp(t)
  const { bearer, refreshToken } = await tokensOf('admin')
  const browser = await browserOf('user')
  await post('/auth/refresh', { refresh_token: refreshToken })
  await post('/auth/login', {
    tenant: 'acme',
    email: 'trader@acme.example',
    password: 'canary-password-wrong',
  })
  await post(
    '/auth/password',
    { password: 'canary-password-old', new_password: 'canary-password-new' },
    bearer,
  )
  for (const secret of [
    ...accounts.map(({ password }) => password),
    bearer.authorization,
    refreshToken,
    browser.cookie,
    'canary-password',
    'the-secret-of-the-services',
    '$argon2id$',
  ]) {
    t.notOk(service.stdout.includes(secret.replace('Bearer ', '').replace('sid=', '')), secret.slice(0, 6))
  }
})
