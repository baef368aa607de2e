import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { MAX_PRICES, MarketFeed, tickAt } from '../src/market/market-feed.ts'
import { SYMBOL_NAMES, SYMBOLS, symbolOf } from '../src/market/symbols.ts'
import { childEnvironment } from './child-environment.ts'

/** A day of ticks of a second, far from the beginning, of every symbol. */
const DAY = { from: 1_760_000_000, ticks: 86_400 }

t.test(
  'a price is the same whatever was asked before, in any order, one by one or many at once',
  async (t) => {
    const random = seededRandom()
    random.announce(t)
    const asked = Array.from({ length: 400 }, () => ({
      symbol: random.pick(SYMBOL_NAMES),
      tick: random.pick([random.int(0, 2000), random.int(DAY.from, DAY.from + 5000), random.int(0, 2 ** 40)]),
      count: random.int(1, MAX_PRICES),
    }))
    const straight = new MarketFeed()
    const pages = asked.map(({ symbol, tick, count }) => straight.pricesUntil(symbol, tick, count))
    const other = new MarketFeed()
    for (const at of random.shuffle(asked.map((_, index) => index))) {
      const { symbol, tick, count } = asked[at] ?? { symbol: 'HFX', tick: 0, count: 1 }
      const prices = pages[at] ?? []
      t.equal(prices.length, Math.min(count, tick + 1))
      t.equal(other.priceAt(symbol, tick), prices.at(-1))
      const back = random.int(0, prices.length - 1)
      t.equal(other.priceAt(symbol, tick - back), prices.at(-1 - back))
    }
    t.ok(other.remembered <= SYMBOL_NAMES.length * 4, `${other.remembered} segments are remembered`)
    t.equal(straight.remembered, SYMBOL_NAMES.length * 4, 'and no more were to be had')
  },
)

t.test('another process comes to the same prices', async (t) => {
  const script = `
    import { createHash } from 'node:crypto'
    import { MarketFeed } from ${JSON.stringify(new URL('../src/market/market-feed.ts', import.meta.url).href)}
    const feed = new MarketFeed()
    const hash = createHash('sha256')
    for (const symbol of ${JSON.stringify(SYMBOL_NAMES.toReversed())})
      for (let tick = ${DAY.from} + 4999; tick >= ${DAY.from}; tick -= 1) hash.update(feed.priceAt(symbol, tick) + ' ')
    console.log(hash.digest('hex'))`
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    env: childEnvironment(),
    encoding: 'utf8',
  })
  const feed = new MarketFeed()
  const hash = createHash('sha256')
  for (const symbol of SYMBOL_NAMES.toReversed()) {
    for (let tick = DAY.from + 4999; tick >= DAY.from; tick -= 1)
      hash.update(`${feed.priceAt(symbol, tick)} `)
  }
  t.equal(stdout.trim(), hash.digest('hex'), stderr)
})

t.test('versions of the service that run side by side have one market', async (t) => {
  const feed = new MarketFeed()
  t.strictSame(
    SYMBOL_NAMES.map((symbol) => feed.pricesUntil(symbol, DAY.from, 3)),
    KNOWN_PRICES,
  )
})

/** Another list is another market, and needs a tick at which all processes change to it. */
const KNOWN_PRICES: readonly (readonly number[])[] = [
  [10560, 10592, 10561],
  [11928, 11970, 11989],
  [14610, 14617, 14561],
  [26390, 26376, 26308],
  [42456, 42369, 42219],
  [74325, 74572, 74819],
  [148944, 148471, 148492],
  [319777, 319827, 320633],
]

t.test('prices are whole, move, and stay within their bounds', async (t) => {
  const feed = new MarketFeed()
  for (const symbol of SYMBOL_NAMES) {
    const usual = SYMBOLS[symbol]
    let [least, most, changes, largest] = [Number.POSITIVE_INFINITY, 0, 0, 0]
    let before = feed.priceAt(symbol, DAY.from)
    for (let tick = DAY.from + 1; tick < DAY.from + DAY.ticks; tick += 1) {
      const price = feed.priceAt(symbol, tick)
      if (!Number.isInteger(price)) t.fail(`${symbol} costs ${price}`)
      least = Math.min(least, price)
      most = Math.max(most, price)
      largest = Math.max(largest, Math.abs(price - before) / usual)
      if (price !== before) changes += 1
      before = price
    }
    t.comment(`${symbol}: ${least} to ${most}, by ${(largest * 100).toFixed(2)} % at once`)
    t.ok(least >= 0.08 * usual && most <= 1.92 * usual)
    t.ok(most > 1.05 * least, 'it goes somewhere in a day')
    t.ok(changes > DAY.ticks / 2)
    // A step of 0.4 %, bent by less than that, on a slow movement.
    t.ok(largest < 0.02, 'and never leaps, from one segment to the next neither')
  }
})

t.test('other seeds are other markets, and symbols go their own ways', async (t) => {
  const prices = (seed: number | undefined, symbol: 'HFX' | 'ASH') =>
    new MarketFeed(seed).pricesUntil(symbol, DAY.from, MAX_PRICES)
  t.notSame(prices(1, 'HFX'), prices(2, 'HFX'))
  const [one, other] = [prices(undefined, 'HFX'), prices(undefined, 'ASH')]
  const rises = (list: readonly number[]) => list.slice(1).map((price, at) => price > (list[at] ?? 0))
  const alike = rises(one).filter((rise, at) => rise === rises(other)[at]).length
  t.ok(alike > 0.35 * MAX_PRICES && alike < 0.65 * MAX_PRICES, `${alike} of ${MAX_PRICES} moves are alike`)
})

t.test('what is no tick, or too many prices, is refused', async (t) => {
  const feed = new MarketFeed()
  for (const tick of [-1, 0.5, Number.NaN, 2 ** 53]) {
    t.throws(() => feed.priceAt('HFX', tick), { name: 'RangeError', message: /a tick is a whole number/ })
  }
  for (const count of [0, -1, 1.5, MAX_PRICES + 1]) {
    t.throws(() => feed.pricesUntil('HFX', 10, count), {
      name: 'RangeError',
      message: new RegExp(`received ${count}`),
    })
  }
  t.equal(feed.pricesUntil('HFX', 3, 10).length, 4, 'before the first tick there is nothing')
  t.equal(tickAt(1_999, 1000), 1)
  t.equal(symbolOf('HFX'), 'HFX')
  t.equal(symbolOf('toString'), undefined)
})
