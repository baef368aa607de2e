import type { LoopRow } from '../harness/row.ts'

const ours = 'src/loops/strategy-ours.ts'
const cel = 'src/loops/strategy-cel.ts'
const mathjs = 'src/loops/strategy-mathjs.ts'
const closure = 'src/loops/strategy-closure.ts'

/** What a bot's strategy costs at a tick. */
export const strategyDecision: LoopRow = {
  kind: 'loop',
  name: 'strategy-decision',
  title: 'four strategies over windows of 12 to 30 prices, asked in turn; figures per decision',
  variants: [
    { name: 'ours', module: ours, args: ['decide'], against: 'cel-js' },
    { name: 'cel-js', module: cel, args: ['decide'] },
    { name: 'mathjs', module: mathjs, args: ['decide'], against: 'cel-js' },
    { name: 'closure', module: closure, against: 'cel-js' },
    { name: 'closure (A/A control)', module: closure, against: 'closure' },
  ],
  goals: [
    {
      claim: 'A decision takes no longer than with `@marcbachmann/cel-js`',
      figure: 'nanoseconds',
      of: 'ours',
      against: 'cel-js',
      atMost: 1,
    },
    {
      claim: 'A decision takes no longer than with mathjs, compiled',
      figure: 'nanoseconds',
      of: 'ours',
      against: 'mathjs',
      atMost: 1,
    },
    {
      claim: 'A decision takes at most three times as long as by a closure in the program',
      figure: 'nanoseconds',
      of: 'ours',
      against: 'closure',
      atMost: 3,
    },
  ],
}

/** What it costs to look over what somebody wants to give to a bot. */
export const strategyText: LoopRow = {
  kind: 'loop',
  name: 'strategy-text',
  title: 'making a checked strategy of its text, four texts in turn; figures per text',
  variants: [
    { name: 'ours', module: ours, args: ['read'], against: 'cel-js' },
    { name: 'cel-js', module: cel, args: ['read'] },
    { name: 'mathjs', module: mathjs, args: ['read'], against: 'cel-js' },
    { name: 'cel-js (A/A control)', module: cel, args: ['read'], against: 'cel-js' },
  ],
  goals: [
    {
      claim: 'Looking over a text takes no longer than with mathjs and a walk over its nodes',
      figure: 'nanoseconds',
      of: 'ours',
      against: 'mathjs',
      atMost: 1,
    },
    {
      claim: 'It takes no longer than with `@marcbachmann/cel-js`, which checks types as well',
      figure: 'nanoseconds',
      of: 'ours',
      against: 'cel-js',
      atMost: 1,
    },
  ],
}
