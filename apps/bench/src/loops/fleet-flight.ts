/**
 * A flight across processes: four of them, with fifty callers each, ask for one key at the same time. In truth they
 * stand on machines of their own, so here they may use every core.
 *
 * The lag is the time from the moment the work was done, in whatever process, to the moment a caller in another
 * process had the value; without coalescing across processes there is none. Both lags are taken over the last
 * flights of this process, because one slice has too few callers for a p99.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { startRedis } from '@holdfast/test-kit'
import { environmentWith } from '../config.ts'
import type { CreateLoop } from '../harness/row.ts'
import type { FlightAnswer, FlightQuestion } from './fleet-flight-process.ts'

const PROCESSES = 4
const CALLERS = 50
const KEPT_LAGS = 6_000
const script = fileURLToPath(new URL('./fleet-flight-process.ts', import.meta.url))

const createLoop: CreateLoop = async ([contender = '']) => {
  // Started by the first flight, in the warm-up: a loop that takes long to prepare would miss its first question.
  let fleet: Promise<readonly ChildProcess[]> | undefined
  let flights = 0
  let lagsMs: number[] = []

  return {
    resultsPerOperation: PROCESSES * CALLERS,
    async run(operations) {
      fleet ??= startFleet(contender)
      const processes = await fleet
      let results = 0
      let executions = 0
      for (let operation = 0; operation < operations; operation += 1) {
        flights += 1
        const question = { id: flights, key: `market-${flights}`, callers: CALLERS }
        const answers = await Promise.all(processes.map((process) => ask(process, question)))
        for (const answer of answers) {
          results += answer.right
          executions += answer.executions
          if (answer.executions > 0) continue
          for (const atMs of answer.settledAtMs) lagsMs.push(atMs - answer.landedAtMs)
        }
      }
      lagsMs = lagsMs.slice(-KEPT_LAGS)
      const sorted = lagsMs.toSorted((left, right) => left - right)
      const quantile = (share: number) => sorted[Math.floor(sorted.length * share)]
      const [followerP50Ms, followerP99Ms] = [quantile(0.5), quantile(0.99)]
      const figures =
        followerP50Ms === undefined || followerP99Ms === undefined ? {} : { followerP50Ms, followerP99Ms }
      return { results, executions, figures }
    },
  }
}
export default createLoop

async function startFleet(contender: string): Promise<readonly ChildProcess[]> {
  const redis = await startRedis()
  return Promise.all(Array.from({ length: PROCESSES }, () => start(contender, redis.directUrl)))
}

async function start(contender: string, url: string): Promise<ChildProcess> {
  const node = ['--conditions=@holdfast/source', script, contender, url]
  const cores = `0-${availableParallelism() - 1}`
  const free = spawnSync('taskset', ['-c', cores, 'true']).status === 0
  const [command, args] = free
    ? ['taskset', ['-c', cores, process.execPath, ...node]]
    : [process.execPath, node]
  const child = spawn(command, args, {
    env: environmentWith({}),
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  await once(child, 'message')
  return child
}

function ask(child: ChildProcess, question: FlightQuestion): Promise<FlightAnswer> {
  return new Promise((resolve) => {
    const onMessage = (answer: FlightAnswer) => {
      if (answer.id !== question.id) return
      child.off('message', onMessage)
      resolve(answer)
    }
    child.on('message', onMessage)
    child.send(question)
  })
}
