/**
 * `<urls> <contender>`: a queue that has nothing to do, into which one job is put at any moment. What it costs to have
 * nothing to do is what came to pass between two such jobs, while the other contenders had their turns.
 */
import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CreateLoop } from '../harness/row.ts'
import { Account, POLL_MS, urlOf } from './jobs.ts'
import { CONTENDERS } from './jobs-contenders.ts'

const MINUTE_MS = 60_000
/** After a job: its end is written. */
const SETTLE_MS = 200

async function begin(url: string, contender: string) {
  const queue = await CONTENDERS[contender]?.(url)
  if (queue === undefined) throw new RangeError(`no such contender: ${contender}`)
  let onBegun: (job: number) => void = () => {}
  await queue.work(async (job) => onBegun(job))
  const account = new Account(url, queue.completed)
  return {
    account,
    /** Puts a job in; answers after how many ms it was begun. */
    async put(job: number): Promise<number> {
      const putAt = performance.now()
      const begun = new Promise<number>((resolve) => {
        onBegun = (which) => {
          if (which === job) resolve(performance.now() - putAt)
        }
      })
      await queue.put(job)
      return begun
    },
  }
}

const createLoop: CreateLoop = async ([urls = '', contender = '']) => {
  // Not waited for here: questions of the parent that come before this function is done are not heard.
  const begun = begin(urlOf(urls, contender), contender)
  let job = 0
  let quietSince = { atMs: performance.now(), cpu: process.cpuUsage(), statements: 0, completed: 0 }
  return {
    resultsPerOperation: 1,
    async run(operations) {
      const { account, put } = await begun
      await sleep(randomInt(POLL_MS))
      const { statements, completed } = await account.read()
      const minutes = (performance.now() - quietSince.atMs) / MINUTE_MS
      const cpu = process.cpuUsage(quietSince.cpu)
      const quiet = {
        statementsPerMinute: (statements - quietSince.statements) / minutes,
        cpuMsPerMinute: (cpu.user + cpu.system) / 1000 / minutes,
      }
      let waitedMs = 0
      for (let operation = 0; operation < operations; operation += 1) {
        job += 1
        waitedMs += await put(job)
        await sleep(SETTLE_MS)
      }
      const now = await account.read()
      quietSince = { ...now, atMs: performance.now(), cpu: process.cpuUsage() }
      return { results: now.completed - completed, figures: { ...quiet, startMs: waitedMs / operations } }
    },
  }
}
export default createLoop
