import { seededRandom, startPostgres, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import {
  type Auditor,
  CHOOSE,
  type DeadLetter,
  type DeadLetterPlace,
  DeadLetters,
  LIST,
  SHOW,
} from '../src/jobs/dead-letters.ts'
import { PermanentJobError } from '../src/jobs/job-queue.ts'
import { handling, jobBench } from './job-bench.ts'

t.setTimeout(300_000)

const postgres = await startPostgres()
t.teardown(() => postgres.stop())

const OPERATOR = { actor: '42' }
const UNKNOWN = { code: 'HOLDFAST_ERR_API_DEAD_LETTER_UNKNOWN' }

async function morgue(t: Test) {
  const bench = await jobBench(t, postgres.directUrl)
  const { pool, sql, queue, put } = bench
  /** Into the table of the audit log, as a part of the transaction. */
  const audit: Auditor = {
    record: async (tx, { actor, action, subject, before, after, reason }) => {
      await tx.query(
        'insert into audit_log (actor, action, subject, before, after, reason) values ($1, $2, $3, $4, $5, $6)',
        [actor, action, subject, JSON.stringify(before), JSON.stringify(after), reason],
      )
    },
  }
  const letters = new DeadLetters({ pool, audit })
  const audited = async () =>
    (await sql.query('select actor, action, subject, after, reason from audit_log order by id')).rows
  /** As if so many jobs had died, a second after each other. */
  const bury = async (
    count: number,
    {
      key = null as string | null,
      code = 'E_DOWN',
      from = 1,
    }: { key?: string | null; code?: string; from?: number } = {},
  ) => {
    const { rows } = await sql.query<{ id: string }>(
      `with jobs as (select n, gen_random_uuid() as job_id from generate_series($1::int, $2::int) as n)
       insert into jobs.job_common (name, data, retry_limit, deletion_seconds, keep_until, created_on, singleton_key,
         source_name, source_id, source_created_on, source_retry_count, source_output, source_root_id)
       select 'settle.dead',
         jsonb_build_object('payload', jsonb_build_object('n', n, 'api_key', 'k-123456'),
           'carrier', jsonb_build_object('correlationId', 'shop-' || lpad(n::text, 6, '0'))),
         0, (select deletion_seconds from jobs.queue where name = 'settle.dead'), now() + interval '60 years', now() - interval '1 day' + n * interval '1 second',
         coalesce($3, job_id::text), 'settle', job_id, now() - interval '2 days', 8,
         jsonb_build_object('kind', 'retryable', 'name', 'Error', 'message', 'down', 'code', $4::text, 'stack', 'at x'),
         job_id
       from jobs order by n returning id`,
      [from, from + count - 1, key, code],
    )
    return rows.map(({ id }) => id)
  }
  return { ...bench, letters, audited, bury, jobQueue: queue(), put }
}

async function pages(letters: DeadLetters, limit: number): Promise<DeadLetter[]> {
  const found: DeadLetter[] = []
  let after: DeadLetterPlace | undefined
  for (;;) {
    const page = await letters.list('settle', {}, limit, after)
    found.push(...page.map(({ letter }) => letter))
    after = page.at(-1)?.place
    if (after === undefined) return found
  }
}

t.test('dead letters are listed a page at a time, the latest first, each once', async (t) => {
  const { letters, bury, sql } = await morgue(t)
  t.strictSame(await letters.list('settle', {}, 10), [])
  const ids = await bury(23)
  // Several may have died in the same microsecond.
  await sql.query(`update jobs.job_common set created_on = now() - interval '1 hour' where id = any($1)`, [
    ids.slice(5, 15),
  ])
  const found = await pages(letters, 4)
  t.equal(found.length, 23)
  t.equal(new Set(found.map(({ id }) => id)).size, 23)
  const times = found.map(({ diedAt }) => diedAt.getTime())
  t.strictSame(
    times,
    times.toSorted((left, right) => right - left),
  )
  t.match(found[0], {
    queue: 'settle',
    state: 'open',
    attempts: 9,
    key: null,
    error: { kind: 'retryable', name: 'Error', message: 'down', code: 'E_DOWN' },
    replayedAs: null,
    endedAt: null,
  })
  await bury(2, { code: 'E_OTHER', key: 'event/7', from: 100 })
  const others = await letters.list('settle', { code: 'E_OTHER' }, 10)
  t.match(others, [{ letter: { key: 'event/7' } }, {}])
  t.equal(others.length, 2)
  const old = await letters.list('settle', { diedBefore: new Date(Date.now() - 82_000_000) }, 100)
  t.ok(old.length > 0 && old.length < 25, `${old.length} are old`)
  t.strictSame(await letters.list('notify', {}, 10), [])
})

t.test('what a job died of is shown, without secrets', async (t) => {
  const { letters, jobQueue, put, jobs, logs } = await morgue(t)
  await logs.run({ correlationId: 'shop-000042' }, () =>
    put(
      jobQueue,
      'settle',
      { event: '7', password: 'hunter2', note: 'Bearer abcdefghijklmnopqrstuvwxyz' },
      { key: 'event/7' },
    ),
  )
  await jobQueue.work(
    'settle',
    handling(() => {
      throw new PermanentJobError('postgres://user:hunter2@db/x says no')
    }),
  )
  await waitUntil(async () => (await jobs('settle.dead')).length === 1)
  const [found] = await letters.list('settle', {}, 10)
  const shown = await letters.show('settle', found?.letter.id ?? '')
  t.match(shown, {
    correlationId: 'shop-000042',
    key: 'event/7',
    attempts: 1,
    error: { kind: 'permanent', name: 'PermanentJobError', message: /says no/ },
    stack: /dead-letters\.test/,
    replays: 0,
    history: [{ id: found?.letter.id, queue: 'settle.dead', state: 'created' }],
  })
  t.match(shown.payload, /"event":"7"/)
  t.notMatch(JSON.stringify(shown), /hunter2|abcdefghijklmnopqrstuvwxyz/)
  await t.rejects(letters.show('settle', '00000000-0000-4000-8000-000000000000'), {
    code: 'HOLDFAST_ERR_API_DEAD_LETTER_UNKNOWN',
    statusCode: 404,
  })
  await t.rejects(letters.show('notify', found?.letter.id ?? ''), UNKNOWN, 'nor in another queue')
})

t.test('a replay has one effect, however often it is asked for', async (t) => {
  const { letters, bury, jobs, audited, jobQueue } = await morgue(t)
  const [id = ''] = await bury(1)
  const answers = await Promise.all(Array.from({ length: 5 }, () => letters.replay('settle', id, OPERATOR)))
  t.equal(answers.filter(({ repeated }) => !repeated).length, 1)
  t.equal(new Set(answers.map(({ jobId }) => jobId)).size, 1)
  const waiting = await jobs('settle')
  t.match(waiting, [{ id: answers[0]?.jobId, state: 'created', retry_count: 0, data: { payload: { n: 1 } } }])
  t.match(await audited(), [
    {
      actor: '42',
      action: 'dead_letter.replay',
      subject: `settle/${id}`,
      after: { job_id: answers[0]?.jobId },
    },
  ])
  t.equal((await audited()).length, 1)
  t.strictSame(await letters.list('settle', {}, 10), [])
  t.match(await letters.list('settle', { state: 'replayed' }, 10), [
    { letter: { id, state: 'replayed', replayedAs: answers[0]?.jobId, endedBy: '42', endedAt: Date } },
  ])
  const seen: unknown[] = []
  await jobQueue.work(
    'settle',
    handling(({ payload, correlationId, attempt }) => void seen.push({ payload, correlationId, attempt })),
  )
  await waitUntil(async () => (await jobs('settle')).every(({ state }) => state === 'completed'))
  t.match(seen, [{ payload: { n: 1 }, correlationId: 'shop-000001', attempt: 1 }])
  t.equal(seen.length, 1)
  t.match(await letters.replay('settle', id, OPERATOR), { repeated: true, jobId: answers[0]?.jobId })
  await t.rejects(letters.discard('settle', id, { ...OPERATOR, reason: 'too late' }), {
    code: 'HOLDFAST_ERR_API_DEAD_LETTER_STATE',
    message: /replayed already/,
    statusCode: 409,
  })
})

t.test('a replay that collides keeps its dead letter, and can be tried again', async (t) => {
  const { letters, bury, jobs, jobQueue, put, audited, sql } = await morgue(t)
  const [id = ''] = await bury(1, { key: 'event/7' })
  const waiting = await put(jobQueue, 'settle', { event: '7' }, { key: 'event/7' })
  await t.rejects(letters.replay('settle', id, OPERATOR), {
    code: 'HOLDFAST_ERR_API_REPLAY_COLLIDES',
    message: /with the key event\/7 waits already/,
    statusCode: 409,
  })
  t.match(await letters.replayMany('settle', {}, { ...OPERATOR, limit: 10, dryRun: false }), [
    { id, outcome: 'collides', jobId: null },
  ])
  t.match(await letters.list('settle', {}, 10), [{ letter: { id, state: 'open' } }])
  t.match(await jobs('settle'), [{ id: waiting }])
  t.match(await audited(), [
    { action: 'dead_letter.replay_many', after: { replays: [{ outcome: 'collides' }] } },
  ])
  await sql.query(`delete from jobs.job where id = $1`, [waiting])
  t.match(await letters.replay('settle', id, OPERATOR), { repeated: false })
})

t.test('what dies again and again is replayed three times', async (t) => {
  const { letters, jobQueue, put, jobs } = await morgue(t)
  const id = await put(jobQueue, 'settle', { n: 1 })
  await jobQueue.work(
    'settle',
    handling(() => {
      throw new PermanentJobError('as always')
    }),
  )
  const open = async () => (await letters.list('settle', {}, 10)).map(({ letter }) => letter)
  for (let replays = 0; replays <= 3; replays += 1) {
    await waitUntil(async () => (await open()).length === 1)
    const [letter] = await open()
    t.equal(letter?.rootId, id, 'all of them have one root')
    t.match(await letters.show('settle', letter?.id ?? ''), { replays, history: { length: 1 + 2 * replays } })
    if (replays < 3) await letters.replay('settle', letter?.id ?? '', OPERATOR)
  }
  const [last] = await open()
  await t.rejects(letters.replay('settle', last?.id ?? '', OPERATOR), {
    code: 'HOLDFAST_ERR_API_REPLAY_BUDGET',
    message: /replayed 3 times/,
    statusCode: 409,
  })
  t.match(await letters.replayMany('settle', {}, { ...OPERATOR, limit: 10, dryRun: true }), [
    { outcome: 'budget_spent' },
  ])
  t.equal((await jobs('settle.dead')).length, 4, 'each of them is there')
  t.match(await letters.discard('settle', last?.id ?? '', { ...OPERATOR, reason: 'never' }), {
    repeated: false,
  })
})

t.test('many are replayed as a dry run said they would be', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const { letters, bury, jobs, audited, jobQueue, put } = await morgue(t)
  const free = await bury(random.int(5, 8))
  const colliding = await bury(2, { key: 'event/1', from: 50 })
  await put(jobQueue, 'settle', {}, { key: 'event/1' })
  const twins = await bury(2, { key: 'event/2', from: 60 })
  const other = await bury(3, { code: 'E_OTHER', from: 70 })
  const order = { ...OPERATOR, limit: 100 }
  const dry = await letters.replayMany('settle', { code: 'E_DOWN' }, { ...order, dryRun: true })
  t.equal((await jobs('settle')).length, 1, 'nothing is done')
  t.strictSame(await audited(), [])
  t.equal((await letters.list('settle', {}, 100)).length, free.length + 2 + 2 + 3)
  const made = await letters.replayMany('settle', { code: 'E_DOWN' }, { ...order, dryRun: false })
  t.strictSame(
    made.map(({ id, outcome }) => ({ id, outcome })),
    dry.map(({ id, outcome }) => ({ id, outcome })),
  )
  t.strictSame(
    made.map(({ id, outcome }) => [id, outcome]),
    [
      ...free.map((id) => [id, 'replayed']),
      ...colliding.map((id) => [id, 'collides']),
      [twins[0], 'replayed'],
      [twins[1], 'collides'],
    ],
    'the oldest first, and of one key one',
  )
  t.ok(made.every(({ outcome, jobId }) => (outcome === 'replayed') === (jobId !== null)))
  t.ok(dry.every(({ jobId }) => jobId === null))
  t.equal((await jobs('settle')).length, 1 + free.length + 1)
  t.equal((await audited()).length, 1)
  t.strictSame(
    (await letters.replayMany('settle', { code: 'E_OTHER' }, { ...OPERATOR, limit: 2, dryRun: false })).map(
      ({ id }) => id,
    ),
    other.slice(0, 2),
    'no more than the limit',
  )
  // Two operators at once: nothing is done twice.
  await bury(20, { code: 'E_BOTH', from: 100 })
  const both = await Promise.all(
    [1, 2].map(() => letters.replayMany('settle', { code: 'E_BOTH' }, { ...order, dryRun: false })),
  )
  const replayed = both.flat().filter(({ outcome }) => outcome === 'replayed')
  t.equal(replayed.length, 20)
  t.equal(new Set(replayed.map(({ id }) => id)).size, 20)
  t.strictSame(await letters.replayMany('notify', {}, { ...order, dryRun: false }), [])
})

t.test('what is discarded is kept, with who did it and why', async (t) => {
  const { letters, bury, jobs, audited } = await morgue(t)
  const [id = ''] = await bury(1)
  t.match(await letters.discard('settle', id, { ...OPERATOR, reason: 'the event is void' }), {
    repeated: false,
  })
  t.match(await letters.discard('settle', id, { ...OPERATOR, reason: 'again' }), { repeated: true })
  t.match(await letters.show('settle', id), {
    state: 'discarded',
    reason: 'the event is void',
    endedBy: '42',
  })
  t.match(await audited(), [
    { action: 'dead_letter.discard', subject: `settle/${id}`, reason: 'the event is void' },
  ])
  t.equal((await audited()).length, 1)
  await t.rejects(letters.replay('settle', id, OPERATOR), {
    code: 'HOLDFAST_ERR_API_DEAD_LETTER_STATE',
    message: /discarded already/,
  })
  t.strictSame(await jobs('settle'), [])
  const nobody = '00000000-0000-4000-8000-000000000000'
  await t.rejects(letters.replay('settle', nobody, OPERATOR), UNKNOWN)
  await t.rejects(letters.discard('settle', nobody, { ...OPERATOR, reason: 'x' }), UNKNOWN)
})

t.test('an action that cannot be audited is none', async (t) => {
  const { pool, bury, jobs } = await morgue(t)
  const [id = ''] = await bury(1)
  const letters = new DeadLetters({
    pool,
    audit: {
      record: async (tx) =>
        void (await tx.query('insert into audit_log (actor, action) values ($1, $2)', ['', ''])),
    },
  })
  await t.rejects(letters.replay('settle', id, OPERATOR), { code: '23514' })
  await t.rejects(letters.discard('settle', id, { ...OPERATOR, reason: 'x' }), { code: '23514' })
  await t.rejects(letters.replayMany('settle', {}, { ...OPERATOR, limit: 1, dryRun: false }), {
    code: '23514',
  })
  t.strictSame(await jobs('settle'), [])
  t.match(await letters.list('settle', {}, 10), [{ letter: { id, state: 'open' } }])
})

t.test('what nobody has dealt with is never deleted, and what somebody has only after a year', async (t) => {
  const { letters, bury, sql, jobs, queue } = await morgue(t)
  const [old = '', discarded = '', replayed = ''] = await bury(3)
  await letters.discard('settle', discarded, { ...OPERATOR, reason: 'x' })
  await letters.replay('settle', replayed, OPERATOR)
  const age = (id: string, days: number) =>
    sql.query(
      `update jobs.job_common set created_on = created_on - $2 * interval '1 day',
         completed_on = completed_on - $2 * interval '1 day' where id = $1`,
      [id, days],
    )
  await age(old, 5000)
  await age(discarded, 364)
  await age(replayed, 366)
  await sql.query('update jobs.queue set maintain_on = null')
  await queue().work(
    'notify',
    handling(() => {}),
  )
  await waitUntil(async () => !(await jobs('settle.dead')).some(({ id }) => id === replayed))
  t.strictSame((await jobs('settle.dead')).map(({ id }) => id).toSorted(), [old, discarded].toSorted())
})

t.test('questions about 100,000 dead letters and jobs go through indexes', async (t) => {
  const { sql, bury, letters } = await morgue(t)
  for (let from = 1; from < 90_000; from += 10_000) {
    await sql.query(
      `insert into jobs.job_common (name, state, policy, singleton_key, completed_on)
       select 'settle', 'completed', 'short', n::text, now() from generate_series($1::int, $1 + 9999) as n`,
      [from],
    )
  }
  const ids = await bury(10_000)
  await sql.query('vacuum analyze jobs.job_common')
  const planOf = async (text: string, values: unknown[]) => {
    const { rows } = await sql.query(`explain (analyze, buffers off) ${text}`, values)
    return rows.map((row) => row['QUERY PLAN']).join('\n')
  }
  const [page] = (await letters.list('settle', {}, 5000)).slice(-1)
  const list = await planOf(LIST, [
    'settle.dead',
    'created',
    null,
    null,
    String(page?.place.atUs),
    page?.place.id,
    21,
  ])
  t.match(list, /Index Scan Backward using dead_letters_by_time/, list)
  t.notMatch(list, /Sort|Seq Scan/)
  const chosen = await planOf(CHOOSE, ['settle.dead', null, null, 100])
  t.match(chosen, /Index Scan using dead_letters_by_time/, chosen)
  const shown = await planOf(SHOW, ['settle.dead', ids[7], 50])
  t.match(shown, /job_common_pkey/, shown)
  t.match(shown, /job_common_i12/)
  t.notMatch(shown, /Seq Scan/)
})
