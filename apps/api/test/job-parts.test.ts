// The parts of the queue that need no database.

import { MetricSet } from '@holdfast/metrics'
import { HandClock, seededRandom } from '@holdfast/test-kit'
import { Registry } from 'prom-client'
import t from 'tap'
import { Completions } from '../src/jobs/completions.ts'
import { opened, sealed } from '../src/jobs/job-envelope.ts'
import { failureOf, UnreadablePayloadError } from '../src/jobs/job-failure.ts'
import { jobMetrics } from '../src/jobs/job-metrics.ts'
import { PermanentJobError, type QueueDepths } from '../src/jobs/job-queue.ts'
import { failurePauseMs, idlePauseMs } from '../src/jobs/poll-pause.ts'
import { RunningJob } from '../src/jobs/running-job.ts'

t.test('pauses have chance in them, and an end', (t) => {
  const random = seededRandom()
  random.announce(t)
  const idle = Array.from({ length: 2000 }, () => idlePauseMs(1000, random.next()))
  t.ok(Math.min(...idle) >= 500 && Math.max(...idle) < 1500)
  t.ok(Math.max(...idle) - Math.min(...idle) > 900)
  for (const failures of [1, 2, 5, 100, 1e9]) {
    const pauses = Array.from({ length: 500 }, () => failurePauseMs(1000, failures, random.next()))
    const most = Math.min(10_000, 1000 * 2 ** Math.min(failures, 16))
    t.ok(Math.max(...pauses) <= most && Math.max(...pauses) > 0.8 * most, `after ${failures}`)
  }
  t.end()
})

t.test('what an error says is kept short, and without secrets', (t) => {
  t.match(failureOf(new Error('no')), { kind: 'retryable', name: 'Error', message: 'no', stack: /job-parts/ })
  t.match(failureOf(new PermanentJobError('never')), { kind: 'permanent', name: 'PermanentJobError' })
  t.match(failureOf(new UnreadablePayloadError('x', { cause: new RangeError('n is 7') })), {
    kind: 'poison',
    name: 'RangeError',
    message: 'n is 7',
  })
  t.strictSame(failureOf('a text'), { kind: 'retryable', name: 'Error', message: 'a text' })
  t.strictSame(failureOf(undefined), { kind: 'retryable', name: 'Error', message: 'undefined' })
  t.match(failureOf(Object.assign(new Error('x'), { code: 'E_X' })), { code: 'E_X' })
  t.equal(failureOf(Object.assign(new Error('x'), { code: 7 })).code, undefined)
  const long = failureOf(new Error(`password=hunter2 ${'x'.repeat(100_000)}`))
  t.ok(long.message.length <= 1100 && (long.stack?.length ?? 0) <= 4200)
  t.notMatch(JSON.stringify(long), /hunter2/)
  t.end()
})

t.test('an envelope holds what was put in, and whatever was stored can be opened', (t) => {
  const carrier = { correlationId: 'shop-000042' }
  t.strictSame(opened(JSON.parse(JSON.stringify(sealed({ n: 1 }, carrier)))), { payload: { n: 1 }, carrier })
  for (const data of [null, undefined, 7, 'x', [], { carrier: 'x' }, { payload: null }]) {
    t.type(opened(data).carrier, 'object')
    t.notOk(opened(data).payload)
  }
  t.end()
})

const CLAIM = {
  id: 'a',
  data: {},
  retryCount: 0,
  retryLimit: 2,
  startedOn: new Date(0),
  deadlineMs: 1000,
  heartbeatMs: 500,
}

/** Ends jobs; `written` are the ids of each statement, and those that begin with `lost` are somebody else's. */
function someCompletions() {
  const written: string[][] = []
  const completions = new Completions(async (claims) => {
    const ids = claims.map(({ id }) => id)
    written.push(ids)
    if (ids.includes('refused')) throw new Error('the database is away')
    return new Set(ids.filter((id) => !id.startsWith('lost')))
  })
  return { written, end: (id: string) => completions.add({ ...CLAIM, id }) }
}

t.test('jobs that end in one turn are done in one statement, and each hears of itself', async (t) => {
  const { written, end } = someCompletions()
  t.same(await Promise.all([end('a'), end('lost'), end('b')]), [true, false, true])
  t.same(written, [['a', 'lost', 'b']])
  t.equal(await end('c'), true)
  t.same(written.at(-1), ['c'], 'and what ends later in another one')
})

t.test('two tries of one job that end in one turn are not taken for each other', async (t) => {
  const { written, end } = someCompletions()
  t.same(await Promise.all([end('a'), end('b'), end('a')]), [true, true, true])
  t.same(written, [['a'], ['a', 'b']])
})

t.test('what refuses one of them is told to all of them, and to nobody after', async (t) => {
  const { end } = someCompletions()
  const [first, second] = await Promise.allSettled([end('a'), end('refused')])
  t.match(first, { status: 'rejected', reason: { message: 'the database is away' } })
  t.match(second, { status: 'rejected' })
  t.equal(await end('a'), true)
})

t.test('a try ends for its first reason, and is not waited for beyond that', async (t) => {
  const clock = new HandClock()
  const job = new RunningJob(CLAIM, clock.nowMs(), clock, () => new Error('too long'))
  t.equal(job.oursUntilMs, clock.nowMs() + 500)
  let finish = () => {}
  const work = new Promise<void>((resolve) => {
    finish = resolve
  })
  const end = job.endOf(work)
  await clock.advance(499)
  t.equal(job.signal.aborted, false)
  await clock.advance(1)
  t.match(job.signal.reason, { message: 'too long' })
  job.end('closing', new Error('closed'))
  t.equal(job.reason, 'deadline')
  await clock.advance(1000)
  t.strictSame(await end, { end: 'ignored' })
  finish()
  job.end('lost', new Error('late'))
  t.equal(job.reason, 'deadline')

  const quick = new RunningJob(CLAIM, clock.nowMs(), clock, () => new Error('too long'))
  t.strictSame(await quick.endOf(Promise.resolve()), { end: 'done' })
  quick.end('lost', new Error('late'))
  t.equal(quick.reason, undefined, 'what has ended is not lost')
  await clock.advance(5000)
  t.equal(quick.signal.aborted, false)
  const failed = new RunningJob(
    { ...CLAIM, heartbeatMs: Number.POSITIVE_INFINITY },
    0,
    clock,
    () => new Error('x'),
  )
  t.match(await failed.endOf(Promise.reject(new Error('no'))), { end: 'failed', error: { message: 'no' } })
  t.equal(failed.oursUntilMs, Number.POSITIVE_INFINITY)
})

t.test(
  'what is measured is asked for every five seconds at most, and unknown while nobody answers',
  async (t) => {
    const clock = new HandClock()
    const registry = new Registry()
    const metrics = new MetricSet(registry)
    let asked = 0
    let away = false
    const depths = async (): Promise<QueueDepths> => {
      asked += 1
      if (away) throw new Error('away')
      const depth = { waiting: 3, active: 2, failed: 1, oldestReadySeconds: 7, oldestFailedSeconds: 9 }
      return { settle: depth, notify: { ...depth, waiting: 0 } }
    }
    const record = jobMetrics(metrics, depths, clock)
    record('settle', 'completed', 0.2)
    record('settle', 'dead', 70)
    const scrape = () => registry.metrics()
    const text = await scrape()
    for (const line of [
      'job_queue_depth{queue="settle",state="waiting"} 3',
      'job_queue_depth{queue="settle",state="active"} 2',
      'job_queue_depth{queue="notify",state="dead"} 1',
      'job_oldest_ready_age_seconds{queue="settle"} 7',
      'job_dead_letters{queue="notify"} 1',
      'job_oldest_dead_letter_age_seconds{queue="notify"} 9',
      'job_attempts_total{queue="settle",outcome="completed"} 1',
      'job_attempts_total{queue="settle",outcome="dead"} 1',
      'job_attempts_total{queue="notify",outcome="lost"} 0',
      'job_duration_seconds_count{queue="settle"} 2',
    ]) {
      t.match(text, line)
    }
    await scrape()
    t.equal(asked, 1)
    away = true
    await clock.advance(5000)
    t.match(await scrape(), 'job_dead_letters{queue="notify"} Nan')
    away = false
    t.match(await scrape(), 'job_dead_letters{queue="notify"} 1')
  },
)
