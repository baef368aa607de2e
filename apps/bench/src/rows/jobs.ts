import type { LoopRow, LoopVariant } from '../harness/row.ts'
import { jobsWorld } from './jobs-world.ts'

/** A contender with jobs of that kind. */
function doing(what: string, contender: string): LoopVariant {
  const name = what === 'nothing' ? contender : `${contender}: ${what}`
  const against = what === 'nothing' ? 'pg-boss' : `pg-boss: ${what}`
  return {
    name,
    module: 'src/loops/jobs-throughput.ts',
    args: [contender, what],
    ...(name !== against && { against }),
  }
}

/** What a job costs from its insertion to its end. */
export const jobs: LoopRow = {
  kind: 'loop',
  name: 'jobs',
  title: '200 jobs put in one by one, then done, 4 at a time; figures per 200 jobs, statements per job',
  prepare: jobsWorld,
  variants: [
    doing('nothing', 'ours'),
    doing('nothing', 'pg-boss'),
    doing('nothing', 'pg-boss, batches of 50'),
    doing('nothing', 'plain'),
    doing('statement', 'ours'),
    doing('statement', 'pg-boss'),
    doing('statement', 'plain'),
  ],
  goals: [
    {
      claim: 'Jobs that do nothing take at most half longer than through `work()` of pg-boss',
      figure: 'nanoseconds',
      of: 'ours',
      against: 'pg-boss',
      atMost: 1.5,
    },
    {
      claim: 'They cost the process at most half more CPU',
      figure: 'cpuNanoseconds',
      of: 'ours',
      against: 'pg-boss',
      atMost: 1.5,
    },
    {
      claim: 'Jobs with one statement take at most a quarter longer',
      figure: 'nanoseconds',
      of: 'ours: statement',
      against: 'pg-boss: statement',
      atMost: 1.25,
    },
    {
      claim: 'Jobs that do nothing cost at most twice the CPU of a table and `skip locked`',
      figure: 'cpuNanoseconds',
      of: 'ours',
      against: 'plain',
      atMost: 2,
    },
  ],
}

function waiting(contender: string): LoopVariant {
  return {
    name: contender,
    module: 'src/loops/jobs-idle.ts',
    args: [contender],
    ...(contender !== 'pg-boss' && { against: 'pg-boss' }),
  }
}

/** What it costs to wait for jobs, and how soon the first one is begun. */
export const jobsIdle: LoopRow = {
  kind: 'loop',
  name: 'jobs-idle',
  title: 'a queue asked for jobs once a second, one job after some seconds; figures of the time between',
  prepare: jobsWorld,
  variants: ['ours', 'pg-boss', 'pg-boss, notify', 'plain'].map(waiting),
  goals: [
    {
      claim: 'A queue without jobs asks the database no more often than that of pg-boss',
      figure: 'statementsPerMinute',
      of: 'ours',
      against: 'pg-boss',
      atMost: 1,
    },
    {
      claim: 'It costs no more CPU',
      figure: 'cpuMsPerMinute',
      of: 'ours',
      against: 'pg-boss',
      atMost: 1,
    },
    {
      claim: 'Half of the jobs are begun 0.75 s after they were put in',
      figure: 'startMs',
      of: 'ours',
      atMost: 750,
    },
  ],
}
