import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { HandClock, temporaryDirectory } from '@holdfast/test-kit'
import fastify, { type FastifyBaseLogger } from 'fastify'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { isPlain } from '../src/guarded-logger.ts'
import { Logs, serverOptions } from '../src/index.ts'
import { LineReader } from './line-reader.ts'

const logsWith = (options: ConstructorParameters<typeof Logs>[0] = {}) => {
  const reader = new LineReader()
  return { reader, logs: new Logs({ destination: reader, ...options }) }
}

function directoryOf(t: Test): string {
  const { path, remove } = temporaryDirectory('logs')
  t.teardown(remove)
  return path
}

t.test('no caller can take the names of a line, and nothing that he says is lost', async (t) => {
  const { reader, logs } = logsWith()
  logs.run({ correlationId: 'shop-000042', tenant: 'acme', job: 'settle' }, () => {
    const child = logs.logger.child({ part: 'a', tenant: 'evil', level: 'x' }).child({ part: 'b' })
    child.warn(
      { level: 60, time: 1, msg: 'spoof', correlation_id: 'x', part: 'c', job: 'settle', bet: 7 },
      'mine',
    )
  })
  t.match(reader.lines[0], {
    level: 40,
    msg: 'mine',
    correlation_id: 'shop-000042',
    tenant: 'acme',
    part: 'c',
    bet: 7,
  })
  t.same(reader.lines[0]?.['given'], {
    tenant: 'evil',
    level: 60,
    time: 1,
    msg: 'spoof',
    correlation_id: 'x',
  })
  t.type(reader.lines[0]?.['time'], 'string')
})

t.test('lines say which of several processes writes them, and nobody else says so', async (t) => {
  const { reader, logs } = logsWith({ worker: 3 })
  logs.logger.child({ worker: 7 }).info({ pid: 1, bet: 7 }, 'mine')
  t.match(reader.lines[0], { worker: 3, pid: process.pid, bet: 7, given: { worker: 7, pid: 1 } })
  t.throws(() => logsWith({ worker: -1 }), { message: /"worker" must be/ })
  t.throws(() => new Logs({ logger: logs.logger, worker: 1 }), { message: /"worker" must be left out/ })
})

t.test('errors, requests and secrets are safe in any line', async (t) => {
  const { reader, logs } = logsWith()
  logs.logger.error(Object.assign(new Error('redis://a:canary@h'), { config: { password: 'canary' } }))
  logs.logger.info(
    {
      err: { password: 'canary' },
      req: {
        method: 'GET',
        url: 'http://a:canary@h/x?token=canary',
        headers: { cookie: 'canary' },
        host: 'h',
        ip: '::1',
      },
      res: { statusCode: 200, secret: 'canary' },
    },
    'token=canary',
  )
  logs.logger.info({ user: { password: 'canary' } }, 'password=%s', 'canary')
  logs.logger.child({ token: 'canary' }).info('x')
  logs.event('SECURITY_EVENT', 'x', { password: 'canary' })
  t.notMatch(reader.texts.join(''), 'canary')
  t.match(reader.lines[1], {
    req: { method: 'GET', path: '/x', host: 'h', remote_address: '::1' },
    res: { status: 200 },
  })
})

t.test('whatever is logged, whoever logs goes on', async (t) => {
  const { reader, logs } = logsWith()
  const broken = () => {
    throw new Error('no')
  }
  const failing = (name: string) => Object.defineProperty({}, name, { get: broken, enumerable: true })
  logs.logger.info({ req: failing('url') }, 'a')
  logs.logger.info({ res: failing('statusCode') }, 'b')
  logs.logger.info({ res: { statusCode: { password: 'canary' } } }, 'c')
  logs.logger.info(failing('err'), 'd')
  logs.logger.child(failing('err')).info('e')
  t.match(reader.lines, [
    { msg: 'a', req: '[unreadable]' },
    { msg: 'b', res: '[unreadable]' },
    { msg: 'c', res: {} },
    { msg: 'd', err: '[unreadable]' },
    { msg: 'e', err: '[unreadable]' },
  ])
  t.notMatch(reader.texts.join(''), 'canary')
  t.equal(logs.run(null as never, () => logs.correlationId)?.length, 36)
})

t.test('a destination that throws costs lines, and nothing else', async (t) => {
  const warnings: Error[] = []
  const note = (warning: Error) => warnings.push(warning)
  process.on('warning', note)
  t.teardown(() => process.off('warning', note))
  const logs = new Logs({
    destination: {
      write() {
        throw new Error('the disk is gone')
      },
    },
  })
  logs.logger.info('a')
  logs.event('USER_ACTION', 'b')
  logs.unread({}).written({ status: 400 })
  t.equal(logs.snapshot().dropped, 3)
  await setImmediate()
  t.match(warnings, [{ message: 'lines of the log are lost: the disk is gone' }])
  t.equal(warnings.length, 1)
})

t.test('a logger that there was already keeps its level, and has no secrets of ours', async (t) => {
  const reader = new LineReader()
  const logger = pino({ level: 'error', base: null }, reader)
  const logs = new Logs({ logger: logger as never })
  t.same(logs.snapshot().level, { level: 'error', configured: 'error', untilMs: undefined })
  logs.event('SECURITY_EVENT', 'written at any level')
  logs.event('USER_ACTION', 'not')
  t.match(reader.lines, [{ level: 40, msg: 'written at any level' }])
  logs.setLevel('debug', 1000)
  t.equal(logger.level, 'debug')
  logs.resetLevel()
  t.equal(logger.level, 'error')

  const app = fastify(serverOptions(logs))
  t.teardown(() => app.close())
  app.get('/', (request) => {
    const failure = Object.assign(new Error('no'), { config: { headers: { authorization: 'canary' } } })
    logs.scopeOf(request.raw).failure = failure
    return 'x'
  })
  await app.inject('/')
  t.match(reader.lines[1], { err: { message: 'no' }, msg: 'request completed' })
  t.notMatch(reader.texts.join(''), 'canary')
})

t.test('a logger is plain until somebody gives it ways of its own', async (t) => {
  const { logs } = logsWith()
  const serializers = { err: String }
  t.ok(isPlain(fastify({ loggerInstance: logs.logger as FastifyBaseLogger }).log.child({ a: 1 })))
  t.ok(isPlain(logs.logger.child({}, { level: 'warn' })))
  t.notOk(isPlain(logs.logger.child({}, { msgPrefix: 'x' }).child({ a: 1 })))
  t.notOk(isPlain(logs.logger.child({}, { serializers })))
  t.notOk(isPlain(pino()))
})

t.test('children are as pino has them', async (t) => {
  const { reader, logs } = logsWith({ level: 'INFO' })
  const child = logs.logger.child(
    { a: 1 },
    { level: 'debug', msgPrefix: '[x] ', serializers: { b: () => 'serialized' } },
  )
  child.debug({ b: { deep: 1 } }, 'y')
  t.match(reader.lines, [{ a: 1, b: 'serialized', msg: '[x] y' }])
  t.same(child.bindings(), { a: 1 })
  child.setBindings({ c: 2 })
  t.same(child.bindings(), { a: 1, c: 2 })
  child.info('z')
  t.match(reader.lines[1], { a: 1, c: 2 })
})

t.test('the level changes for all children, and comes back by itself', async (t) => {
  const clock = new HandClock()
  const { reader, logs } = logsWith({ level: 'warn', clock })
  const child = logs.logger.child({ a: 1 })
  const told: unknown[] = []
  const listen = (message: unknown) => told.push(message)
  subscribe('holdfast:logging:level', listen)
  t.teardown(() => unsubscribe('holdfast:logging:level', listen))
  const says = () => {
    reader.lines.length = 0
    child.debug('x')
    child.info('x')
    child.warn('x')
    return reader.lines.length
  }
  t.equal(says(), 1)
  logs.setLevel('debug', 1000)
  t.equal(says(), 3)
  await clock.advance(500)
  logs.setLevel('info', 1000)
  t.equal(says(), 2)
  await clock.advance(999)
  t.equal(says(), 2, 'the first change does not end the second')
  t.match(logs.snapshot().level, { level: 'info', configured: 'warn' })
  await clock.advance(1)
  t.equal(says(), 1)
  t.same(logs.snapshot().level, { level: 'warn', configured: 'warn', untilMs: undefined })
  logs.setLevel('trace', 1000)
  logs.resetLevel()
  logs.resetLevel()
  t.equal(says(), 1)
  t.same(
    told.map((event) => (event as { level: string }).level),
    ['debug', 'info', 'warn', 'trace', 'warn'],
  )
})

t.test('the five types of event', async (t) => {
  const { reader, logs } = logsWith()
  const told: { type: string }[] = []
  const listen = (message: unknown) => told.push(message as { type: string })
  subscribe('holdfast:logging:event', listen)
  t.teardown(() => unsubscribe('holdfast:logging:event', listen))
  for (const [type, level] of [
    ['USER_ACTION', 30],
    ['SYSTEM_EVENT', 30],
    ['ERROR_EVENT', 50],
    ['PERFORMANCE_EVENT', 30],
    ['SECURITY_EVENT', 40],
  ] as const) {
    reader.lines.length = 0
    logs.event(type, 'a.thing', { n: 1, event: 'other' })
    t.match(reader.lines, [
      { level, event_type: type, event: 'a.thing', n: 1, msg: 'a.thing', given: { event: 'other' } },
    ])
  }
  t.equal(told.length, 5)
  t.same(logs.snapshot().events, {
    USER_ACTION: 1,
    SYSTEM_EVENT: 1,
    ERROR_EVENT: 1,
    PERFORMANCE_EVENT: 1,
    SECURITY_EVENT: 1,
  })
})

t.test('what concerns security is written at any level but silent', async (t) => {
  const { reader, logs } = logsWith({ level: 'fatal' })
  logs.event('USER_ACTION', 'a')
  logs.event('SECURITY_EVENT', 'b')
  t.match(reader.lines, [{ msg: 'b', level: 40 }])
  t.equal(reader.lines.length, 1)
  logs.setLevel('silent', 1000)
  logs.event('SECURITY_EVENT', 'c')
  t.equal(reader.lines.length, 1)
  logs.resetLevel()
})

t.test('operations are timed, and what they answer or throw is passed on', async (t) => {
  const clock = new HandClock()
  const { reader, logs } = logsWith({ clock })
  t.equal(await logs.timed('fast', () => 7, { fields: { bets: 3 } }), 7)
  await t.rejects(
    logs.timed('slow', async () => {
      await clock.advance(1500)
      throw new Error('no')
    }),
    { message: 'no' },
  )
  await logs.timed('patient', () => clock.advance(1500), { slowMs: 2000 })
  t.match(reader.lines, [
    { event_type: 'PERFORMANCE_EVENT', event: 'fast', level: 30, duration_ms: 0, failed: false, bets: 3 },
    { event: 'slow', level: 40, duration_ms: 1500, failed: true, slow: true },
    { event: 'patient', level: 30, duration_ms: 1500 },
  ])
})

t.test('a full file is renamed, and so many are kept', async (t) => {
  const path = directoryOf(t)
  const reader = new LineReader()
  const logs = new Logs({
    destination: reader,
    files: { directory: join(path, 'made'), maxBytes: 4096, keep: 3 },
  })
  for (let each = 0; each < 400; each++) {
    logs.logger.info({ each }, 'a line of the log')
    if (each % 100 === 99) logs.logger.error({ each }, 'an error')
    if (each % 20 === 0) await logs.flush()
  }
  await logs.close()
  const directory = join(path, 'made')
  const names = readdirSync(directory).toSorted()
  t.same(names, ['app.1.log', 'app.2.log', 'app.3.log', 'app.error.log', 'app.log'])
  const read = (name: string) => readFileSync(join(directory, name), 'utf8')
  const texts = ['app.3.log', 'app.2.log', 'app.1.log', 'app.log'].map(read)
  for (const text of texts) t.ok(text.length <= 4096 && text.endsWith('\n'), `${text.length} bytes`)
  const kept = texts.join('')
  t.ok(kept.length > 3 * 3500)
  t.ok(reader.texts.join('').endsWith(kept), 'the end of the log, in order, no line lost or cut')
  t.same(
    read('app.error.log')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).each),
    [99, 199, 299, 399],
  )
  t.equal(logs.snapshot().dropped, 0)

  const next = new Logs({ destination: reader, files: { directory, maxBytes: 4096, keep: 1 } })
  for (let each = 0; each < 400; each++) next.logger.info({ each }, 'a line of the log')
  next.logger.flush()
  await next.flush()
  await next.close()
  next.logger.info('too late')
  t.equal(next.snapshot().dropped, 1)
  t.ok(read('app.log').length <= 4096)
  t.same(
    readdirSync(directory).toSorted(),
    ['app.1.log', 'app.error.log', 'app.log'],
    'and of a time when more were kept, none',
  )
})

t.test('wrong options fail at once, with what was received', async (t) => {
  for (const [options, message] of [
    [[], /"options" must be an object/],
    [{ lvl: 1 }, /"lvl" must be left out/],
    [{ level: 'loud' }, /"level" must be 'silent' or .*received "loud"/],
    [{ level: 7 }, /"level" must be/],
    [{ destination: {} }, /"destination" must be an object with write/],
    [{ logger: {} }, /"logger" must be an object with error/],
    [{ tenant: async () => 'x' }, /"tenant" must be a function that is not async/],
    [{ user: 'x' }, /"user" must be a function/],
    [{ trustIds: 'x' }, /"trustIds" must be a function/],
    [{ slowMs: -1 }, /"slowMs" must be milliseconds/],
    [{ sampleSuccess: 2 }, /"sampleSuccess" must be a number from 0 to 1/],
    [{ quietRoutes: '/x' }, /"quietRoutes" must be a list/],
    [{ secretNames: [7] }, /"secretNames\[0\]" must be a text/],
    [{ plainNames: [''] }, /"plainNames\[0\]" must be a text/],
    [{ secretNames: ['a', '__'] }, /"secretNames\[1\]" must be a name with letters/],
    [{ plainNames: ['\u5bc6'] }, /"plainNames\[0\]" must be a name with letters/],
    [{ files: {} }, /"files.directory" must be a text/],
    [{ files: { directory: '/x', name: '../x' } }, /"files.name" must be letters/],
    [{ files: { directory: '/x', maxBytes: 1 } }, /"files.maxBytes" must be a whole number from 1024/],
    [{ files: { directory: '/x', keep: -1 } }, /"files.keep" must be a whole number from 0/],
    [{ files: { directory: '/x', more: 1 } }, /"files.more" must be left out/],
    [{ random: 1 }, /"random" must be a function/],
  ] as const) {
    const wrong: object = options
    t.throws(() => new Logs(wrong), { code: 'HOLDFAST_ERR_LOGGING_OPTION', message })
  }
})
