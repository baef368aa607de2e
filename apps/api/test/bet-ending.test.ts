// What a bet pays, whether it can be placed, and how it ends: nothing of it knows a database.

import { seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { minorOf } from '../src/db/minor-units.ts'
import { idempotencyKeyOf, requestDigest } from '../src/idempotency-key.ts'
import { payoutOf } from '../src/routes/bets/bet.ts'
import { placingOutcome } from '../src/routes/bets/bet-metrics.ts'
import { refusalOf } from '../src/routes/bets/offer.ts'
import { type EndedEvent, endingOf, isOver } from '../src/workers/settlement/ending.ts'
import { parseSettlePayload } from '../src/workers/settlement/settle-payload.ts'

const bet = { market: 'winner', selection: 'home', stakeMinor: 999n, oddsMilli: 1999 }
const finished = (result: Record<string, unknown>): EndedEvent => ({ status: 'finished', result })

t.test('a bet pays the stake times the odds, and never a part of a minor unit', (t) => {
  t.equal(payoutOf(100n, 2150), 215n)
  t.equal(payoutOf(999n, 1999), 1997n, 'not 1997.001')
  t.equal(payoutOf(1n, 1001), 1n)
  t.equal(payoutOf(1_000_000_000n, 1_000_000), 1_000_000_000_000n)
  const random = seededRandom()
  random.announce(t)
  for (let round = 0; round < 1000; round += 1) {
    const stake = BigInt(random.int(1, 1_000_000_000))
    const odds = random.int(1001, 1_000_000)
    const payout = payoutOf(stake, odds)
    t.ok(payout * 1000n <= stake * BigInt(odds) && (payout + 1n) * 1000n > stake * BigInt(odds))
    t.ok(payout >= stake, 'who wins gets no less than he gave')
  }
  t.end()
})

t.test('a bet is won, lost or void by what the event says of its market', (t) => {
  t.strictSame(endingOf(finished({ winner: 'home' }), bet), { status: 'won', payoutMinor: 1997n })
  t.strictSame(endingOf(finished({ winner: 'away' }), bet), { status: 'lost', payoutMinor: 0n })
  const refunded = { status: 'void', payoutMinor: 999n } as const
  t.strictSame(
    endingOf(finished({ goals: 'over_2' }), bet),
    refunded,
    'a market that the result does not name',
  )
  t.strictSame(endingOf({ status: 'void', result: null }, bet), refunded)
  t.strictSame(
    endingOf({ status: 'void', result: { winner: 'home' } }, bet),
    refunded,
    'whatever else it says',
  )
  for (const winner of [null, 1, ['home'], { home: true }]) {
    t.strictSame(endingOf(finished({ winner }), bet), refunded, JSON.stringify(winner))
  }
  for (const market of ['constructor', 'hasown', 'tostring', '__proto__', 'valueof']) {
    t.strictSame(endingOf(finished({}), { ...bet, market }), refunded, market)
  }
  t.ok(isOver({ status: 'finished', result: {} }))
  t.ok(isOver({ status: 'void', result: null }))
  t.notOk(isOver({ status: 'scheduled', result: null }))
  t.notOk(isOver({ status: 'live', result: null }))
  t.end()
})

t.test(
  'a bet is taken on what is scheduled, ahead and offered, at odds no worse than those that were seen',
  (t) => {
    const open = { status: 'scheduled', isAhead: true } as const
    const code = (...given: Parameters<typeof refusalOf>) => {
      const { code, statusCode } = (refusalOf(...given) ?? {}) as { code?: string; statusCode?: number }
      return code === undefined ? 'taken' : `${statusCode} ${code.replace('HOLDFAST_ERR_API_', '')}`
    }
    t.equal(code({ event: open, oddsMilli: 1850 }, undefined), 'taken')
    t.equal(code({ event: open, oddsMilli: 1850 }, 1850), 'taken')
    t.equal(code({ event: open, oddsMilli: 1851 }, 1850), 'taken', 'better ones will do')
    t.equal(code({ event: open, oddsMilli: 1849 }, 1850), '409 ODDS_WORSE')
    t.equal(code({ event: open, oddsMilli: undefined }, undefined), '404 SELECTION_UNKNOWN')
    t.equal(code({ event: undefined, oddsMilli: undefined }, undefined), '404 EVENT_UNKNOWN')
    t.equal(code({ event: { ...open, isAhead: false }, oddsMilli: 1850 }, undefined), '409 EVENT_CLOSED')
    for (const status of ['live', 'finished', 'void'] as const) {
      t.equal(code({ event: { status, isAhead: true }, oddsMilli: 1850 }, undefined), '409 EVENT_CLOSED')
    }
    t.match(refusalOf({ event: open, oddsMilli: 1849 }, 1850), {
      message: /1849.*1850/,
      issues: [{ in: 'body', pointer: '#/odds_milli', detail: '1849' }],
    })
    t.end()
  },
)

t.test('a key is 1 to 255 visible characters, and what was asked for has one digest', (t) => {
  const keyOf = (key: string | undefined) => idempotencyKeyOf({ 'idempotency-key': key })
  for (const key of ['x', 'a'.repeat(255), '9d3c1f0e-0000', '!~"\\']) t.equal(keyOf(key), key)
  const refused = { code: 'HOLDFAST_ERR_API_IDEMPOTENCY_KEY', statusCode: 400 }
  for (const key of [undefined, '', ' ', 'a b', 'a, b', 'a'.repeat(256), 'ä', 'a\tb', '\u007f']) {
    t.throws(() => keyOf(key), refused, JSON.stringify(key))
  }
  t.throws(() => keyOf('a'.repeat(256)), { message: /this one has 256/ })
  const digests = [
    requestDigest('POST /api/bets', ['1', 'winner', 'home', 100, null]),
    requestDigest('POST /api/bets', ['1', 'winner', 'home', 100, 1850]),
    requestDigest('POST /api/bets', ['1', 'winnerh', 'ome', 100, null]),
    requestDigest('POST /api/bots', ['1', 'winner', 'home', 100, null]),
    requestDigest('POST /api/bets', ['1', 'winner', 'home', '100', null]),
  ].map((digest) => digest.toString('hex'))
  t.equal(new Set(digests).size, digests.length)
  t.equal(digests[0]?.length, 64)
  t.equal(requestDigest('POST /api/bets', ['1', 'winner', 'home', 100, null]).toString('hex'), digests[0])
  t.end()
})

t.test('a job of settlement names an event and a version, and what does not is poison', (t) => {
  const payload = { event_id: '7', provider_version: '3' }
  t.strictSame(parseSettlePayload(payload), payload)
  t.strictSame(parseSettlePayload({ ...payload, provider_version: 3, more: 'is ignored' }), payload)
  const refused = { code: 'HOLDFAST_ERR_API_SETTLE_PAYLOAD' }
  for (const wrong of [
    undefined,
    null,
    'x',
    [],
    {},
    { event_id: '7' },
    { event_id: 7, provider_version: '3' },
    { event_id: '0', provider_version: '3' },
    { event_id: '9999999999999999999', provider_version: '3' },
    { event_id: '7', provider_version: '-1' },
    { event_id: '7', provider_version: 1.5 },
    { event_id: '7', provider_version: null },
  ]) {
    t.throws(() => parseSettlePayload(wrong), refused, JSON.stringify(wrong))
  }
  const long = { event_id: 'x'.repeat(10_000) }
  t.throws(() => parseSettlePayload(long), { message: /^.{1,400}$/s }, 'what is told of it is bounded')
  t.end()
})

t.test('an amount that a number cannot hold is an error, and no other amount', (t) => {
  t.equal(minorOf('-5000'), -5000)
  t.equal(minorOf('9007199254740991'), Number.MAX_SAFE_INTEGER)
  t.throws(() => minorOf('9007199254740993'), { message: /9007199254740993/ })
  t.end()
})

t.test('every answer to a bet is counted as one thing', (t) => {
  t.equal(placingOutcome(201, false), 'accepted')
  t.equal(placingOutcome(201, true), 'replayed')
  t.equal(placingOutcome(429, false), 'limited')
  for (const status of [400, 401, 404, 409, 422]) t.equal(placingOutcome(status, false), 'refused')
  for (const status of [500, 503, 504]) t.equal(placingOutcome(status, false), 'failed')
  t.end()
})
