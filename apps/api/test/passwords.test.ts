// Passwords: what is stored, what is verified, how many at a time, and which may be chosen at all.

import { systemClock } from '@holdfast/footing'
import { HandClock, waitUntil } from '@holdfast/test-kit'
import { hash as bcrypt } from 'bcryptjs'
import t from 'tap'
import { HashingQueue } from '../src/routes/auth/hashing-queue.ts'
import { readHash } from '../src/routes/auth/password-hash.ts'
import { weakness } from '../src/routes/auth/password-rules.ts'
import { ARGON2_COST, Passwords } from '../src/routes/auth/passwords.ts'

const CHEAP = { memoryKib: 64, passes: 1, lanes: 1 }

function queue(concurrency = 2, maxWaiting = 100) {
  return new HashingQueue({ concurrency, maxWaiting, clock: systemClock })
}

function promised() {
  let resolve = () => {}
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

t.test('a hash is a PHC string with its own salt, and only its password matches', async (t) => {
  const passwords = new Passwords(queue())
  const hash = await passwords.hash('correct horse battery')
  t.match(hash, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/)
  t.not(await passwords.hash('correct horse battery'), hash)
  t.strictSame(await passwords.verify('correct horse battery', hash), { matches: true, upgraded: undefined })
  t.match(await passwords.verify('correct horse batterz', hash), { matches: false })
  t.match(readHash(hash), { scheme: 'argon2id', cost: ARGON2_COST })
})

t.test('one password typed in two ways is one password', async (t) => {
  const passwords = new Passwords(queue(), CHEAP)
  const hash = await passwords.hash('ｐａｓｓｗｏｒｄ-１')
  t.match(await passwords.verify('password-1', hash), { matches: true })
})

t.test('no account, no hash, a broken hash and nobody’s hash match nothing', async (t) => {
  const passwords = new Passwords(queue(), CHEAP)
  for (const stored of [
    undefined,
    '',
    'plain text',
    '$argon2i$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA',
    '$argon2id$v=19$m=99999999,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA',
    '$argon2id$v=19$m=4194304,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA',
    '$argon2id$v=19$m=64,t=0,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA',
    '$argon2id$v=19$m=64,t=17,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA',
    '$argon2id$v=19$m=64,t=1,p=9$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA',
    `$2b$31$${'a'.repeat(53)}`,
    `$2b$03$${'a'.repeat(53)}`,
  ]) {
    t.strictSame(await passwords.verify('anything at all', stored), { matches: false, upgraded: undefined })
  }
})

t.test('an unknown account takes the work of a known one', async (t) => {
  const passwords = new Passwords(queue(1))
  const stored = await passwords.hash('a good password')
  const timed = async (hash: string | undefined) => {
    const before = process.cpuUsage()
    await passwords.verify('a wrong password', hash)
    const { user, system } = process.cpuUsage(before)
    return user + system
  }
  const work = { known: [] as number[], unknown: [] as number[] }
  // In turns, so that what else the machine does meets both.
  for (let round = 0; round < 15; round += 1) {
    work.known.push(await timed(stored))
    work.unknown.push(await timed(undefined))
  }
  const median = (values: number[]) => values.toSorted((left, right) => left - right)[7] ?? 0
  const ratio = median(work.unknown) / median(work.known)
  t.comment(`unknown / known, in processor time: ${ratio.toFixed(3)}`)
  t.ok(ratio > 0.7 && ratio < 1.4, `${ratio}`)
})

t.test('a hash of bcrypt, and one that was cheaper, come back as they should be', async (t) => {
  const passwords = new Passwords(queue(), CHEAP)
  for (const prefix of ['$2b$', '$2a$', '$2y$']) {
    const old = (await bcrypt('from the old service', 4)).replace('$2b$', prefix)
    const verdict = await passwords.verify('from the old service', old)
    t.match(verdict, { matches: true, upgraded: /^\$argon2id\$/ })
    t.match(await passwords.verify('from the old service', verdict.upgraded), { matches: true })
    t.match(await passwords.verify('from another service', old), { matches: false, upgraded: undefined })
  }
  const cheap = await passwords.hash('a good password')
  const dearer = new Passwords(queue(), { memoryKib: 128, passes: 1, lanes: 1 })
  t.match(await dearer.verify('a good password', cheap), { matches: true, upgraded: /m=128,t=1,p=1/ })
})

t.test('bcrypt reads 72 bytes, so that a longer password is refused instead of cut off', async (t) => {
  const passwords = new Passwords(queue(), CHEAP)
  const old = await bcrypt('x'.repeat(72), 4)
  t.match(await passwords.verify('x'.repeat(72), old), { matches: true })
  t.match(await passwords.verify('x'.repeat(73), old), { matches: false })
})

t.test('a password of more than 1,024 bytes is not computed with', async (t) => {
  const passwords = new Passwords(queue(), CHEAP)
  const hash = await passwords.hash('a good password')
  t.match(await passwords.verify('ä'.repeat(513), hash), { matches: false })
  t.match(await passwords.verify('x'.repeat(1024), await passwords.hash('x'.repeat(1024))), { matches: true })
})

t.test('never more at work and in line than there may be; the rest is told when to come back', async (t) => {
  const clock = new HandClock()
  const line = new HashingQueue({ concurrency: 2, maxWaiting: 3, clock })
  const holds = Array.from({ length: 5 }, promised)
  const began: number[] = []
  const running = holds.map(({ promise }, at) =>
    line.run(() => {
      began.push(at)
      return promise
    }),
  )
  t.match(line.snapshot(), { running: 2, waiting: 3, mostWaiting: 3 })
  t.match(line.refusal(), { code: 'HOLDFAST_ERR_API_PASSWORDS_BUSY', retryAfterSeconds: 1, stack: undefined })
  await t.rejects(
    line.run(async () => {}),
    {
      code: 'HOLDFAST_ERR_API_PASSWORDS_BUSY',
      statusCode: 503,
      retryAfterSeconds: 1,
    },
  )
  for (const { resolve } of holds) resolve()
  await Promise.all(running)
  t.strictSame(began, [0, 1, 2, 3, 4], 'in the order in which they came')
  t.match(line.snapshot(), { running: 0, waiting: 0, done: 5, refused: 2 })
  t.equal(line.refusal(), undefined)
  t.equal(await line.run(async () => 'free again'), 'free again')
})

t.test('what fails gives its place on, and who has left is not worked for', async (t) => {
  const line = queue(1)
  const hold = promised()
  const failing = line.run(() =>
    hold.promise.then(() => {
      throw new Error('not today')
    }),
  )
  const leaver = new AbortController()
  let worked = false
  const left = line.run(async () => {
    worked = true
  }, leaver.signal)
  const next = line.run(async () => 'next')
  leaver.abort(new Error('gone'))
  await t.rejects(left, { message: 'gone' })
  hold.resolve()
  await t.rejects(failing, { message: 'not today' })
  t.equal(await next, 'next')
  t.notOk(worked)
  await t.rejects(
    line.run(async () => {}, AbortSignal.abort(new Error('gone before'))),
    { message: 'gone before' },
  )
  t.match(line.snapshot(), { running: 0, waiting: 0 })
})

t.test('a storm of sign-ins keeps the line within its bound', async (t) => {
  const line = queue(1, 8)
  const passwords = new Passwords(line)
  const storm = Array.from({ length: 200 }, () => passwords.verify('a wrong password', undefined))
  t.match(line.snapshot(), { running: 1, waiting: 8, refused: 191 })
  const settled = await Promise.allSettled(storm)
  t.equal(settled.filter(({ status }) => status === 'fulfilled').length, 9)
  await waitUntil(() => line.snapshot().running === 0)
})

t.test('what everybody tries first, and what is a name, is no password', (t) => {
  const names = ['trader', 'acme', 'trader@acme.example']
  for (const password of [
    '',
    'short',
    '1234567',
    'aaaaaaaa',
    'abababab',
    'password',
    'PASSWORD',
    'iloveyou',
    'trader12345',
    '2026-Trader',
    'trader@acme.example',
    'x'.repeat(1025),
    'ä😀'.repeat(300),
  ]) {
    t.type(weakness(password, names), 'string', password.slice(0, 20))
  }
  for (const password of ['correct horse', 'ünïcödé wörds', '7 small words', 'x1y2'.repeat(256)]) {
    t.equal(weakness(password, names), undefined, password.slice(0, 20))
  }
  t.end()
})
