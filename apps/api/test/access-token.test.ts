// Access tokens against whoever makes up his own (threat list, row 7).

import { createHmac, createPublicKey, generateKeyPairSync, randomUUID } from 'node:crypto'
import { HandClock } from '@holdfast/test-kit'
import t from 'tap'
import { type AccessKey, AccessKeyRing } from '../src/routes/auth/access-key-ring.ts'
import { type AccessClaims, AccessTokens } from '../src/routes/auth/access-token.ts'
import { derivedKey } from '../src/routes/auth/derived-key.ts'
import { VerifiedTokens } from '../src/routes/auth/verified-tokens.ts'
import { Secret } from '../src/secret.ts'

const SECRET = new Secret('a secret of the service for tests, long enough')
const OLDER = new Secret('the secret that the service had before this one')
const CLAIMS: AccessClaims = {
  userId: '7',
  tenant: 'acme',
  role: 'user',
  familyId: randomUUID(),
  authenticatedAtMs: 1_700_000_000_000,
}

const clock = new HandClock()
const ring = AccessKeyRing.ofSecrets([SECRET, OLDER])
const tokens = new AccessTokens(ring, clock)
const nowSeconds = () => Math.floor(clock.wallMs() / 1000)

const text = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A token with whatever in it, signed with the real key. */
function signed(header: object, payload: object, key: Buffer | string = derivedKey(SECRET, 'access-token')) {
  const content = `${text({ alg: 'HS256', typ: 'at+jwt', kid: ring.current.id, ...header })}.${text(payload)}`
  return `${content}.${createHmac('sha256', key).update(content).digest('base64url')}`
}

function payload(changes: object = {}) {
  return {
    iss: 'holdfast-api',
    aud: 'holdfast-api',
    sub: '7',
    jti: randomUUID(),
    sid: CLAIMS.familyId,
    tenant: 'acme',
    role: 'user',
    auth_time: nowSeconds(),
    iat: nowSeconds(),
    exp: nowSeconds() + 300,
    ...changes,
  }
}

t.test('what was issued is verified, until five minutes are over', async (t) => {
  const token = await tokens.issue(CLAIMS)
  t.strictSame(await tokens.verify(token), CLAIMS)
  await clock.advance(299_000)
  t.strictSame(await tokens.verify(token), CLAIMS)
  await clock.advance(8000)
  t.equal(await tokens.verify(token), undefined)
})

t.test(
  'a token that was verified before is good for as long as one that comes for the first time',
  async (t) => {
    const known = new AccessTokens(ring, clock)
    const token = await tokens.issue(CLAIMS)
    t.strictSame(await known.verify(token), CLAIMS)
    const seconds = [-7, -6, -5, 0, 299, 304, 305, 306]
    const issuedAtMs = clock.wallMs()
    let goodAt = ''
    for (const second of seconds) {
      clock.jumpWall(issuedAtMs + second * 1000 - clock.wallMs())
      const isGood = (await known.verify(token)) !== undefined
      goodAt += ` ${second}: ${isGood}`
      t.equal((await new AccessTokens(ring, clock).verify(token)) !== undefined, isGood, `after ${second} s`)
    }
    t.match(goodAt, ' -6: false -5: true 0: true 299: true 304: true 305: false')
    clock.jumpWall(issuedAtMs - clock.wallMs())
  },
)

t.test('of a token that was verified nothing is believed of another one', async (t) => {
  const good = signed({}, payload())
  t.ok(await tokens.verify(good))
  const [header, , signature] = good.split('.')
  t.equal(await tokens.verify([header, text(payload({ role: 'admin' })), signature].join('.')), undefined)
  t.equal(await tokens.verify(`${good}=`), undefined)
  const other = new AccessTokens(AccessKeyRing.ofSecrets([OLDER]), clock)
  t.equal(await other.verify(good), undefined, 'nor by whoever has other keys')
})

t.test('verified tokens are so many at most, and those stay that are asked for', (t) => {
  const kept = new VerifiedTokens(2)
  const verified = { claims: CLAIMS, issuedAt: 0, expiresAt: 1 }
  for (const token of ['a', 'b']) kept.keep(token, verified)
  t.equal(kept.find('a'), verified)
  kept.keep('c', verified)
  t.same([kept.size, kept.find('a'), kept.find('b'), kept.find('c')], [2, verified, undefined, verified])
  t.end()
})

t.test('a key that is only known still verifies, one that is not known does not', async (t) => {
  const before = new AccessTokens(AccessKeyRing.ofSecrets([OLDER]), clock)
  t.strictSame(await tokens.verify(await before.issue(CLAIMS)), CLAIMS)
  t.equal(await before.verify(await tokens.issue(CLAIMS)), undefined)
})

t.test('the token that the tests forge would be good, but for what is wrong with it', async (t) => {
  t.match(await tokens.verify(signed({}, payload())), { userId: '7', tenant: 'acme' })
})

t.test('an algorithm, a key or a header that is not ours is refused', async (t) => {
  const forged: [string, string][] = [
    ...['none', 'NONE', 'nOnE', 'None', '', 'HS512', 'HS384', 'RS256', 'EdDSA', 'hs256'].flatMap((alg) => [
      [`alg ${alg}`, signed({ alg }, payload())] as [string, string],
      [
        `alg ${alg}, unsigned`,
        `${text({ alg, typ: 'at+jwt', kid: ring.current.id })}.${text(payload())}.`,
      ] as [string, string],
    ]),
    ['crit', signed({ crit: ['x'], x: 1 }, payload())],
    ['crit b64', signed({ crit: ['b64'], b64: false }, payload())],
    ['another type', signed({ typ: 'JWT' }, payload())],
    ['no type', signed({ typ: undefined }, payload())],
    ['refresh type', signed({ typ: 'rt+jwt' }, payload())],
    ...['../../dev/null', '__proto__', 'constructor', 'toString', '', ' ', "' or 1=1", 'x'.repeat(1000)].map(
      (kid) => [`kid ${kid}`, signed({ kid }, payload())] as [string, string],
    ),
    ['kid a number', signed({ kid: 1 }, payload())],
    ['kid an array', signed({ kid: [ring.current.id] }, payload())],
    ['no kid', signed({ kid: undefined }, payload())],
    [
      'jwk',
      signed({ kid: undefined, jwk: { kty: 'oct', k: 'AAAA' } }, payload(), Buffer.from('AAAA', 'base64')),
    ],
    ['jku', signed({ kid: 'x', jku: 'http://127.0.0.1:1/keys' }, payload())],
    ['an empty key', signed({}, payload(), '')],
    ['another key', signed({}, payload(), 'another key')],
  ]
  for (const [what, token] of forged) t.equal(await tokens.verify(token), undefined, what)
})

t.test('a claim that is missing, or of another kind, is refused', async (t) => {
  const wrong: [string, object][] = [
    ...['iss', 'aud', 'sub', 'jti', 'sid', 'tenant', 'role', 'auth_time', 'iat', 'exp'].map(
      (claim) => [`no ${claim}`, { [claim]: undefined }] as [string, object],
    ),
    ['exp a text', { exp: String(nowSeconds() + 300) }],
    ['exp far away', { iat: nowSeconds() - 3000, exp: nowSeconds() + 300 }],
    ['exp over', { exp: nowSeconds() - 60 }],
    ['iat in the future', { iat: nowSeconds() + 600, exp: nowSeconds() + 900 }],
    ['nbf in the future', { nbf: nowSeconds() + 600 }],
    ['aud a list', { aud: ['holdfast-api', 'another'] }],
    ['aud another', { aud: 'another' }],
    ['iss another', { iss: 'another' }],
    ['iss a list', { iss: ['holdfast-api'] }],
    ['sub a number', { sub: 7 }],
    ['sub a path', { sub: '../7' }],
    ['sid a word', { sid: 'x' }],
    ['tenant a path', { tenant: '../acme' }],
    ['role unknown', { role: 'root' }],
    ['role a list', { role: ['admin'] }],
    ['auth_time a text', { auth_time: '0' }],
  ]
  for (const [what, changes] of wrong)
    t.equal(await tokens.verify(signed({}, payload(changes))), undefined, what)
})

t.test('one token has one spelling, and nothing long is looked at', async (t) => {
  const token = await tokens.issue(CLAIMS)
  const [header, body, signature = ''] = token.split('.')
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const last = alphabet.indexOf(signature.slice(-1))
  // The last two bits of the last character are in no byte.
  const sibling = alphabet[last ^ 1] ?? ''
  const spellings = [
    `${header}.${body}.${signature.slice(0, -1)}${sibling}`,
    `${token}=`,
    `${token} `,
    ` ${token}`,
    `${token}.`,
    `${token}\n`,
    `${header}.${body}`,
    `${header}..${signature}`,
    token.replaceAll('-', '+').replaceAll('_', '/').concat('+'),
    '',
    '..',
    'x.y.z',
    signed({}, payload({ pad: 'x'.repeat(9000) })),
  ]
  for (const spelling of spellings) t.equal(await tokens.verify(spelling), undefined, spelling.slice(-30))
})

t.test('a public key is no secret: what is signed with its text is refused', async (t) => {
  for (const kind of ['ed25519', 'rsa'] as const) {
    const pair =
      kind === 'rsa' ? generateKeyPairSync('rsa', { modulusLength: 2048 }) : generateKeyPairSync('ed25519')
    const key: AccessKey = {
      id: 'public',
      algorithm: 'EdDSA',
      signing: undefined,
      verifying: createPublicKey(pair.privateKey),
    }
    const both = new AccessTokens(new AccessKeyRing([ring.current, key]), clock)
    const pem = String(key.verifying.export({ type: 'spki', format: 'pem' }))
    const der = key.verifying.export({ type: 'spki', format: 'der' })
    for (const secret of [pem, `\n${pem}`, pem.trim(), der]) {
      t.equal(await both.verify(signed({ kid: 'public' }, payload(), secret)), undefined, kind)
      t.equal(await both.verify(signed({ kid: 'public', alg: 'EdDSA' }, payload(), secret)), undefined, kind)
    }
  }
})

t.test('a ring may sign with a key pair, and whoever has the public half verifies', async (t) => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const key = { id: 'pair', algorithm: 'EdDSA', signing: privateKey, verifying: publicKey } as const
  const issuing = new AccessTokens(new AccessKeyRing([key]), clock)
  const reading = new AccessTokens(new AccessKeyRing([ring.current, { ...key, signing: undefined }]), clock)
  t.strictSame(await reading.verify(await issuing.issue(CLAIMS)), CLAIMS)
})
