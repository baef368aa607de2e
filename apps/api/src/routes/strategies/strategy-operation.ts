// How the route is described: what it takes, what it answers, and examples.

import type { FastifySchema } from 'fastify'
import { ApiStrategyNotTextError } from '../../errors.ts'
import { FLAG, objectOf, TEXT } from '../../openapi/members.ts'

const PLACE = { type: 'integer', minimum: 1, description: 'From 1.' } as const

export const VALIDATE_SCHEMA: FastifySchema = {
  operationId: 'validateStrategy',
  summary: 'Whether a text is a strategy, and if not, where it is wrong',
  description: 'Asks nobody, and stores nothing.',
  body: {
    type: 'object',
    additionalProperties: false,
    required: ['strategy'],
    properties: { strategy: { type: 'string' } },
  },
  problems: [ApiStrategyNotTextError],
  response: {
    200: objectOf(
      {
        valid: FLAG,
        window: { type: 'integer', description: 'Prices that it looks back on.' },
        steps: { type: 'integer', description: 'Most steps of one evaluation.' },
        error: objectOf({ line: PLACE, column: PLACE, message: TEXT }),
      },
      {
        optional: ['window', 'steps', 'error'],
        description: 'With `window` and `steps` where it is one, with `error` where it is none.',
      },
    ),
  },
  examples: [
    {
      name: 'a_strategy',
      summary: 'One that buys what is cheap',
      body: { strategy: 'price < sma(20) * 0.99 ? buy(1) : hold()' },
      status: 200,
      answer: { valid: true, window: 20, steps: 30 },
    },
    {
      name: 'a_mistake',
      summary: 'A function that there is not',
      body: { strategy: 'price < mean(20) ? buy(1) : hold()' },
      status: 200,
      answer: {
        valid: false,
        error: {
          line: 1,
          column: 9,
          message:
            'there is no mean; there are price, position, cash, sma, ema, highest, lowest, stddev, ago, abs, floor, min, max, buy, sell, hold',
        },
      },
    },
  ],
}
