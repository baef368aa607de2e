// Asks strategies, and holds where they fail.
//
// A strategy fails when it comes to nothing that can be done, or takes too long. Each has a breaker of its own, so that a
// bad one keeps nobody else from trading: after three failures in a row its bot holds for a minute, and its user is told.
// The breaker `algorithm` is about all of them: when every strategy that was asked has failed, three ticks in a row, it is
// not the strategies; then all bots of this process hold for a minute, the feature is degraded, and the operators are told.

import { CircuitBreaker, type CircuitBreakerOptions, type CircuitBreakers } from '@holdfast/circuit-breaker'
import type { Clock } from '@holdfast/footing'
import type { Health } from '@holdfast/health'
import { reasonOf } from '../../reason.ts'
import type { Decision } from '../../strategy/evaluate.ts'
import type { Notice } from './notice.ts'
import type { RunnerLog } from './runner-log.ts'
import type { BotPosition, TradingBot } from './trading-bot.ts'

/** The breaker, the feature and the health check. */
export const ALGORITHM = 'algorithm'
export const ALL_FAILED = 'no strategy could be evaluated: the bots hold'

const FAILURES = 3
const OPEN_MS = 60_000
/** A strategy has at most 5,000 steps, so that one that takes longer was held up. */
const DECISION_BUDGET_MS = 50

/** What a strategy has said, or why it was not asked. */
export type Advice = Decision | 'failed' | 'fallback'

/** What it needs. */
export interface AlgorithmOptions {
  readonly breakers: Pick<CircuitBreakers, 'create'>
  readonly health: Pick<Health, 'degrade' | 'recover'>
  /** Is told of bots that hold, and of those that trade again. Never throws. */
  readonly tell: (notice: Notice) => void
  readonly log: Pick<RunnerLog, 'warn'>
  readonly clock: Clock
  /** What one decision may take, in ms. Default 50. */
  readonly decisionBudgetMs?: number
}

/** The strategies of one tick, one after the other. */
export interface AlgorithmRound {
  /** What a bot should do; `prices` as a strategy takes them. */
  advise(bot: TradingBot, at: BotPosition, prices: readonly number[]): Advice
  /** When all were asked. */
  end(): void
}

export class Algorithm {
  readonly #options: AlgorithmOptions
  readonly #breaker: CircuitBreaker

  constructor(options: AlgorithmOptions) {
    const { breakers, health, clock } = options
    this.#options = options
    this.#breaker = breakers.create(ALGORITHM, {
      ...rules(clock),
      // Operators are told of features.
      onTransition: ({ to }) => {
        if (to === 'open') health.degrade(ALGORITHM, ALL_FAILED)
        if (to === 'closed') health.recover(ALGORITHM)
      },
    })
  }

  /** Whether bots trade, or hold because the breaker is not closed. */
  get state(): CircuitBreaker['state'] {
    return this.#breaker.state
  }

  /** Begins a tick; end it. */
  begin(): AlgorithmRound {
    const permit = this.#breaker.tryAcquire()
    let seen = 0
    let asked = 0
    let failed = 0
    return {
      advise: (bot, at, prices) => {
        seen += 1
        if (permit === undefined) return 'fallback'
        const advice = this.#ask(bot, at, prices)
        if (advice !== 'fallback') asked += 1
        if (advice === 'failed') failed += 1
        return advice
      },
      end: () => {
        if (permit === undefined) return
        // Where there is no bot, none is held.
        if (asked === 0) this.#breaker.settle(permit, seen === 0 ? 'success' : 'ignored')
        else this.#breaker.settle(permit, failed === asked ? 'failure' : 'success')
      },
    }
  }

  #ask(bot: TradingBot, at: BotPosition, prices: readonly number[]): Advice {
    const { clock, decisionBudgetMs = DECISION_BUDGET_MS } = this.#options
    const permit = bot.breaker?.tryAcquire()
    if (bot.breaker !== undefined && permit === undefined) return 'fallback'
    const startMs = clock.nowMs()
    const decided = decisionOf(bot, at, prices)
    const isLate = clock.nowMs() - startMs > decisionBudgetMs
    const failure = isLate ? `it took longer than ${decisionBudgetMs} ms` : decided
    if (typeof failure !== 'string') {
      if (permit !== undefined) bot.breaker?.settle(permit, 'success')
      return failure
    }
    bot.lastFailure = failure
    if (permit !== undefined) bot.breaker?.settle(permit, 'failure')
    else this.#firstFailure(bot)
    return 'failed'
  }

  /** Most strategies never fail, and need no breaker. */
  #firstFailure(bot: TradingBot): void {
    const { clock, tell, log } = this.#options
    const { id, name, tenantId, userId } = bot
    const tellUser = (kind: string, reason: string) =>
      tell({ kind, tenantId, userId, payload: { bot_id: id, name, reason } })
    const breaker = new CircuitBreaker(`strategy of bot ${id}`, {
      ...rules(clock),
      onTransition: ({ from, to, reason }) => {
        if (to === 'open' && from === 'closed') {
          const why = `${reason}: ${bot.lastFailure}`
          log.warn({ bot_id: id, reason: why }, 'a bot holds, because its strategy fails')
          tellUser('bot.holding', why)
        }
        if (to === 'closed') tellUser('bot.trading_again', reason)
      },
    })
    bot.breaker = breaker
    const permit = breaker.tryAcquire()
    if (permit !== undefined) breaker.settle(permit, 'failure')
  }
}

/** Three in a row and nothing else, and one call at a time needs no ramp. */
function rules(clock: Clock): CircuitBreakerOptions {
  return {
    failureThreshold: FAILURES,
    failureRate: Number.POSITIVE_INFINITY,
    slowCallRate: Number.POSITIVE_INFINITY,
    openMs: OPEN_MS,
    openGrowth: 1,
    rampMs: 0,
    clock,
  }
}

/** A decision, or why there is none: whatever a strategy throws is its failure, and must not end the tick of the others. */
function decisionOf(
  { strategy }: TradingBot,
  { cash, position }: BotPosition,
  prices: readonly number[],
): Decision | string {
  try {
    return strategy.decide({ prices, cash, position })
  } catch (error) {
    return reasonOf(error)
  }
}
