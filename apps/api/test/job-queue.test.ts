import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { seededRandom, startPgBouncer, startPostgres, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { BossStore, DEPTHS, HOLD_WAITING } from '../src/jobs/boss-store.ts'
import { MAX_PAYLOAD_BYTES } from '../src/jobs/job-envelope.ts'
import { type Job, PermanentJobError } from '../src/jobs/job-queue.ts'
import { QUEUE_NAMES, QUEUES } from '../src/jobs/queues.ts'
import { bothWays } from './both-ways.ts'
import { handling, jobBench } from './job-bench.ts'

t.setTimeout(300_000)

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
const bouncer = await startPgBouncer({ target: postgres })
t.teardown(() => bouncer.stop())

const WAYS = bothWays(bouncer)

const bench = (t: Test, way?: (url: string) => string) => jobBench(t, postgres.directUrl, way)
const states = (jobs: readonly { state: string }[]) => jobs.map(({ state }) => state)

for (const [name, way] of Object.entries(WAYS)) {
  t.test(`${name}: a job is there when its transaction is, and runs`, async (t) => {
    const { pool, queue, put, jobs } = await bench(t, way)
    const jobQueue = queue()
    await t.rejects(
      pool.transaction({}, async (tx) => {
        await jobQueue.enqueue(tx, 'settle', { n: 0 })
        throw new Error('rolled back')
      }),
      /rolled back/,
    )
    t.strictSame(await jobs('settle'), [], 'a transaction that is rolled back leaves none')
    const seen: unknown[] = []
    await jobQueue.work(
      'settle',
      handling(({ payload, attempt, queue }) => void seen.push({ payload, attempt, queue })),
    )
    const open = await pool.transaction({}, async (tx) => {
      const id = await jobQueue.enqueue(tx, 'settle', { n: 1 })
      await sleep(100)
      t.strictSame(seen, [], 'nobody runs it before the end of the transaction')
      return id
    })
    await waitUntil(async () => states(await jobs('settle')).join() === 'completed')
    t.strictSame(seen, [{ payload: { n: 1 }, attempt: 1, queue: 'settle' }])
    t.match(await jobs('settle'), [{ id: open, retry_count: 0 }])
    for (let n = 2; n <= 30; n += 1) await put(jobQueue, 'settle', { n })
    await waitUntil(() => seen.length === 30)
  })

  t.test(`${name}: of one key one job waits, and sees what relied on it`, async (t) => {
    const { pool, queue, put, jobs, sql } = await bench(t, way)
    const jobQueue = queue()
    await sql.query('create table results (version int)')
    await sql.query('insert into results values (1)')
    const first = await put(jobQueue, 'settle', { event: '7' }, { key: 'event/7' })
    t.type(first, 'string')
    t.equal(await put(jobQueue, 'settle', { event: '7' }, { key: 'event/7' }), undefined)
    t.type(await put(jobQueue, 'settle', { event: '8' }, { key: 'event/8' }), 'string')
    t.type(await put(jobQueue, 'notify', { event: '7' }, { key: 'event/7' }), 'string', 'another queue')
    t.equal((await jobs('settle')).length, 2)

    const seen: unknown[] = []
    const look = handling<{ event: string }>(async ({ payload }) => {
      const { rows } = await sql.query('select version from results')
      seen.push(`${payload.event}: ${rows[0]?.version}`)
    })
    // Whoever changes something while a job for it waits puts in nothing, and that job must see the change.
    await pool.transaction({}, async (tx) => {
      await tx.query('update results set version = 2')
      t.equal(await jobQueue.enqueue(tx, 'settle', { event: '7' }, { key: 'event/7' }), undefined)
      await jobQueue.work('settle', look)
      await waitUntil(() => seen.length === 1)
      await sleep(200)
      t.strictSame(seen, ['8: 1'], 'it is not begun before the transaction has ended, and others are')
    })
    await waitUntil(() => seen.length === 2)
    t.strictSame(seen, ['8: 1', '7: 2'])
  })

  t.test(
    `${name}: what ends early is given back as the same try, and what ends in time is done`,
    async (t) => {
      const { queue, put, jobs } = await bench(t, way)
      const closing = queue({ concurrency: 3, graceMs: 300 })
      let release = () => {}
      const released = new Promise<void>((resolve) => {
        release = resolve
      })
      const reasons: unknown[] = []
      await put(closing, 'settle', { n: 1 })
      await put(closing, 'settle', { n: 2 })
      await put(closing, 'settle', { n: 3 })
      await put(closing, 'settle', { n: 4 })
      const begun: number[] = []
      await closing.work(
        'settle',
        handling(async ({ payload: { n }, signal }) => {
          begun.push(n)
          if (n === 1) return released
          // One heeds its signal, and one does not.
          if (n === 2)
            await new Promise((_resolve, reject) =>
              signal.addEventListener('abort', () => reject(signal.reason)),
            )
          await new Promise((resolve) => signal.addEventListener('abort', resolve)).then(() =>
            reasons.push(signal.reason),
          )
          await new Promise(() => {})
        }),
      )
      await waitUntil(() => begun.length === 3)
      const closed = closing.close()
      release()
      await closed
      t.match(reasons, [{ code: 'HOLDFAST_ERR_API_JOBS_CLOSED' }])
      const left = await jobs('settle')
      t.strictSame(
        left.map(({ data, state, retry_count }) => [Object(data.payload).n, state, retry_count]),
        [
          [1, 'completed', 0],
          [2, 'retry', 0],
          [3, 'retry', 0],
          [4, 'created', 0],
        ],
      )
      await t.rejects(
        closing.work(
          'notify',
          handling(() => {}),
        ),
        { code: 'HOLDFAST_ERR_API_JOBS_CLOSED' },
      )
      const attempts: [number, number][] = []
      const other = queue()
      await other.work(
        'settle',
        handling(({ payload: { n }, attempt }) => void attempts.push([n, attempt])),
      )
      await waitUntil(() => attempts.length === 3)
      t.strictSame(attempts.toSorted(), [
        [2, 1],
        [3, 1],
        [4, 1],
      ])
      await waitUntil(async () => states(await jobs('settle')).every((state) => state === 'completed'))
    },
  )
}

t.test('a job runs under the ids of whoever has put it in', async (t) => {
  const { logs, queue, put, log } = await bench(t)
  const jobQueue = queue()
  const seen: Job[] = []
  await logs.run({ correlationId: 'shop-000042' }, () => put(jobQueue, 'notify', { n: 1 }))
  await jobQueue.work(
    'notify',
    handling((job) => {
      seen.push(job)
      logs.logger.info('a job runs')
    }),
  )
  await waitUntil(() => seen.length === 1)
  t.match(seen, [{ correlationId: 'shop-000042', attempt: 1 }])
  const lines: Record<string, unknown>[] = log
    .flatMap((chunk) => chunk.trim().split('\n'))
    .map((line) => JSON.parse(line))
  t.match(
    lines.find(({ msg }) => msg === 'a job runs'),
    { correlation_id: 'shop-000042', job: 'notify' },
  )
})

t.test(
  'what cannot succeed is not tried again, and what can is, after a pause with chance in it',
  async (t) => {
    const { queue, put, jobs, sql, hurry } = await bench(t)
    const jobQueue = queue({ concurrency: 10 })
    const tries = new Map<string, number>()
    const kinds = new Map<string, string>()
    await put(jobQueue, 'settle', { kind: 'permanent' })
    await put(jobQueue, 'settle', { kind: 'poison' })
    await put(jobQueue, 'settle', { kind: 'retryable' })
    await jobQueue.work<{ kind: string }>('settle', {
      parse: (payload) => {
        const { kind } = payload as { kind: string }
        if (kind === 'poison') throw new TypeError('kind is none, and password=hunter2 is here')
        return { kind }
      },
      handle: async ({ payload: { kind }, attempt }) => {
        tries.set(kind, attempt)
        if (kind === 'permanent') throw new PermanentJobError('the event is void')
        throw Object.assign(new Error(`not now (${attempt})`), { code: 'E_BUSY' })
      },
    })
    await waitUntil(async () => (await jobs('settle.dead')).length === 2)
    for (const { data } of await jobs('settle.dead')) kinds.set(String(Object(data.payload).kind), 'dead')
    t.strictSame([...kinds.keys()].toSorted(), ['permanent', 'poison'])
    const { rows } = await sql.query(
      `select data -> 'payload' ->> 'kind' as kind, source_output as failure, source_retry_count, source_name
     from jobs.job where name = 'settle.dead' order by 1`,
    )
    t.match(rows, [
      {
        kind: 'permanent',
        failure: {
          kind: 'permanent',
          name: 'PermanentJobError',
          message: 'the event is void',
          stack: String,
        },
        source_retry_count: 0,
        source_name: 'settle',
      },
      {
        kind: 'poison',
        failure: { kind: 'poison', name: 'TypeError', message: /kind is none/ },
        source_retry_count: 0,
      },
    ])
    t.notMatch(JSON.stringify(rows), /hunter2/, 'no secret is kept')

    const { retries } = QUEUES.settle
    for (let attempt = 1; attempt <= retries; attempt += 1) {
      await waitUntil(async () =>
        (await jobs('settle')).some(
          ({ state, retry_count }) => state === 'retry' && retry_count === attempt - 1,
        ),
      )
      await hurry('settle')
    }
    await waitUntil(async () => (await jobs('settle.dead')).length === 3)
    t.equal(tries.get('retryable'), retries + 1)
    t.equal(tries.get('permanent'), 1)
    t.equal(tries.has('poison'), false, 'what cannot be read is not even begun')
    const [letter] = (
      await sql.query(
        `select source_output, source_retry_count from jobs.job where source_output ->> 'code' = 'E_BUSY' and name = 'settle.dead'`,
      )
    ).rows
    t.match(letter, { source_output: { message: `not now (${retries + 1})` }, source_retry_count: retries })
    await jobQueue.close()

    // Pauses of many that failed together.
    const many = queue({ concurrency: 50 })
    await sql.query('delete from jobs.job')
    await sql.query(`update jobs.queue set retry_delay = 60 where name = 'settle'`)
    for (let n = 0; n < 200; n += 1) await put(many, 'settle', { n })
    await many.work(
      'settle',
      handling(() => {
        throw new Error('all at once')
      }),
    )
    const pauses = async () =>
      (
        await sql.query<{ pause: number }>(
          `select extract(epoch from start_after - started_on)::float8 as pause from jobs.job
         where name = 'settle' and state = 'retry' and retry_count = 0`,
        )
      ).rows.map(({ pause }) => pause)
    await waitUntil(async () => (await pauses()).length === 200)
    await many.close()
    const seen = await pauses()
    t.ok(Math.min(...seen) >= 60, `the shortest is ${Math.min(...seen)} s`)
    const spread = seen.filter((pause) => pause > 75).length / seen.length
    t.ok(
      spread > 0.55 && spread < 0.95,
      `${Math.round(spread * 100)} % of ${seen.length} are longer than 75 s`,
    )
  },
)

t.test('a try that takes too long is told so, and is another try then', async (t) => {
  const { queue, put, jobs, sql } = await bench(t)
  await sql.query(`update jobs.queue set expire_seconds = 1 where name = 'notify'`)
  const jobQueue = queue({ concurrency: 1 })
  const reasons: unknown[] = []
  await put(jobQueue, 'notify', { n: 1 })
  await jobQueue.work(
    'notify',
    handling(async ({ signal, attempt }) => {
      if (attempt > 1) return
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      reasons.push(signal.reason)
      throw new Error('as I was told')
    }),
  )
  await waitUntil(async () => states(await jobs('notify')).join() === 'completed')
  t.match(reasons, [{ code: 'HOLDFAST_ERR_API_JOB_DEADLINE', message: /took longer than 1 s/ }])
  t.match(await jobs('notify'), [{ retry_count: 1 }])
})

t.test('who is at work says so, and who is not loses the job', async (t) => {
  const { queue, put, jobs, sql } = await bench(t)
  await sql.query(`update jobs.queue set heartbeat_seconds = 3 where name = 'settle'`)
  const one = queue()
  const other = queue()
  const begun: string[] = []
  let finish = () => {}
  await put(one, 'settle', { n: 1 })
  await one.work(
    'settle',
    handling(async () => {
      begun.push('one')
      await new Promise<void>((resolve) => {
        finish = resolve
      })
    }),
  )
  await waitUntil(() => begun.length === 1)
  const reasons: unknown[] = []
  await other.work(
    'settle',
    handling(async ({ signal }) => {
      begun.push('other')
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      reasons.push(signal.reason)
    }),
  )
  // Longer than its heartbeat, and many looks for those whose process is gone.
  const beat = async () =>
    (await sql.query(`select max(heartbeat_on) as at from jobs.job`)).rows[0]?.at as Date
  const first = await beat()
  await waitUntil(async () => (await beat()).getTime() - first.getTime() > 6000)
  t.strictSame(begun, ['one'])
  finish()
  await waitUntil(async () => states(await jobs('settle')).join() === 'completed')
  await one.close()

  // Somebody takes it away: nothing of this try is written.
  await put(other, 'settle', { n: 2 })
  await waitUntil(() => begun.length === 2)
  await sql.query(`update jobs.job set retry_count = retry_count + 1 where state = 'active'`)
  await waitUntil(() => reasons.length === 1)
  t.match(reasons, [{ code: 'HOLDFAST_ERR_API_JOB_LOST', message: /somebody else has it/ }])
  await other.close()
  t.not((await jobs('settle')).at(-1)?.state, 'completed')
})

t.test(
  'handlers that do not heed their signal keep their places, and no more run than there are',
  async (t) => {
    const { queue, put, jobs, sql } = await bench(t)
    await sql.query(`update jobs.queue set expire_seconds = 1, retry_limit = 0 where name = 'notify'`)
    const jobQueue = queue({ concurrency: 2 })
    let release = () => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    let running = 0
    let most = 0
    for (let n = 0; n < 5; n += 1) await put(jobQueue, 'notify', { n })
    await jobQueue.work(
      'notify',
      handling(async () => {
        running += 1
        most = Math.max(most, running)
        await released
        running -= 1
      }),
    )
    await waitUntil(async () => (await jobs('notify.dead')).length === 2)
    await waitUntil(() => jobQueue.snapshot().workers.every(({ deaf }) => deaf === 2))
    t.equal(most, 2)
    t.match(jobQueue.snapshot(), { workers: [{ queue: 'notify', running: 2, deaf: 2 }] })
    t.match(await jobQueue.depths(), { notify: { waiting: 3, active: 0, failed: 2 } })
    release()
    await waitUntil(
      async () => states(await jobs('notify')).filter((state) => state === 'completed').length === 3,
    )
    t.match(jobQueue.snapshot(), { workers: [{ running: 0, deaf: 0 }] })
  },
)

t.test('a start refuses a database whose dead letters have no place', async (t) => {
  const { queue, put, sql, url, log } = await bench(t)
  await sql.query(`update jobs.queue set dead_letter = null where name = 'settle'`)
  await sql.query(`delete from jobs.queue where name = 'settle.dead'`)
  const jobQueue = queue()
  await t.rejects(
    jobQueue.work(
      'settle',
      handling(() => {}),
    ),
    {
      code: 'HOLDFAST_ERR_API_JOB_QUEUES',
      message: /no queue settle\.dead; apply the migrations/,
    },
  )
  await sql.query(`update jobs.version set version = 42`)
  await t.rejects(
    jobQueue.work(
      'notify',
      handling(() => {}),
    ),
    { message: /version 42 of the schema jobs, not 43/ },
  )
  await sql.query('drop schema jobs cascade')
  await t.rejects(
    jobQueue.work(
      'notify',
      handling(() => {}),
    ),
    { message: /no schema jobs/ },
  )
  await t.rejects(put(jobQueue, 'notify', {}))
  t.strictSame(jobQueue.snapshot().workers, [])
  t.notMatch(log.join(''), new RegExp(new URL(url).password || 'no password'))
})

t.test('what is put in has a bound, and one process works at a queue once', async (t) => {
  const { queue, put, jobs } = await bench(t)
  const jobQueue = queue()
  const payload = { text: 'x'.repeat(MAX_PAYLOAD_BYTES - '{"text":""}'.length) }
  t.type(await put(jobQueue, 'settle', payload), 'string')
  await t.rejects(put(jobQueue, 'settle', { text: `${payload.text}x` }), {
    code: 'HOLDFAST_ERR_API_JOB_PAYLOAD',
    message: /it has 65537 bytes, and may have 65536/,
  })
  const circle: { self?: object } = {}
  circle.self = circle
  await t.rejects(put(jobQueue, 'settle', circle), { message: /it is no JSON/ })
  await t.rejects(put(jobQueue, 'settle', {}, { key: '' }), /1 to 200 characters, received 0/)
  await t.rejects(put(jobQueue, 'settle', {}, { key: 'k'.repeat(201) }), /received 201/)
  t.type(await put(jobQueue, 'settle', {}, { key: 'k'.repeat(200), afterMs: 60_000 }), 'string')
  t.equal((await jobs('settle')).length, 2)
  const seen: unknown[] = []
  await jobQueue.work(
    'settle',
    handling(({ payload }) => void seen.push(payload)),
  )
  await t.rejects(
    jobQueue.work(
      'settle',
      handling(() => {}),
    ),
    /works at the queue settle already/,
  )
  await waitUntil(() => seen.length === 1)
  await sleep(100)
  t.equal(seen.length, 1, 'what is for later waits')
  t.match(await jobQueue.depths(), { settle: { waiting: 1, oldestReadySeconds: 0 } })
  await jobQueue.close()
  await jobQueue.close()
})

t.test('jobs of many hands are each done once while nothing fails', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const { queue, put, jobs } = await bench(t)
  const queues = Array.from({ length: 4 }, () => queue({ concurrency: 4, random: () => random.next() }))
  const [first] = queues
  if (first === undefined) throw new Error('there is no queue')
  const done = new Map<number, number>()
  const running = new Map<string, number>()
  let together = 0
  for (const one of queues) {
    await one.work<{ n: number; key: string }>(
      'settle',
      handling(async ({ payload: { n, key } }) => {
        const beside = running.get(key) ?? 0
        together = Math.max(together, beside + 1)
        running.set(key, beside + 1)
        await sleep(random.int(0, 5))
        running.set(key, (running.get(key) ?? 1) - 1)
        done.set(n, (done.get(n) ?? 0) + 1)
      }),
    )
  }
  let accepted = 0
  for (let n = 0; n < 200; n += 1) {
    const key = `event/${random.int(1, 20)}`
    if ((await put(first, 'settle', { n, key }, { key })) !== undefined) accepted += 1
  }
  await waitUntil(async () => {
    const all = states(await jobs('settle'))
    return all.length === accepted && all.every((state) => state === 'completed')
  })
  t.equal(done.size, accepted)
  t.ok([...done.values()].every((times) => times === 1))
  t.comment(`${accepted} of 200 were put in; at most ${together} of one key ran together`)
})

t.test('questions about 100,000 jobs go through indexes', async (t) => {
  const { sql } = await bench(t)
  for (let from = 1; from < 100_000; from += 10_000) {
    await sql.query(
      `insert into jobs.job_common (name, state, policy, singleton_key, completed_on, start_after)
       select case n % 2 when 0 then 'settle' else 'notify' end,
         (case when n % 1000 = 0 then 'active' when n % 100 = 1 then 'created' else 'completed' end)::jobs.job_state,
         'short', n::text, case when n % 100 > 1 then now() end, now()
       from generate_series($1::int, $1 + 9999) as n`,
      [from],
    )
  }
  await sql.query('vacuum analyze jobs.job_common')
  const planOf = async (text: string, values: unknown[]) => {
    const { rows } = await sql.query(`explain (analyze, buffers off) ${text}`, values)
    return rows.map((row) => row['QUERY PLAN']).join('\n')
  }
  const depths = await planOf(DEPTHS, [QUEUE_NAMES, QUEUE_NAMES.map((name) => QUEUES[name].deadLetters)])
  t.match(depths, /job_common_i11/, depths)
  t.match(depths, /active_jobs/)
  t.notMatch(depths, /Seq Scan on job_common/)
  const held = await planOf(HOLD_WAITING, ['notify', '101'])
  t.match(held, /Index Scan using job_common_i1 /, held)
  t.match(held, /rows=1/)
})

t.test('a job that is given back twice is not taken from who has begun it in between', async (t) => {
  const { pool, sql } = await bench(t)
  const store = new BossStore({ pool, log: () => {} })
  await store.put(pool, 'settle', randomUUID(), { payload: {}, carrier: {} }, {})
  const ended = await store.claim('settle', 1)
  await store.giveBack('settle', ended)
  // By the clock that says when a try has begun.
  await sql.query('select pg_sleep(0.01)')
  const [next] = await store.claim('settle', 1)
  t.match(next, { id: ended[0]?.id, retryCount: 0 }, 'the same try')
  await store.giveBack('settle', ended)
  t.equal(next && (await store.complete('settle', [next])).has(next.id), true)
})
