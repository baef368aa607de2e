import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { HandClock } from '@holdfast/test-kit'
import t from 'tap'
import { timeout } from '../src/timeout.ts'

const never = () => new Promise<never>(() => {})

t.test('it answers what the work answers, and lets go of everything', async (t) => {
  const clock = new HandClock()
  const { signal } = new AbortController()
  t.equal(await timeout(() => 7, { timeoutMs: 10, clock, signal }), 7)
  t.equal(await timeout(async () => 8, {}), 8)
  await t.rejects(
    timeout(
      () => {
        throw new Error('thrown')
      },
      { timeoutMs: 10, clock },
    ),
    { message: 'thrown' },
  )
  t.equal(clock.pendingTimers, 0)
})

t.test('it answers at the time-out, and the signal of the work says why', async (t) => {
  const clock = new HandClock()
  let seen: AbortSignal | undefined
  const call = timeout(
    ({ signal }) => {
      seen = signal
      return never()
    },
    { timeoutMs: 50, clock, name: 'quotes' },
  )
  const settled = call.catch((error) => error)
  await clock.advance(49)
  t.equal(seen?.aborted, false)
  await clock.advance(1)
  const error = await settled
  t.match(error, { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_TIMEOUT', statusCode: 504, message: /quotes.* 50 ms/ })
  t.equal(seen?.reason, error)
})

t.test('the earlier of time-out and deadline counts', async (t) => {
  const clock = new HandClock({ nowMs: 1000 })
  const call = timeout(never, { timeoutMs: 50, deadlineMs: 1030, clock }).catch((error) => error)
  await clock.advance(30)
  t.match(await call, { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_DEADLINE' })
})

t.test('with a deadline that has passed, or a caller that has left, the work is not started', async (t) => {
  const clock = new HandClock({ nowMs: 1000 })
  let started = 0
  const work = () => {
    started += 1
  }
  await t.rejects(timeout(work, { deadlineMs: 1000, clock }), {
    code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_DEADLINE',
  })
  await t.rejects(timeout(work, { signal: AbortSignal.abort('gone') }), {
    code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_ABORTED',
    cause: 'gone',
  })
  t.equal(started, 0)
})

t.test('when the caller leaves, the work is told, and its late failure reaches nobody', async (t) => {
  const controller = new AbortController()
  const work = Promise.withResolvers<never>()
  let seen: AbortSignal | undefined
  const call = timeout(
    ({ signal }) => {
      seen = signal
      return work.promise
    },
    { signal: controller.signal },
  )
  controller.abort()
  await t.rejects(call, { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_ABORTED', name: 'AbortError' })
  t.equal(seen?.aborted, true)
  work.reject(new Error('late'))
  await new Promise((resolve) => setImmediate(resolve))
})

t.test('a process with nothing else to do waits for the time-out, and then ends', async (t) => {
  const source = new URL('../src/timeout.ts', import.meta.url).href
  const script = `import { timeout } from '${source}'
    timeout(() => new Promise(() => {}), { timeoutMs: 20 }).catch((error) => console.log(error.code))`
  const args = ['--conditions=@holdfast/source', '--input-type=module', '--eval', script]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  t.equal(stdout, 'HOLDFAST_ERR_CIRCUIT_BREAKER_TIMEOUT\n')
})

for (const options of [{ timeoutMs: -1 }, { timeoutMs: 2 ** 31 }, { timeoutMS: 5 }]) {
  t.test(`${JSON.stringify(options)} is refused`, async (t) => {
    await t.rejects(
      timeout(() => 1, options),
      { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_INVALID_OPTION' },
    )
  })
}
