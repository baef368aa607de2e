// Workers that are killed, frozen and stopped in the middle of jobs, and a database that goes away: no job is lost, and
// each has its effect once. On both ways to the database.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { seededRandom, startPgBouncer, startPostgres, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { childEnvironment } from './child-environment.ts'
import { handling, type JobBench, jobBench } from './job-bench.ts'

t.setTimeout(600_000)

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
const bouncer = await startPgBouncer({ target: postgres, settings: { server_login_retry: '1' } })
t.teardown(() => bouncer.stop())

const pooled = (url: string) => {
  const way = new URL(bouncer.url)
  way.pathname = new URL(url).pathname
  return way.href
}

async function effectsOf(t: Test, way: (url: string) => string) {
  const made = await jobBench(t, postgres.directUrl, way)
  const { sql } = made
  await sql.query(
    'create table tries (n int, attempt int, pid int, at timestamptz default clock_timestamp())',
  )
  await sql.query('create table effects (n int primary key)')
  await sql.query(`update jobs.queue set heartbeat_seconds = 2 where name = 'settle'`)
  const count = async (text: string) =>
    Number((await sql.query(`select count(*) as count from ${text}`)).rows[0]?.count)
  return { ...made, count }
}

/** A process that works. */
async function worker(t: Test, { url }: JobBench): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['--conditions=@holdfast/source', 'test/job-worker-process.ts'], {
    cwd: new URL('..', import.meta.url).pathname,
    env: { ...childEnvironment(), DATABASE_URL: url },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  let said = ''
  child.stdout?.on('data', (chunk) => {
    said += String(chunk)
  })
  await waitUntil(() => said.includes('working'), { timeoutMs: 60_000, what: 'a worker' })
  return child
}

for (const [name, way] of Object.entries({ direct: (url: string) => url, 'through PgBouncer': pooled })) {
  t.test(
    `${name}: what was killed in the middle of a job is done by another, after the heartbeat`,
    async (t) => {
      const made = await effectsOf(t, way)
      const { sql, queue, put, jobs, count } = made
      const producer = queue()
      const killed = await worker(t, made)
      await put(producer, 'settle', { n: 1, holdMs: 600_000 })
      await waitUntil(async () => (await count('tries')) === 1)
      const other = await worker(t, made)
      const killedMs = performance.now()
      killed.kill('SIGKILL')
      await waitUntil(async () => (await count('effects')) === 1, { timeoutMs: 60_000 })
      t.comment(`done ${Math.round(performance.now() - killedMs)} ms after the kill, with a heartbeat of 2 s`)
      await waitUntil(async () => (await jobs('settle'))[0]?.state === 'completed')
      const { rows } = await sql.query('select n, attempt, pid from tries order by at')
      t.match(rows, [
        { attempt: 1, pid: killed.pid },
        { attempt: 2, pid: other.pid },
      ])
      other.kill('SIGTERM')
      t.strictSame(await once(other, 'exit'), [0, null])
    },
  )

  t.test(`${name}: kills, stops and freezes of three workers lose nothing and double nothing`, async (t) => {
    const random = seededRandom()
    random.announce(t)
    const made = await effectsOf(t, way)
    const { queue, put, jobs, count } = made
    const producer = queue()
    const workers = await Promise.all([worker(t, made), worker(t, made), worker(t, made)])
    const all = 120
    let at = 0
    for (let round = 0; round < 6; round += 1) {
      for (; at < ((round + 1) * all) / 6; at += 1) {
        await put(producer, 'settle', { n: at, holdMs: random.int(0, 300) })
      }
      const victim = random.int(0, workers.length - 1)
      const how = random.pick(['SIGKILL', 'SIGTERM', 'SIGSTOP'] as const)
      const child = workers[victim]
      if (child === undefined) continue
      child.kill(how)
      t.comment(`${how} of worker ${victim}`)
      if (how === 'SIGSTOP') {
        // Longer than its heartbeat: what it had is somebody else's when it wakes up.
        await new Promise((resolve) => setTimeout(resolve, 3000))
        child.kill('SIGCONT')
      } else {
        await once(child, 'exit')
        workers[victim] = await worker(t, made)
      }
    }
    await waitUntil(
      async () => {
        const states = (await jobs('settle')).map(({ state }) => state)
        return states.length === all && states.every((state) => state === 'completed')
      },
      { timeoutMs: 120_000, what: 'all jobs' },
    )
    t.equal(await count('effects'), all)
    t.comment(`${await count('tries')} tries of ${all} jobs`)
    t.equal((await jobs('settle.dead')).length, 0)
    for (const child of workers) child.kill('SIGTERM')
    await Promise.all(workers.map((child) => once(child, 'exit')))
  })
}

t.test('a database that goes away and comes back loses no job', async (t) => {
  const { pool, queue, put, jobs, log } = await jobBench(t, postgres.directUrl)
  const done: number[] = []
  const jobQueue = queue()
  await jobQueue.work(
    'settle',
    handling(({ payload: { n } }) => void done.push(n)),
  )
  for (let n = 0; n < 10; n += 1) await put(jobQueue, 'settle', { n })
  await waitUntil(() => done.length >= 10)
  await postgres.kill9()
  await waitUntil(() => jobQueue.snapshot().workers.some(({ failures }) => failures > 2))
  await t.rejects(pool.transaction({}, (tx) => jobQueue.enqueue(tx, 'settle', { n: 99 })))
  await postgres.restart()
  await waitUntil(
    () =>
      pool.query('select 1').then(
        () => true,
        () => false,
      ),
    { timeoutMs: 60_000 },
  )
  await put(jobQueue, 'settle', { n: 10 })
  await waitUntil(() => done.includes(10), { timeoutMs: 60_000 })
  t.notOk(done.includes(99))
  await waitUntil(async () => (await jobs('settle')).every(({ state }) => state === 'completed'))
  t.ok(
    log.filter((line) => line.includes('jobs cannot be asked for')).length < 20,
    'and the log is not flooded',
  )
})

t.test(
  'a process that only works does not end with its database, and goes on when that is back',
  async (t) => {
    const made = await effectsOf(t, (url) => url)
    const { sql, queue, put, count } = made
    const alive = await worker(t, made)
    let said = ''
    alive.stdout?.on('data', (chunk) => {
      said += String(chunk)
    })
    await postgres.kill9()
    // Of the failures in a row it says the first, the second, the fourth, the eighth.
    await waitUntil(() => said.split('jobs cannot be asked for').length > 4, { timeoutMs: 120_000 })
    t.equal(alive.exitCode, null)
    await postgres.restart()
    await waitUntil(
      () =>
        sql.query('select 1').then(
          () => true,
          () => false,
        ),
      { timeoutMs: 60_000 },
    )
    await put(queue(), 'settle', { n: 1, holdMs: 0 })
    await waitUntil(async () => (await count('effects')) === 1, { timeoutMs: 60_000 })
    t.match((await sql.query('select pid from tries')).rows, [{ pid: alive.pid }])
    alive.kill('SIGTERM')
    t.strictSame(await once(alive, 'exit'), [0, null])
  },
)
