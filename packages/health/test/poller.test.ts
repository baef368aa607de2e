import { HandClock, QueryBuilder, seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import type { Execution } from '../src/observation.ts'
import { type CheckContext, Poller, type PollerOptions } from '../src/poller.ts'

function polling(check: (context: CheckContext) => unknown, options: Partial<PollerOptions> = {}) {
  const clock = new HandClock()
  const executions: Execution[] = []
  const poller = new Poller({
    check,
    intervalMs: 1000,
    timeoutMs: 200,
    jitter: 0,
    random: () => 0.5,
    clock,
    onExecution: (execution) => executions.push(execution),
    ...options,
  })
  return { clock, executions, poller, kinds: () => executions.map(({ kind }) => kind) }
}

t.test('the first execution is at once, the next one interval after each answer', async (t) => {
  const startedAtMs: number[] = []
  const { clock, poller, kinds } = polling(() => {
    startedAtMs.push(clock.nowMs())
  })
  poller.start()
  t.strictSame(startedAtMs, [0])
  await clock.advance(3500)
  t.strictSame(startedAtMs, [0, 1000, 2000, 3000])
  t.strictSame(kinds(), Array(4).fill('answered'))
})

t.test('answers, rejections and synchronous throws are reported with their durations', async (t) => {
  const answers: (() => unknown)[] = [
    () => ({ status: 'degraded' }),
    () => Promise.reject(new Error('rejected')),
    () => {
      throw new Error('thrown')
    },
    () => new Promise((resolve) => clock.schedule(150, () => resolve('late, but in time'))),
    () =>
      new QueryBuilder(() => {
        throw new Error('a broken thenable')
      }),
  ]
  const { clock, executions, poller } = polling(() => answers.shift()?.())
  poller.start()
  await clock.advance(4500)
  t.match(executions, [
    { kind: 'answered', result: { status: 'degraded' }, durationMs: 0 },
    { kind: 'threw', error: { message: 'rejected' } },
    { kind: 'threw', error: { message: 'thrown' } },
    { kind: 'answered', result: 'late, but in time', durationMs: 150 },
    { kind: 'threw', error: { message: 'a broken thenable' } },
  ])
})

t.test('a check that takes too long is aborted and reported once', async (t) => {
  const reasons: unknown[] = []
  const { clock, executions, poller, kinds } = polling(
    ({ signal }) =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          reasons.push(signal.reason)
          reject(signal.reason)
        })
      }),
  )
  poller.start()
  await clock.advance(199)
  t.strictSame(kinds(), [])
  await clock.advance(1)
  t.match(executions, [{ kind: 'timed-out', durationMs: 200 }])
  t.match(reasons, [{ name: 'TimeoutError', message: 'the check did not answer within 200 ms' }])
  t.equal(poller.busy, false)
  await clock.advance(1200)
  t.strictSame(kinds(), ['timed-out', 'timed-out'], 'and it is tried again')
})

t.test('a check that hangs for ever keeps one slot and is reported as hung, for hours', async (t) => {
  let calls = 0
  const { clock, poller, kinds, executions } = polling(() => {
    calls += 1
    return new Promise(() => {})
  })
  poller.start()
  await clock.advance(86_400_000 / 4)
  t.equal(calls, 1, 'no second execution')
  t.equal(poller.busy, true)
  t.equal(clock.pendingTimers, 1, 'one timer, however long it takes')
  t.equal(kinds()[0], 'timed-out')
  t.strictSame(new Set(kinds().slice(1)), new Set(['hung']))
  t.match(executions[1], { kind: 'hung', durationMs: 1200 })
})

t.test('what a hung check answers at last is dropped, and frees the slot', async (t) => {
  let answer: (value: string) => void = () => {}
  let calls = 0
  const { clock, poller, kinds, executions } = polling(() => {
    calls += 1
    return calls === 1 ? new Promise((resolve) => (answer = resolve)) : 'second'
  })
  poller.start()
  await clock.advance(2500)
  t.strictSame(kinds(), ['timed-out', 'hung', 'hung'])
  answer('first')
  await clock.advance(0)
  t.strictSame(kinds(), ['timed-out', 'hung', 'hung'], 'the late answer is older than what was reported')
  await clock.advance(1000)
  t.match(executions.at(-1), { kind: 'answered', result: 'second' })
  t.equal(calls, 2)
})

t.test('a stopped poller reports nothing, aborts what runs and holds no timer', async (t) => {
  let signal: AbortSignal | undefined
  let answer: (value: unknown) => void = () => {}
  const { clock, poller, kinds } = polling((context) => {
    signal = context.signal
    return new Promise((resolve) => (answer = resolve))
  })
  poller.start()
  poller.stop()
  t.match(signal?.reason, { name: 'AbortError' })
  t.equal(clock.pendingTimers, 0)
  answer(undefined)
  await clock.advance(10_000)
  t.strictSame(kinds(), [])
  const idle = polling(() => {})
  idle.poller.stop()
  t.equal(idle.clock.pendingTimers, 0, 'also before it was started')
})

t.test('a poller that is stopped by its own report stays stopped', async (t) => {
  const { clock, poller, kinds, executions } = polling(() => {}, {
    onExecution: (execution) => {
      executions.push(execution)
      poller.stop()
    },
  })
  poller.start()
  await clock.advance(10_000)
  t.strictSame(kinds(), ['answered'])
  t.equal(clock.pendingTimers, 0)
})

t.test('random checks: waits stay within the jitter and two executions never overlap', async (t) => {
  const random = seededRandom()
  random.announce(t)
  for (let trace = 0; trace < 20; trace += 1) {
    let running = 0
    const waits: number[] = []
    let endedAtMs: number | undefined
    const { clock, poller, executions } = polling(
      () => {
        running += 1
        if (running > 1) t.fail('two executions at one time')
        if (endedAtMs !== undefined) waits.push(clock.nowMs() - endedAtMs)
        const tookMs = random.int(0, 1500)
        return new Promise((resolve) => {
          clock.schedule(tookMs, () => {
            running -= 1
            resolve(undefined)
          })
        })
      },
      {
        jitter: 0.1,
        random: () => random.next(),
        onExecution: (execution) => {
          executions.push(execution)
          endedAtMs = execution.kind === 'answered' ? clock.nowMs() : undefined
        },
      },
    )
    poller.start()
    await clock.advance(60_000)
    poller.stop()
    if (waits.some((ms) => ms < 899.999 || ms > 1100.001)) t.fail('a wait outside the jitter', { waits })
    if (executions.length < 30) t.fail('too few executions', { count: executions.length })
  }
  t.pass('20 traces of a minute')
})
