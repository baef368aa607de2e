/** `<urls> <contender> <nothing | statement>`: 200 jobs are put in, one after the other, and then done. */
import { randomInt } from 'node:crypto'
import { Pool } from 'pg'
import type { CreateLoop } from '../harness/row.ts'
import { Account, urlOf } from './jobs.ts'
import { CONTENDERS } from './jobs-contenders.ts'

const JOBS = 200

async function begin(url: string, contender: string) {
  const queue = await CONTENDERS[contender]?.(url)
  if (queue === undefined) throw new RangeError(`no such contender: ${contender}`)
  return {
    queue,
    account: new Account(url, queue.completed),
    pool: new Pool({ connectionString: url, max: 4 }),
  }
}

const createLoop: CreateLoop = async ([urls = '', contender = '', what = '']) => {
  // Not waited for here: questions of the parent that come before this function is done are not heard.
  const begun = begin(urlOf(urls, contender), contender)
  // Other processes and rounds have other jobs.
  let last = randomInt(2 ** 40)
  return {
    resultsPerOperation: JOBS,
    async run(operations) {
      const { queue, account, pool } = await begun
      const before = await account.read()
      const wanted = new Set<number>()
      while (wanted.size < operations * JOBS) {
        last += 1
        wanted.add(last)
        await queue.put(last)
      }
      const { promise: all, resolve: allDone, reject: fail } = Promise.withResolvers<void>()
      const end = await queue.work(async (job) => {
        if (what === 'statement') await pool.query('insert into done values ($1)', [job])
        if (!wanted.delete(job)) fail(new Error(`the job ${job} was done twice`))
        if (wanted.size === 0) allDone()
      })
      await all
      await end()
      const after = await account.read()
      const figures = { statements: (after.statements - before.statements) / (operations * JOBS) }
      return { results: after.completed - before.completed, figures }
    },
  }
}
export default createLoop
