import diagnostics from 'node:diagnostics_channel'
import { HandClock } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { errors, Lifecycle, type LifecycleOptions, type StateEvent } from '../src/index.ts'
import { FakeProcess, KeptLog } from './fake-process.ts'

t.setTimeout(20_000)

/** A lifecycle without an application, whose time and signals are the test's. */
function handLifecycle(options: LifecycleOptions = {}) {
  const clock = new HandClock()
  const process = new FakeProcess()
  const log = new KeptLog()
  const life = new Lifecycle({ clock, process, log, ...options })
  return { clock, process, log, life }
}

function statesOf(t: Test): string[] {
  const states: string[] = []
  const listener = (message: unknown) => states.push((message as StateEvent).to)
  diagnostics.subscribe('holdfast:lifecycle:state', listener)
  t.teardown(() => diagnostics.unsubscribe('holdfast:lifecycle:state', listener))
  return states
}

const serving = (options: LifecycleOptions = {}) => {
  const parts = handLifecycle(options)
  parts.life.started()
  return parts
}

t.test('the start is a line with its phases, once', async (t) => {
  const { clock, log, life } = handLifecycle()
  await clock.advance(40)
  life.configured()
  t.throws(() => life.configured(), errors.PhaseOrderError, 'once')
  const ended: unknown[] = []
  const listener = (message: unknown) => ended.push(message)
  diagnostics.subscribe('holdfast:lifecycle:phase', listener)
  t.teardown(() => diagnostics.unsubscribe('holdfast:lifecycle:phase', listener))
  const connecting = life.phase(
    'connect',
    () => new Promise<string>((done) => clock.schedule(60, () => done('up'))),
  )
  await clock.advance(60)
  t.equal(await connecting, 'up')
  t.equal(life.state, 'starting')
  const listening = life.listen(
    async () => 'http://x',
    (url) => ({ url }),
  )
  t.equal(await listening, 'http://x')
  life.started()
  await life.noteListening()
  t.equal(life.state, 'serving')
  t.ok(life.ready)
  t.strictSame(log.line('started'), {
    url: 'http://x',
    startedInMs: 100,
    phases: { config: 40, connect: 60, listen: 0, ready: 0 },
  })
  t.strictSame(ended[0], { phase: 'connect', durationMs: 60, outcome: 'done' })
  t.equal(life.snapshot().startedInMs, 100)
})

t.test('what listen() has begun is held for those who still come', async (t) => {
  const { clock, life } = handLifecycle({ drainMs: 5000, minDrainMs: 2000 })
  await life.listen(async () => {})
  const stopping = life.stop('enough')
  await clock.advance(1950)
  t.equal(life.state, 'draining')
  await clock.advance(100)
  t.match(await stopping, { exitCode: 0, drainMs: 2000 })
})

t.test('phases out of order, beside each other, too long or failing are refused', async (t) => {
  const { clock, life } = handLifecycle({ phaseTimeoutMs: 1000 })
  for (const [name, timeoutMs] of [
    ['warn', 1],
    ['warm', Number.NaN],
  ] as const) {
    await t.rejects(
      life.phase(name as 'warm', () => t.fail('it must not run'), { timeoutMs }),
      errors.OptionError,
    )
  }
  let signal: AbortSignal | undefined
  const warming = life.phase('warm', (context) => {
    signal = context.signal
    return new Promise(() => {})
  })
  await t.rejects(
    life.phase('health', () => {}),
    { code: 'HOLDFAST_ERR_LIFECYCLE_PHASE_ORDER' },
  )
  const late = t.rejects(warming, {
    code: 'HOLDFAST_ERR_LIFECYCLE_PHASE_TIMEOUT',
    message: /"warm".*1000 ms/,
  })
  await clock.advance(999)
  t.notOk(signal?.aborted)
  await clock.advance(1)
  await late
  t.ok(signal?.aborted)
  await t.rejects(
    life.phase('connect', () => {}),
    errors.PhaseOrderError,
  )
  await t.rejects(
    life.phase('health', () => {
      throw new Error('ill')
    }),
    { message: 'ill' },
  )
  t.strictSame(
    life.snapshot().phases.map(({ phase, outcome }) => [phase, outcome]),
    [
      ['warm', 'late'],
      ['health', 'failed'],
    ],
  )
})

t.test('a signal during the start stops the phase, waits for it shortly, and ends with 0', async (t) => {
  const { clock, process, life, log } = handLifecycle()
  const closed: string[] = []
  life.onClose('database', () => closed.push('database'))
  const work = Promise.withResolvers<void>()
  const connecting = t.rejects(
    life.phase('connect', () => work.promise),
    errors.StoppedError,
  )
  process.emit('SIGINT')
  await connecting
  t.ok(life.stopping)
  t.ok(life.drainSignal.aborted)
  await t.rejects(
    life.phase('listen', () => {}),
    { code: 'HOLDFAST_ERR_LIFECYCLE_STOPPED' },
  )
  life.started()
  await clock.advance(900)
  t.strictSame(process.exits, [])
  work.resolve()
  await clock.advance(50)
  t.match(await life.ended, { exitCode: 0 })
  await new Promise(setImmediate)
  t.strictSame(process.exits, [0])
  t.strictSame(closed, ['database'])
  t.equal(log.line('started'), undefined)
  t.match(log.line('closed'), { reason: 'SIGINT', exitCode: 0, held: [] })
})

t.test('SIGTERM and SIGINT alike: drain, hold, close, the steps in order, exit 0', async (t) => {
  for (const signal of ['SIGTERM', 'SIGINT']) {
    const states = statesOf(t)
    const { clock, process, life, log } = serving({ drainMs: 5000, minDrainMs: 2000, quietMs: 1000 })
    const order: string[] = []
    life.onDrain('one', () => void order.push('drain one'))
    life.onDrain('two', () => void order.push('drain two'))
    life.onDrain('gone', () => void order.push('never'))()
    life.onClose('first', () => void order.push('close first'))
    life.onClose('second', () => void order.push('close second'))
    process.emit(signal)
    await clock.advance(0)
    t.equal(life.state, 'draining')
    t.notOk(life.ready)
    await clock.advance(1950)
    t.strictSame(process.exits, [])
    await clock.advance(100)
    t.match(await life.ended, { reason: signal, exitCode: 0, drainMs: 2000, held: [] })
    await new Promise(setImmediate)
    t.strictSame(process.exits, [0])
    t.strictSame(order, ['drain one', 'drain two', 'close second', 'close first'])
    t.strictSame(states, ['serving', 'draining', 'closing', 'ended'])
    t.strictSame(
      log.lines.map(({ message }) => message),
      ['started', 'closing', 'closed'],
    )
    t.notOk(process.emit(signal), 'nobody listens any more')
    t.equal(clock.pendingTimers, 0)
  }
})

t.test('a second signal skips the hold, a third ends with 1 after the last resorts', async (t) => {
  const { clock, process, life, log } = serving()
  const forced: string[] = []
  life.onForce(() => {
    throw new Error('not in the way of the next')
  })
  life.onForce(() => void forced.push('killed'))
  life.onClose('hangs', () => new Promise(() => {}), { timeoutMs: 60_000 })
  process.emit('SIGTERM')
  process.emit('SIGTERM')
  await clock.advance(600)
  t.equal(life.state, 'draining', 'one press that arrived twice')
  process.emit('SIGTERM')
  await clock.advance(600)
  t.equal(life.state, 'closing')
  t.strictSame(process.exits, [])
  process.emit('SIGINT')
  t.strictSame(process.exits, [1])
  t.strictSame(forced, ['killed'])
  t.match(log.line('ending at once'), { reason: 'one more SIGINT', held: ['hangs'] })
  // The process of a test goes on.
  await clock.advance(60_000)
})

t.test('what hangs or fails is named and left behind, and the code is 1', async (t) => {
  const { clock, process, life, log } = serving({ drainMs: 0, stepTimeoutMs: 300 })
  const order: string[] = []
  life.onDrain('worker', () => new Promise(() => {}))
  life.onClose('kept', () => void order.push('kept'))
  life.onClose('queue', async () => {
    throw new Error('no queue')
  })
  life.onClose('socket', () => new Promise(() => {}), { timeoutMs: 700 })
  const stopping = life.stop('enough')
  t.equal(life.stop('again'), stopping, 'one way down')
  await clock.advance(300)
  t.equal(life.state, 'closing')
  await clock.advance(750)
  const ending = await stopping
  t.strictSame(ending.held, ['step worker (late)', 'step socket (late)', 'step queue (failed)'])
  t.strictSame(order, ['kept'])
  t.equal(ending.reason, 'enough')
  await new Promise(setImmediate)
  t.strictSame(process.exits, [1])
  const told = log.lines.filter(({ message }) => message === 'a step of the way down is not done')
  t.match(told, [
    { level: 'error', fields: { step: 'worker', err: { code: 'HOLDFAST_ERR_LIFECYCLE_STEP_TIMEOUT' } } },
    { fields: { step: 'socket', err: errors.StepTimeoutError } },
    { fields: { step: 'queue', err: { message: 'no queue' } } },
  ])
})

t.test('an exception that nobody caught ends it without a hold, with 1, and is told once', async (t) => {
  const { clock, process, log } = serving()
  process.emit('uncaughtException', new Error('first'))
  process.emit('uncaughtException', new Error('second'))
  await clock.advance(50)
  await new Promise(setImmediate)
  t.strictSame(process.exits, [1])
  t.match(log.line('nobody caught this'), { err: { message: 'first' } })
  const calm = serving({ exceptions: false, signals: ['SIGTERM'] })
  t.notOk(calm.process.emit('uncaughtException'))
  t.notOk(calm.process.emit('SIGINT'))
})

t.test('one exception is told, whatever the exit code is to be, and does not lower it', async (t) => {
  const { clock, process, life, log } = serving({ drainMs: 0 })
  const stopping = life.stop('the start failed', { exitCode: 3 })
  process.emit('uncaughtException', new Error('first'))
  process.emit('uncaughtException', new Error('second'))
  await clock.advance(50)
  t.match(log.line('nobody caught this'), { err: { message: 'first' } })
  t.equal((await stopping).exitCode, 3)
})

t.test('a first signal does not force what something else has begun; the one after it does', async (t) => {
  const { clock, process, life } = serving()
  life.onClose('slow', () => new Promise((resolve) => clock.schedule(5000, () => resolve(undefined))))
  process.emit('uncaughtException', new Error('first'))
  await clock.advance(100)
  t.equal(life.state, 'closing')
  process.emit('SIGTERM')
  t.strictSame(process.exits, [])
  await clock.advance(600)
  process.emit('SIGTERM')
  t.strictSame(process.exits, [1])
  // The process of a test goes on.
  await clock.advance(60_000)
})

t.test('a signal between the end and the exit changes nothing', async (t) => {
  const { clock, process, life } = serving({ drainMs: 0 })
  process.emit('SIGTERM')
  await clock.advance(600)
  await life.ended
  t.ok(process.emit('SIGTERM'), 'it is heard: Node would end the process by it')
  await new Promise(setImmediate)
  t.strictSame(process.exits, [0])
  t.notOk(process.emit('SIGTERM'))
})

t.test('stop() may leave out the hold and name a code', async (t) => {
  const { clock, process, life } = serving()
  const stopping = life.stop('the start failed', { exitCode: 1, hold: false })
  await clock.advance(0)
  t.match(await stopping, { exitCode: 1, drainMs: 0, held: [] })
  for (const exitCode of [-1, 256, Number.NaN, 1.5]) {
    t.throws(() => life.stop('again', { exitCode }), errors.OptionError, `${exitCode}`)
  }
  await new Promise(setImmediate)
  t.strictSame(process.exits, [1])
})

t.test('a cordon is lifted again, and is over with the drain', async (t) => {
  const { clock, life, log } = handLifecycle({ drainMs: 0 })
  t.notOk(life.uncordon())
  t.ok(life.cordon('before it began'))
  t.equal(life.state, 'starting')
  life.started()
  t.equal(life.state, 'cordoned')
  t.notOk(life.ready)
  await clock.advance(500)
  t.strictSame(life.snapshot().cordon, { reason: 'before it began', forMs: 500 })
  t.ok(life.uncordon())
  t.match(log.line('uncordoned'), { forMs: 500 })
  t.ok(life.ready)
  t.ok(life.cordon('looking'))
  t.throws(() => life.cordon(''), { code: 'HOLDFAST_ERR_LIFECYCLE_OPTION' })
  life.stop('enough')
  t.notOk(life.cordon('too late'))
  t.notOk(life.uncordon())
  await clock.advance(0)
  await life.ended
  t.equal(life.state, 'ended')
})

t.test('steps are bounded, have names of their own, and are not added on the way down', async (t) => {
  const { clock, life } = handLifecycle()
  t.throws(() => life.onDrain('', () => {}), errors.OptionError)
  t.throws(() => life.onDrain('x', 1 as never), errors.OptionError)
  t.throws(() => life.onClose('x', () => {}, { timeoutMs: 0 }), errors.OptionError)
  const takeAway = life.onDrain('x', () => {})
  t.throws(() => life.onDrain('x', () => {}), { code: 'HOLDFAST_ERR_LIFECYCLE_DUPLICATE_STEP' })
  life.onClose('x', () => {})
  takeAway()
  life.onDrain('x', () => {})
  takeAway()
  t.throws(() => life.onDrain('x', () => {}), errors.DuplicateStepError, 'a later one is not taken away')
  for (let index = 1; index < 100; index += 1) life.onDrain(`step-${index}`, () => {})
  t.throws(() => life.onDrain('one-more', () => {}), { code: 'HOLDFAST_ERR_LIFECYCLE_LIMIT' })
  t.throws(() => life.onForce(1 as never), errors.OptionError)
  for (let index = 0; index < 100; index += 1) life.onForce(() => {})
  t.throws(() => life.onForce(() => {}), errors.LimitError)
  life.stop('enough')
  t.throws(() => life.onClose('late', () => {}), errors.StoppedError)
  await clock.advance(50)
  t.match(await life.ended, { exitCode: 0 })
})
