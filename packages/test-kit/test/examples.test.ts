import t, { type Test } from 'tap'
import { examplesSuite } from '../src/examples-suite.ts'

await examplesSuite<Test>(t, new URL('../examples/', import.meta.url), {
  'bad-day.ts':
    /^at first answers\nin a black hole fails\nafter kill -9 fails\nafter a restart answers\nstatements counted [3-9]\n$/,
  'contract.ts': /ok 1 - counts from one/,
  'time-and-chance.ts': /^quiet at 999\nrang at 1000\na die shows [1-6]\n$/,
})
