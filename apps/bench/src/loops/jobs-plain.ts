/** A table and `skip locked`, as it is written at first: no retries, no heartbeat, no dead letters. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'pg'
import { AT_A_TIME, type OpenQueue, POLL_MS } from './jobs.ts'

const TABLES = `
create table if not exists plain_jobs (
  id bigint generated always as identity primary key,
  state text not null default 'created',
  data jsonb not null
);
create index if not exists plain_jobs_created on plain_jobs (id) where state = 'created'`

export const openPlain: OpenQueue = async (url) => {
  const pool = new Pool({ connectionString: url, max: 10 })
  await pool.query(TABLES)
  return {
    async put(job) {
      await pool.query('insert into plain_jobs (data) values ($1)', [JSON.stringify({ job })])
    },
    async work(work) {
      const ending = new AbortController()
      const place = async () => {
        while (!ending.signal.aborted) {
          const { rows } = await pool.query(
            `update plain_jobs set state = 'active' where id = (
               select id from plain_jobs where state = 'created' order by id limit 1 for update skip locked
             ) returning id, data`,
          )
          const [job] = rows
          if (job === undefined) {
            await sleep(POLL_MS, undefined, ending).catch(() => {})
            continue
          }
          await work(job.data.job)
          await pool.query(`update plain_jobs set state = 'completed' where id = $1`, [job.id])
        }
      }
      const places = Promise.all(Array.from({ length: AT_A_TIME }, place))
      return async () => {
        ending.abort()
        await places
      }
    },
    completed: `select count(*) from plain_jobs where state = 'completed'`,
    close: () => pool.end(),
  }
}
