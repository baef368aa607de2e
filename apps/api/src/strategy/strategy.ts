import { type Decision, decideBy, type Moment } from './evaluate.ts'
import { parseStrategy } from './parse.ts'

/** A strategy that can be asked. */
export interface Strategy {
  readonly text: string
  /** How many prices it looks at, the present one among them. */
  readonly window: number
  /** Steps that one decision takes at most. */
  readonly steps: number
  /** @throws {StrategyRunError} */
  decide(moment: Moment): Decision
}

/** Makes a strategy of its text. @throws {StrategyError} which says where. */
export function strategyOf(text: string): Strategy {
  const { expression, window, steps } = parseStrategy(text)
  const decide = decideBy(expression)
  return { text, window, steps, decide: (moment) => decide(moment) }
}
