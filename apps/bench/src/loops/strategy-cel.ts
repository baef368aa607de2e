/** Strategies in CEL by `@marcbachmann/cel-js`, which checks types; its numbers say of which kind they are. */
import { Environment } from '@marcbachmann/cel-js'
import type { CreateLoop } from '../harness/row.ts'
import { decidingLoop, readingLoop, Words } from './strategy.ts'

/** What functions give has to be of a class that it knows. */
class Order {
  readonly action: string
  readonly quantity: number

  constructor({ action, quantity }: { readonly action: string; readonly quantity: number }) {
    this.action = action
    this.quantity = quantity
  }
}

const words = new Words()
const HELD = new Order(words.hold())

const environment = new Environment()
  .registerVariable('price', 'double')
  .registerVariable('position', 'double')
  .registerVariable('cash', 'double')
  .registerType('Order', { ctor: Order, fields: { action: 'string', quantity: 'double' } })
  .registerFunction('sma(int): double', (count: bigint) => words.sma(Number(count)))
  .registerFunction('ema(int): double', (count: bigint) => words.ema(Number(count)))
  .registerFunction('stddev(int): double', (count: bigint) => words.stddev(Number(count)))
  .registerFunction('buy(double): Order', (units: number) => new Order(words.buy(units)))
  .registerFunction('sell(double): Order', (units: number) => new Order(words.sell(units)))
  .registerFunction('hold(): Order', () => HELD)

/** Those of `STRATEGIES`: a number that is no count of prices has a point there. */
const TEXTS: readonly string[] = [
  'price < sma(20) * 0.99 ? buy(1.0) : hold()',
  'ema(12) > ema(26) ? buy(1.0) : sell(position)',
  'price < sma(20) - 2.0 * stddev(20) ? buy(cash / price / 4.0) : hold()',
  'position > 0.0 && price > sma(30) * 1.05 ? sell(position) : position == 0.0 && price < sma(30) ? buy(5.0) : hold()',
]

function read(text: string) {
  const strategy = environment.parse(text)
  const { valid, error } = strategy.check()
  if (!valid) throw error
  return strategy
}

const createLoop: CreateLoop = async ([what]) => {
  if (what === 'read') return readingLoop(read, TEXTS)
  return decidingLoop(
    TEXTS.map((text) => {
      const decide = read(text)
      return (moment) => {
        const price = words.look(moment)
        return decide({ price, position: moment.position, cash: moment.cash })
      }
    }),
  )
}
export default createLoop
