import type { LoopRow } from '../harness/row.ts'

const module = 'src/loops/fleet-flight.ts'

/** One execution in all processes, and how soon the others have its value. */
export const fleetFlight: LoopRow = {
  kind: 'loop',
  name: 'fleet-flight',
  title: '4 processes with 50 callers of one key each, one Redis, 60 ms of work; figures per flight',
  variants: [
    { name: 'ours', module, args: ['ours'], against: 'lock and polling' },
    { name: 'lock and polling', module, args: ['polling'] },
    { name: 'async-cache-dedupe', module, args: ['async-cache-dedupe'], against: 'lock and polling' },
  ],
  goals: [
    {
      claim: 'Four processes with 50 callers each run the work of a flight once',
      figure: 'executions',
      of: 'ours',
      atMost: 1,
    },
    {
      claim: 'Half of the callers in other processes have the value 5 ms after it landed',
      figure: 'followerP50Ms',
      of: 'ours',
      atMost: 5,
    },
    {
      claim: '99 of 100 callers in other processes have the value 50 ms after it landed',
      figure: 'followerP99Ms',
      of: 'ours',
      atMost: 50,
    },
  ],
}
