// Which attempts count, and what is done before it is known whether anything can be done at all; without a database.

import t from 'tap'
import { ApiClientLeftError, ApiPasswordsBusyError, ApiSignInRefusedError } from '../src/errors.ts'
import { SignIn, type SignInParts } from '../src/routes/auth/sign-in.ts'

const TRADER = { tenant: 'acme', email: 'trader@acme.example' }
const ACCOUNT = { ...TRADER, id: '1', role: 'user' as const, passwordHash: 'the hash' }
const CONFIRMED = {
  ...TRADER,
  id: '1',
  role: 'user' as const,
  since: { at: '2026-01-01 00:00:00+00', atMs: 1_767_225_600_000 },
}
const ATTEMPT = {
  ...TRADER,
  password: 'a good long password',
  address: '198.51.100.7',
  signal: new AbortController().signal,
  log: { warn() {} },
}

/** Signing in where everything is as `parts` says, and nothing else is asked for. */
function signInWith(parts: object) {
  const counted = { attempts: 0, givenBack: 0 }
  const attempt = () => {
    counted.attempts += 1
    return Promise.resolve({
      giveBack() {
        counted.givenBack += 1
      },
    })
  }
  const signIn = new SignIn({
    accounts: { confirm: async () => CONFIRMED },
    limits: { password: attempt, other: attempt, mail: attempt },
    outbox: { available: true, post() {} },
    tell() {},
    database: () => ({ use: 'database', reason: 'well', retryAfterMs: 0 }),
    ...parts,
  } as unknown as SignInParts)
  return { signIn, counted }
}

const verdict = (matches: boolean, upgraded?: string) => ({
  verifyOf: async () => ({ holder: ACCOUNT, verdict: { matches, upgraded } }),
})
const failing = (error: Error) => ({ verifyOf: () => Promise.reject(error) })

t.test('an attempt counts when it was judged and wrong, or when its client has left', async (t) => {
  const right = signInWith({ passwords: verdict(true) })
  t.strictSame(await right.signIn.authenticate(ATTEMPT), CONFIRMED)
  t.strictSame(right.counted, { attempts: 1, givenBack: 1 })
  const overtaken = signInWith({ passwords: verdict(true), accounts: { confirm: async () => undefined } })
  await t.rejects(overtaken.signIn.authenticate(ATTEMPT), new ApiSignInRefusedError())
  t.strictSame(overtaken.counted, { attempts: 1, givenBack: 0 }, 'it was not his password any more')
  const confirm = () => Promise.reject(new Error('the connection was lost'))
  const unsure = signInWith({ passwords: verdict(true), accounts: { confirm } })
  await t.rejects(unsure.signIn.authenticate(ATTEMPT), { message: 'the connection was lost' })
  t.strictSame(unsure.counted, { attempts: 1, givenBack: 1 })
  for (const [passwords, expected, givenBack] of [
    [verdict(false), new ApiSignInRefusedError(), 0],
    [failing(new ApiClientLeftError()), new ApiClientLeftError(), 0],
    [failing(new ApiPasswordsBusyError()), new ApiPasswordsBusyError(), 1],
    [failing(new Error('the connection was lost')), new Error('the connection was lost'), 1],
  ] as const) {
    const { signIn, counted } = signInWith({ passwords })
    await t.rejects(signIn.authenticate(ATTEMPT), expected)
    t.strictSame(counted, { attempts: 1, givenBack }, expected.message)
  }
})

t.test('a hash that cannot be replaced keeps nobody out', async (t) => {
  const accounts = {
    confirm: async () => CONFIRMED,
    upgradeHash: () => Promise.reject(new Error('the connection was lost')),
  }
  const { signIn } = signInWith({ accounts, passwords: verdict(true, 'a newer hash') })
  const warnings: string[] = []
  const log = { warn: (_fields: object, message: string) => warnings.push(message) }
  t.match(await signIn.authenticate({ ...ATTEMPT, log: log as unknown as typeof ATTEMPT.log }), { id: '1' })
  t.strictSame(warnings, ['a hash was not replaced'])
})

t.test('without a database nothing counts and nothing is computed', async (t) => {
  const { signIn, counted } = signInWith({
    database: () => ({ use: 'nothing', reason: 'open', retryAfterMs: 1500 }),
  })
  const { address } = ATTEMPT
  const unavailable = { code: 'HOLDFAST_ERR_API_SIGN_IN_UNAVAILABLE', statusCode: 503, retryAfterSeconds: 2 }
  await t.rejects(signIn.authenticate(ATTEMPT), unavailable)
  await t.rejects(signIn.register(ATTEMPT), unavailable)
  await t.rejects(signIn.verify('hfv_x', address), unavailable)
  await t.rejects(signIn.forgot(TRADER, address), unavailable)
  await t.rejects(signIn.reset('hfp_x', 'another good password', ATTEMPT), unavailable)
  t.strictSame(counted, { attempts: 0, givenBack: 0 })
})

t.test('without a way to send mail, nothing that needs one begins', async (t) => {
  const { signIn, counted } = signInWith({ outbox: { available: false } })
  const unavailable = { code: 'HOLDFAST_ERR_API_MAIL_UNAVAILABLE', statusCode: 503 }
  await t.rejects(signIn.register(ATTEMPT), unavailable)
  await t.rejects(signIn.forgot(TRADER, ATTEMPT.address), unavailable)
  t.strictSame(counted, { attempts: 0, givenBack: 0 })
})
