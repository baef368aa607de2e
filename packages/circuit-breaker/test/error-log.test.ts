import { HandClock, seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { ErrorLog, type ErrorLogOptions } from '../src/error-log.ts'

const minuteMs = 60_000

function logOf(options: ErrorLogOptions = {}) {
  const clock = new HandClock()
  return { clock, log: new ErrorLog({ clock, ...options }) }
}

const coded = (code: string) => Object.assign(new Error(`message of ${code}`), { code })

t.test('errors are counted by service and kind, the most frequent first', async (t) => {
  const { clock, log } = logOf()
  log.record('database', coded('57014'))
  log.record('database', coded('ECONNRESET'))
  await clock.advance(5)
  log.record('database', coded('ECONNRESET'))
  log.record('notification', new TypeError('no such user'))
  t.strictSame(log.summary('database'), {
    service: 'database',
    total: 3,
    inWindow: 3,
    trend: 'steady',
    kinds: [
      { kind: 'ECONNRESET', total: 2 },
      { kind: '57014', total: 1 },
    ],
    recent: [
      { kind: 'ECONNRESET', message: 'message of ECONNRESET', wallMs: clock.wallMs() },
      { kind: 'ECONNRESET', message: 'message of ECONNRESET', wallMs: clock.wallMs() - 5 },
      { kind: '57014', message: 'message of 57014', wallMs: clock.wallMs() - 5 },
    ],
  })
  t.match(log.summary('notification'), {
    kinds: [{ kind: 'TypeError' }],
    recent: [{ message: 'no such user' }],
  })
  t.strictSame(
    log.snapshot().map(({ service }) => service),
    ['database', 'notification'],
  )
  t.equal(log.summary('algorithm'), undefined)
})

t.test('whatever was thrown has a kind', async (t) => {
  const { log } = logOf()
  for (const thrown of ['text', undefined, null, 7, {}, { code: 5, name: '' }, { name: 'Odd', message: 1 }]) {
    log.record('service', thrown)
  }
  t.strictSame(
    log.summary('service')?.recent.map(({ kind, message }) => `${kind}: ${message}`),
    ['Odd: ', 'object: ', 'object: ', 'number: 7', 'object: null', 'undefined: undefined', 'string: text'],
  )
})

t.test('services, kinds, errors and texts are bounded', async (t) => {
  const { log } = logOf({ maxServices: 2, maxKinds: 3, maxRecent: 4 })
  for (let index = 0; index < 100; index += 1) log.record(`service ${index}`, coded('x'))
  t.strictSame(
    log.snapshot().map(({ service, total }) => [service, total]),
    [
      ['service 0', 1],
      ['service 1', 1],
      ['other', 98],
    ],
  )
  for (let index = 0; index < 100; index += 1) log.record('service 0', coded(`${'k'.repeat(1000)}`))
  for (let index = 0; index < 100; index += 1) log.record('service 0', coded(`kind ${index}`))
  const summary = log.summary('service 0')
  t.strictSame(
    summary?.kinds.map(({ kind, total }) => [kind.length, total]),
    [
      [64, 100],
      [5, 99],
      [1, 1],
      [6, 1],
    ],
    'three kinds, and all others',
  )
  t.equal(summary?.recent.length, 4)
  log.record('service 0', new Error('m'.repeat(1000)))
  t.equal(log.summary('service 0')?.recent[0]?.message.length, 200)
})

t.test('a log may keep no errors at all', async (t) => {
  const { log } = logOf({ maxRecent: 0 })
  log.record('service', coded('x'))
  t.match(log.summary('service'), { total: 1, recent: [] })
})

t.test('what leaves the window is not in it, and the total stays', async (t) => {
  const { clock, log } = logOf({ windowMs: 10 * minuteMs })
  log.record('service', coded('x'))
  await clock.advance(9 * minuteMs)
  t.match(log.summary('service'), { total: 1, inWindow: 1 })
  log.record('service', coded('x'))
  await clock.advance(minuteMs)
  t.match(log.summary('service'), { total: 2, inWindow: 1 })
  await clock.advance(100 * minuteMs)
  t.match(log.summary('service'), { total: 2, inWindow: 0, trend: 'quiet' })
})

t.test('more errors than before are a rising trend, fewer a falling one', async (t) => {
  const { clock, log } = logOf({ windowMs: 10 * minuteMs })
  const errors = async (count: number) => {
    for (let index = 0; index < count; index += 1) log.record('service', coded('x'))
    await clock.advance(5 * minuteMs)
  }
  await errors(4)
  await errors(20)
  t.equal(log.summary('service')?.trend, 'falling', 'the newer half has only begun')
  log.record('service', coded('x'))
  for (let index = 0; index < 60; index += 1) log.record('service', coded('x'))
  t.equal(log.summary('service')?.trend, 'rising')
  await clock.advance(5 * minuteMs)
  t.equal(log.summary('service')?.trend, 'falling')
})

t.test('errors that come at an even rate are seldom called a trend', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const { clock, log } = logOf({ windowMs: 1000 })
  let trends = 0
  for (let step = 0; step < 2000; step += 1) {
    await clock.advance(10)
    if (random.next() < 0.5) log.record('service', coded('x'))
    if (step > 100 && step % 50 === 0 && log.summary('service')?.trend !== 'steady') trends += 1
  }
  t.ok(trends <= 6, `${trends} of 38 looks saw a trend`)
})

t.test('an operator may name kinds and leave texts out', async (t) => {
  const { log } = logOf({ describe: () => ({ kind: 'any', message: '' }) })
  log.record('service', new Error('secret'))
  t.match(log.summary('service'), { kinds: [{ kind: 'any' }], recent: [{ kind: 'any', message: '' }] })
})

for (const options of [
  { maxServices: 0 },
  { maxKinds: 0 },
  { maxRecent: 1001 },
  { windowMs: 19 },
  { describe: 'code' },
  { clock: {} },
  { max: 1 },
]) {
  t.test(`${JSON.stringify(options)} is refused at construction`, async (t) => {
    t.throws(() => new ErrorLog(options as ErrorLogOptions), {
      code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_INVALID_OPTION',
    })
  })
}
