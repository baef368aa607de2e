// What becomes of a decision, and how many bots a process runs: both pure.

import { seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { fairShare } from '../src/workers/bots/fair-share.ts'
import { afterOrder, orderOf } from '../src/workers/bots/order.ts'
import { isAfter } from '../src/workers/bots/trading.ts'

t.test('an order is for what a bot can pay for, or has to sell', async (t) => {
  const at = { cash: 1050, position: 3 }
  const order = (action: 'buy' | 'sell' | 'hold', quantity: number, price = 100) =>
    orderOf({ action, quantity }, at, price)
  t.equal(order('hold', 0), undefined)
  t.strictSame(order('buy', 4), { side: 'buy', quantity: 4, priceMinor: 100, isCut: false })
  t.strictSame(order('buy', 10), { side: 'buy', quantity: 10, priceMinor: 100, isCut: false })
  t.match(order('buy', 11), { quantity: 10, isCut: true })
  t.equal(order('buy', 1, 1051), undefined)
  t.match(order('sell', 3), { side: 'sell', quantity: 3, isCut: false })
  t.match(order('sell', 1_000_000), { quantity: 3, isCut: true })
  t.equal(orderOf({ action: 'sell', quantity: 1 }, { cash: 5, position: 0 }, 100), undefined)
})

t.test('what a bot has stays where whole numbers are exact', async (t) => {
  const most = Number.MAX_SAFE_INTEGER
  const sell = { action: 'sell', quantity: 1_000_000 } as const
  const rich = { cash: most - 350, position: 1_000_000 }
  const order = orderOf(sell, rich, 100)
  t.match(order, { quantity: 3, isCut: true })
  if (order !== undefined) t.strictSame(afterOrder(rich, order), { cash: most - 50, position: 999_997 })
  t.equal(orderOf(sell, { cash: most, position: 5 }, 1), undefined)
  t.match(orderOf({ action: 'buy', quantity: 9 }, { cash: 1000, position: most - 2 }, 1), { quantity: 2 })
})

t.test(
  'whatever a bot orders, it has neither debts nor less than nothing, and money only changes hands',
  async (t) => {
    const random = seededRandom()
    random.announce(t)
    let at = { cash: 1_000_000, position: 0 }
    let worthless = 0
    for (let turn = 0; turn < 5000; turn += 1) {
      const action = random.pick(['buy', 'sell'] as const)
      const price = random.int(1, 50_000)
      const order = orderOf({ action, quantity: random.int(1, 400) }, at, price)
      if (order === undefined) {
        worthless += 1
        continue
      }
      const after = afterOrder(at, order)
      const moved = (after.position - at.position) * price
      if (after.cash + moved !== at.cash || after.cash < 0 || after.position < 0)
        t.fail(JSON.stringify({ at, order }))
      at = after
    }
    t.ok(worthless > 0 && worthless < 4000, `${worthless} orders came to nothing`)
  },
)

t.test('a tick is after the last one, or counted by another length', async (t) => {
  t.equal(isAfter(101, 100, 1000), true)
  t.equal(isAfter(100, 100, 1000), false)
  t.equal(isAfter(60, 100, 1000), false, 'a clock may be behind by so much')
  t.equal(isAfter(39, 100, 1000), true)
  t.equal(isAfter(352_000_000, 1_760_000_000, 5000), true, 'ticks were a second, and are five')
})

t.test('a lone process takes all there is, as far as it may', async (t) => {
  t.strictSame(fairShare({ running: 7, alone: 0, processes: 1 }, 0, 500), { take: 7, giveBack: 0 })
  t.strictSame(fairShare({ running: 700, alone: 0, processes: 1 }, 0, 500), { take: 500, giveBack: 0 })
  t.strictSame(fairShare({ running: 700, alone: 200, processes: 1 }, 500, 500), { take: 0, giveBack: 0 })
  t.strictSame(fairShare({ running: 7, alone: 0, processes: 0 }, 0, 500), { take: 7, giveBack: 0 })
})

t.test('nobody leaves a bot alone because others should have taken it', async (t) => {
  t.strictSame(fairShare({ running: 100, alone: 5, processes: 4 }, 25, 500), { take: 5, giveBack: 0 })
  t.strictSame(fairShare({ running: 100, alone: 5, processes: 4 }, 28, 30), { take: 2, giveBack: 0 })
})

t.test('processes that come and go share all bots, and then rest', async (t) => {
  const random = seededRandom()
  random.announce(t)
  for (let game = 0; game < 200; game += 1) {
    const running = random.int(0, 600)
    const max = random.int(100, 999)
    const processes = Array.from({ length: random.int(1, 6) }, () => 0)
    let free = running
    let moves = 0
    for (let turn = 0; turn < 60; turn += 1) {
      moves = 0
      for (const at of random.shuffle(processes.map((_, index) => index))) {
        const held = processes[at] ?? 0
        const { take, giveBack } = fairShare({ running, alone: 0, processes: processes.length }, held, max)
        if (take > 0 && giveBack > 0) t.fail('it would take what it gives back')
        const taken = Math.min(take, free)
        processes[at] = held + taken - giveBack
        free += giveBack - taken
        moves += taken + giveBack
      }
      if (turn === 20) {
        // One comes with nothing, and one goes with what it had.
        processes.push(0)
        free += processes.shift() ?? 0
      }
    }
    const most = Math.max(...processes)
    const least = Math.min(...processes)
    const fits = running <= max * processes.length
    if (fits && free > 0) t.fail(`${free} of ${running} are nobody's`)
    if (moves > 0) t.fail('they do not rest')
    if (most > max) t.fail(`${most} are more than ${max}`)
    const share = Math.ceil(running / processes.length)
    const slack = Math.max(1, Math.floor(share * 0.1))
    if (fits && most - least > (slack + 1) * processes.length) {
      t.fail(`${running} among ${processes.length}: ${processes.join(' ')}`)
    }
  }
})
