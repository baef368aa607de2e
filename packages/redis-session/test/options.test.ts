import t from 'tap'
import { resolveCookie, resolveOptions, type SessionsOptions } from '../src/options.ts'

const secrets = ['a'.repeat(32)]
const redis = {
  available: true,
  run: () => undefined,
  call: () => undefined,
  key: () => undefined,
  onStateChange: () => undefined,
  beforeUp: () => undefined,
  subscribe: () => undefined,
}

t.test('the defaults are those of the README, and 0 is a value', async (t) => {
  const resolved = resolveOptions()
  t.match(resolved, {
    redis: undefined,
    fields: undefined,
    profiles: {
      default: { idleMs: 3_600_000, absoluteMs: 43_200_000 },
      permanent: { idleMs: 86_400_000, absoluteMs: 2_592_000_000 },
    },
    freshAuthMs: 900_000,
    touchEveryMs: 60_000,
    maxBytes: 32_768,
    maxFields: 64,
    maxPerUser: 50,
    whenFull: 'evict',
    encrypt: false,
    onRedisDown: 'sealed-cookie',
    outageMs: 900_000,
    outageRoles: ['user'],
    maxInMemory: 10_000,
  })
  t.equal(resolved.secrets[0].length, 64, 'a random one')
  t.not(resolved.secrets[0], resolveOptions().secrets[0])
  t.match(resolveOptions({ freshAuthMs: 0, touchEveryMs: 0 }), { freshAuthMs: 0, touchEveryMs: 0 })
  t.ok(resolveOptions({ redis: redis as never, secrets }).redis)
})

t.test('a number is an idle time, and no session outlives its absolute one', async (t) => {
  const { profiles } = resolveOptions({ profiles: { default: 1000, permanent: 40 * 86_400_000 } })
  t.same(profiles.default, { idleMs: 1000, absoluteMs: 43_200_000 })
  t.same(profiles.permanent, { idleMs: 40 * 86_400_000, absoluteMs: 40 * 86_400_000 })
  const own = { idleMs: 1000, absoluteMs: 2000 }
  t.same(resolveOptions({ profiles: { default: own } }).profiles.default, own)
})

t.test('a wrong value is refused with what it must be and what it was', async (t) => {
  const wrong: readonly [object, RegExp][] = [
    [{ redis: null }, /"redis" must be an object, received null/],
    [{ redis: { run: 1 }, secrets }, /"redis" must be an object with run/],
    [{ redis }, /"secrets" must be 1 to 8 different texts/],
    [{ secrets: [] }, /"secrets"/],
    [{ secrets: ['short'] }, /"secrets" .* received an array/],
    [{ secrets: 'a'.repeat(32) }, /"secrets" .* received "string"/],
    [{ secrets: [...secrets, ...secrets] }, /"secrets"/],
    [{ secrets: [...secrets, 7] }, /"secrets"/],
    [{ secrets: Array.from({ length: 9 }, (_, at) => String(at).repeat(32)) }, /"secrets"/],
    [{ profiles: { short: 1 } }, /"profiles.short" must be left out/],
    [{ profiles: { default: 10 } }, /"profiles.default" must be milliseconds from 1000/],
    [{ profiles: { default: 'day' } }, /"profiles.default" must be an object/],
    [
      { profiles: { default: { idleMs: 2000, absoluteMs: 1000 } } },
      /"profiles.default.absoluteMs" .* from 2000/,
    ],
    [{ profiles: { permanent: { idleMs: 2000, absoluteMs: 3000, x: 1 } } }, /"profiles.permanent.x"/],
    [{ freshAuthMs: -1 }, /"freshAuthMs"/],
    [{ touchEveryMs: '1' }, /"touchEveryMs"/],
    [{ fields: { theme: 'dark' } }, /"fields.theme" must be a function, received "dark"/],
    [{ maxBytes: 1 }, /"maxBytes" must be a whole number from 64/],
    [{ maxFields: 0 }, /"maxFields"/],
    [{ maxPerUser: 0 }, /"maxPerUser"/],
    [{ whenFull: 'ask' }, /"whenFull" must be 'evict' or 'deny'/],
    [{ encrypt: 1 }, /"encrypt"/],
    [{ onRedisDown: 'open' }, /"onRedisDown" must be 'sealed-cookie' or 'memory' or 'deny'/],
    [{ outageMs: 900_001 }, /"outageMs"/],
    [{ outageRoles: 'user' }, /"outageRoles" must be a list of roles/],
    [{ outageRoles: [''] }, /"outageRoles"/],
    [{ outageFields: 'theme' }, /"outageFields" must be a list of fields/],
    [{ outageFields: [5] }, /"outageFields"/],
    [{ outageFields: ['cart'], fields: { theme: String } }, /"outageFields" must be some of the fields/],
    [{ revocationLog: 'file' }, /"revocationLog"/],
    [{ revocationLog: {} }, /"revocationLog" must be an object with append, read, remove/],
    [{ statistics: 'yes' }, /"statistics"/],
    [{ warnBytes: 0 }, /"warnBytes"/],
    [{ maxInMemory: 0 }, /"maxInMemory"/],
    [{ clock: {} }, /"clock"/],
    [{ randomBytes: 1 }, /"randomBytes"/],
    [{ ttl: 1 }, /"ttl" must be left out/],
  ]
  for (const [options, message] of wrong) {
    t.throws(() => resolveOptions(options as SessionsOptions), {
      code: 'HOLDFAST_ERR_REDIS_SESSION_OPTION',
      message,
    })
  }
})

t.test('a secret is never shown', async (t) => {
  try {
    resolveOptions({ secrets: ['hunter2-canary'] })
  } catch (error) {
    t.notMatch((error as Error).message, /hunter2/)
  }
})

t.test('the cookie is secure by default, and never named so that a browser would drop it', async (t) => {
  t.same(resolveCookie(), { name: '__Host-Http-sid', secure: true, sameSite: 'Lax' })
  t.same(resolveCookie({ secure: false }), { name: 'sid', secure: false, sameSite: 'Lax' })
  t.same(resolveCookie({ name: '__Secure-me', sameSite: 'Strict' }), {
    name: '__Secure-me',
    secure: true,
    sameSite: 'Strict',
  })
  for (const cookie of [
    { name: '__Host-sid', secure: false },
    { name: 'a b' },
    { name: 'a;b' },
    { name: '' },
    { sameSite: 'None' },
    { secure: 'yes' },
    { path: '/' },
  ]) {
    t.throws(() => resolveCookie(cookie as never), { code: 'HOLDFAST_ERR_REDIS_SESSION_OPTION' })
  }
})
