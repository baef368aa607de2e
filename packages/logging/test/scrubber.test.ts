import t from 'tap'
import { MASK, maskText } from '../src/masked-text.ts'
import { scrub } from '../src/scrub.ts'
import { Scrubber } from '../src/scrubber.ts'
import { PARTS, SecretNames, WHOLE } from '../src/secret-names.ts'

const scrubber = new Scrubber(new SecretNames())
const shown = (given: unknown) => JSON.stringify(scrubber.value(given))

t.test('names that stand for secrets are masked, however they are written', async (t) => {
  for (const name of [
    'password',
    'PASSWORD',
    'user_password',
    'newPassword',
    'passwd',
    'pwd',
    'Authorization',
    'proxy-authorization',
    'set-cookie',
    'Cookie',
    'access_token',
    'refreshToken',
    'x-api-key',
    'apiKey',
    'clientSecret',
    'private_key',
    'sessionId',
    'sid',
    'otp',
    'DATABASE_URL',
    'x-csrf-token',
    'jwt',
  ]) {
    t.equal(shown({ [name]: 'canary' }), `{"${name}":"${MASK}"}`, name)
    t.notMatch(shown({ a: [{ [name]: { deep: 'canary' } }] }), 'canary', `${name}, deep inside`)
    t.notMatch(shown({ [name]: 4711 }), '4711', `${name}, a number`)
  }
})

t.test('names that only sound like them are not', async (t) => {
  const harmless = {
    code: 'E1',
    state: 'open',
    key: 'theme',
    mapping: 1,
    business: 2,
    opinion: 'x',
    author: 'y',
  }
  t.equal(shown(harmless), JSON.stringify(harmless))
  t.equal(shown({ password: null, token: undefined }), '{"password":null}', 'nothing is no secret')
})

t.test('an application knows its own names', async (t) => {
  const own = new Scrubber(new SecretNames({ secret: ['Kenn_wort'], plain: ['token_type'] }))
  t.equal(
    JSON.stringify(own.value({ kennwort: 'x', altesKennwort: 'y', tokenType: 'bearer', token: 'z' })),
    JSON.stringify({ kennwort: MASK, altesKennwort: MASK, tokenType: 'bearer', token: MASK }),
  )
})

t.test('texts lose what looks like a secret', async (t) => {
  const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl'
  for (const [given, expected] of [
    ['connect redis://app:canary@10.0.0.1:6379/0 failed', `connect redis://${MASK}@10.0.0.1:6379/0 failed`],
    ['postgres://app:can/a@ry@db/x', `postgres://${MASK}@db/x`],
    ['Authorization: Bearer canary-1234', `Authorization: ${MASK}`],
    ['Authorization: Token canary, x\nAccept: a', `Authorization: ${MASK}\nAccept: a`],
    ['authorization: Digest username="a", response="canary"', `authorization: ${MASK}`],
    ['Cookie: theme=dark; session=canary', `Cookie: ${MASK}`],
    ["{ cookie: 'a=1; b=canary', host: 'x' }", `{ cookie: ${MASK}, host: 'x' }`],
    ['sent Bearer canary-1234 twice', `sent Bearer ${MASK} twice`],
    ['sent Basic Y2FuYXJ5OmNhbmFyeQ==', `sent Basic ${MASK}`],
    ['basic authentication is off', 'basic authentication is off'],
    [`it was ${jwt}.`, `it was ${MASK}.`],
    ['GET /reset?token=canary&x=1', `GET /reset?token=${MASK}&x=1`],
    ['{"password":"can \\u0061ry","a":1}', `{"password":${MASK},"a":1}`],
    ["password='can ary' a", `password=${MASK} a`],
    ['DB_PASSWORD=canary', `DB_PASSWORD=${MASK}`],
    ['password: correct horse canary', `password: ${MASK}`],
    ['Passphrase = correct\thorse canary\nnext line', `Passphrase = ${MASK}\nnext line`],
    ['{ password: correct horse canary }', `{ password: ${MASK} }`],
    ['host=db password=canary port=5432', `host=db password=${MASK} port=5432`],
    ['password=correct canary, attempt 3', `password=${MASK}, attempt 3`],
    ['wrong password=canary (attempt 3)', `wrong password=${MASK} (attempt 3)`],
    ['the password is wrong', 'the password is wrong'],
    [`token=${jwt} x`, `token=${MASK} x`],
    ['api-key: canary', `api-key: ${MASK}`],
    ['{"password":"ab\\"canary"}', `{"password":${MASK}}`],
    ['{\\"password\\":\\"canary\\"}', `{\\"password\\":${MASK}\\"}`],
    [`{ 'set-cookie': [ 'sid=canary; Path=/' ], a: 1 }`, `{ 'set-cookie': ${MASK}, a: 1 }`],
    ['{"credentials":{"user":"canary"},"a":1}', `{"credentials":${MASK},"a":1}`],
    [`token=${jwt}&a=1`, `token=${MASK}&a=1`],
    [`Bearer ${'x'.repeat(3000)}canary`, `Bearer ${MASK}`],
    [`password="${'x'.repeat(3000)}canary"`, `password=${MASK}`],
    ['eyJ-not-a-token and eyJhbGciOi-either', 'eyJ-not-a-token and eyJhbGciOi-either'],
    ['a -----BEGIN RSA PRIVATE KEY-----\ncanary\n-----END RSA PRIVATE KEY----- b', `a ${MASK} b`],
    ['-----BEGIN ENCRYPTED PRIVATE KEY-----\ncanary, and its end is missing', MASK],
    ['-----BEGIN CERTIFICATE-----\nMIIB', '-----BEGIN CERTIFICATE-----\nMIIB'],
    ['nothing to see: 3 = 3', 'nothing to see: 3 = 3'],
  ] as const) {
    t.equal(maskText(given), expected)
  }
})

t.test('a long text is cut, and a secret is not cut into something harmless', async (t) => {
  t.equal(maskText('x'.repeat(100), 10), 'xxxxxxxxxx[cut]')
  t.notMatch(maskText(`${'x'.repeat(8190)} redis://app:canary@host`), 'canary')
  t.notMatch(maskText(`${'x'.repeat(8160)} redis://app:canary-canary@host`), 'canary')
})

t.test('what is a secret by its name in an object is one in a text', async (t) => {
  const written = (name: string) =>
    name.replace(
      /^(api|access|private|signing|encryption|session|connection|database|redis|smtp|card)(?=.)/,
      '$1_',
    )
  const inTexts = [...PARTS, ...WHOLE].filter((name) => !name.startsWith('raw'))
  for (const name of inTexts.flatMap((name) => [name, written(name), name.toUpperCase()])) {
    t.ok(new SecretNames().has(name), name)
    for (const text of [`${name}=canary`, `"${name}": "canary"`, `?a=1&${name}=canary&b=2`])
      t.notMatch(maskText(text), 'canary', text)
  }
})

t.test('no text makes it hang', async (t) => {
  // What is read once more from each of its places would take hours for these.
  const MAX = 1_000_000
  for (const hostile of [
    ...[
      'password',
      '://',
      '://a',
      'eyJ',
      'eyJ-',
      '-eyJaaaa',
      'eyJ-a.',
      'Bearer ',
      'basic ',
      'token="',
      'token=',
    ],
    ...['token\\"', 'token: [', 'token: {', "token='", 'a.', '"', '=', '\\', 'cookie: [masked];', '@://'],
    ...['password: a ', 'password=a  ', 'password=', 'password: a:'],
    ...['-----BEGIN PRIVATE KEY-----', '-----BEGIN ', 'authorization : [masked] '],
  ]) {
    maskText(hostile.repeat(MAX / hostile.length), MAX)
    t.pass(hostile)
  }
})

t.test('circles, depth, breadth and length have an end', async (t) => {
  const circle: Record<string, unknown> = { a: 1 }
  circle['self'] = circle
  circle['list'] = [circle]
  t.equal(shown(circle), '{"a":1,"self":"[circular]","list":["[circular]"]}')
  const twice = { b: 1 }
  t.equal(shown({ x: twice, y: twice }), '{"x":{"b":1},"y":{"b":1}}', 'twice is no circle')

  let deep: object = {}
  for (let level = 0; level < 10_000; level++) deep = { deep }
  t.match(shown(deep), /"\[deep\]"/)
  t.ok(shown(deep).length < 200)

  const wide = Object.fromEntries(Array.from({ length: 10_000 }, (_, at) => [`n${at}`, at]))
  t.match(shown(wide), /"\[more\]":true/)
  t.ok(shown(wide).length < 1000)
  t.match(shown(Array.from({ length: 10_000 }, () => 'x')), /\[9950 more\]/)

  const heavy = Array.from({ length: 50 }, () =>
    Array.from({ length: 50 }, () => ({ text: 'x'.repeat(9000) })),
  )
  t.ok(shown(heavy).length < 60_000, `${shown(heavy).length} characters of 22 MB`)

  const members = (make: (at: number) => unknown) =>
    Object.fromEntries(Array.from({ length: 50 }, (_, at) => [`${'n'.repeat(120)}${at}`, make(at)]))
  const named = members(() => members(() => members((at) => at)))
  t.ok(shown(named).length < 60_000, `${shown(named).length} characters of 15 MB, in names`)
  const counted = Object.fromEntries(Array.from({ length: 50 }, (_, at) => [at, Array(50).fill(1)]))
  t.equal(shown(counted).match(/\b1\b(?!")/g)?.length, 489, 'values of all kinds, lists included, are 500')
  t.equal((scrubber.value({ big: 10n ** 50_000n }) as { big: string }).big.length, 8192 + '[cut]'.length)
})

t.test('secrets in names, and in lists of names and values, are found', async (t) => {
  const headers = ['Host', 'x', 'Cookie', '__Host-session=canary', 'X-Api-Key', 'canary']
  t.equal(shown({ request: { rawHeaders: headers } }), `{"request":{"rawHeaders":"${MASK}"}}`)
  t.equal(
    shown({
      entries: [
        ['cookie', 'canary'],
        ['host', 'x'],
        ['password', 'email', 'name'],
      ],
    }),
    `{"entries":[["cookie","${MASK}"],["host","x"],["password","email","name"]]}`,
  )
  t.equal(shown({ 'redis://a:canary@h': 1 }), `{"redis://${MASK}@h":1}`)
})

t.test('whatever is logged becomes plain data, and nothing throws', async (t) => {
  const hostile = {
    get thrown() {
      throw new Error('no')
    },
    when: new Date(0),
    never: new Date(Number.NaN),
    bytes: Buffer.from('canary'),
    map: new Map([['password', 'canary']]),
    set: new Set(['canary']),
    big: 12n,
    run() {},
    symbol: Symbol('x'),
    nan: Number.NaN,
    url: new URL('https://u:canary@host/x?token=canary'),
    secret: { toJSON: () => 'canary' },
    own: { toJSON: () => ({ password: 'canary', a: 1 }) },
    broken: {
      toJSON() {
        throw new Error('no')
      },
    },
    nothing: null,
    proxy: new Proxy(
      {},
      {
        ownKeys: () => {
          throw new Error('no')
        },
      },
    ),
    empty: Object.create(null),
  }
  Object.defineProperty(hostile, '__proto__', { value: { polluted: true }, enumerable: true })
  const text = shown(hostile)
  t.notMatch(text, 'canary')
  t.same(JSON.parse(text).when, '1970-01-01T00:00:00.000Z')
  t.match(JSON.parse(text), {
    thrown: '[unreadable]',
    never: null,
    bytes: '[6 bytes]',
    map: '[1 entries]',
    big: '12',
    run: '[function]',
    nan: 'NaN',
    broken: '[unreadable]',
    proxy: '[unreadable]',
    nothing: null,
  })
  t.equal(({} as { polluted?: boolean }).polluted, undefined)
  for (const value of [undefined, null, 1, true, 'x', Symbol('x'), () => 1, 1n])
    t.doesNotThrow(() => scrubber.value(value))
  const names: string[] = []
  scrubber.members(hostile.proxy, (name) => names.push(name))
  t.same(names, ['[unreadable]'])
})

t.test('of an error the log has what went wrong, and not what was sent', async (t) => {
  const cause = Object.assign(new Error('connect redis://app:canary@db failed'), {
    code: 'ECONNREFUSED',
    port: 5432,
  })
  const error = Object.assign(new TypeError('could not save', { cause }), {
    code: 'E1',
    statusCode: 503,
    config: { headers: { authorization: 'Bearer canary' } },
    parameters: ['canary'],
    detail: 'Key (email)=(canary@x) exists',
  })
  const text = shown(error)
  t.notMatch(text, 'canary')
  t.match(JSON.parse(text), {
    type: 'TypeError',
    message: 'could not save',
    code: 'E1',
    statusCode: 503,
    stack: /scrubber\.test/,
    cause: { code: 'ECONNREFUSED', port: 5432 },
  })

  const circular = new Error('a')
  circular.cause = circular
  t.equal(JSON.parse(shown(circular)).cause, '[circular]')
  let chain = new Error('0')
  for (let each = 1; each < 100; each++) chain = new Error(String(each), { cause: chain })
  t.ok(shown(chain).length < 40_000)
  t.equal(JSON.parse(shown(new AggregateError([new Error('x'), new Error('y')], 'both'))).errors.length, 2)
  t.equal(JSON.parse(shown(new Error('x', { cause: 'password=canary' }))).cause, `password=${MASK}`)
  t.equal(JSON.parse(shown(new Error('x', { cause: 7 }))).cause, '[number]')
  const unreadable = new Error('x')
  Object.defineProperty(unreadable, 'message', {
    get() {
      throw new Error('no')
    },
  })
  Object.defineProperty(unreadable, 'name', { value: 7 })
  t.match(JSON.parse(shown(unreadable)), { type: 'Error', message: '[unreadable]' })
})

t.test('whoever keeps something elsewhere has it as a line would', async (t) => {
  const given = {
    limits: { status: '60/minute' },
    token: 'canary',
    at: new Date(0),
    url: 'redis://app:canary@host',
  }
  const kept = scrub(given)
  t.equal(
    JSON.stringify(kept),
    JSON.stringify({
      limits: { status: '60/minute' },
      token: MASK,
      at: '1970-01-01T00:00:00.000Z',
      url: `redis://${MASK}@host`,
    }),
  )
  t.equal(given.token, 'canary', 'what was given stays as it is')
  t.equal(scrub(undefined), undefined)
})
