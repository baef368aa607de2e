// What is believed of a provider, and what is not.

import t from 'tap'
import { MAX_EVENTS, MAX_ODDS, readFeed } from '../src/provider/provider-feed.ts'

const NOW = Date.UTC(2026, 10, 22, 12)

const good = {
  id: 'match-1',
  name: 'Ashford - Calder',
  starts_at: '2026-11-22T18:00:00Z',
  status: 'scheduled',
  version: 3,
  odds: [
    { market: 'winner', selection: 'home', odds: 2.15 },
    { market: 'winner', selection: 'away', odds: 1.7 },
  ],
}
const over = {
  ...good,
  starts_at: '2026-11-22T10:00:00Z',
  status: 'finished',
  odds: undefined,
  result: { winner: 'home' },
}

const read = (...events: unknown[]) => readFeed({ sport: 'chess', events }, 'chess', NOW)

t.test('an event is read as it was told', async (t) => {
  t.strictSame(read(good), {
    sport: 'chess',
    events: [
      {
        ref: 'match-1',
        name: 'Ashford - Calder',
        startsAt: new Date('2026-11-22T18:00:00Z'),
        status: 'scheduled',
        version: 3,
        odds: [
          { market: 'winner', selection: 'home', oddsMilli: 2150 },
          { market: 'winner', selection: 'away', oddsMilli: 1700 },
        ],
        result: undefined,
      },
    ],
    refused: [],
    refusedCount: 0,
  })
  t.match(read(over)?.events, [{ status: 'finished', odds: [], result: { winner: 'home' } }])
  t.match(read({ ...good, status: 'void' })?.events, [{ status: 'void', odds: [], result: undefined }])
  t.match(read({ ...good, status: 'live', result: null })?.events, [{ status: 'live' }])
  t.match(read({ ...good, odds: undefined })?.events, [{ odds: [] }])
  t.match(read({ ...over, result: {} })?.events, [{ result: {} }], 'every market of it is void')
  t.match(
    read({ ...good, name: '𝒳'.repeat(200) })?.events,
    [{ ref: 'match-1' }],
    'characters, not their halves',
  )
})

t.test('what is not known is not looked at', async (t) => {
  const more = JSON.parse('{ "__proto__": { "id": "other" }, "constructor": 1, "venue": { "deep": [[]] } }')
  const told = read({ ...more, ...good, odds: good.odds.map((offer) => ({ ...offer, ...more })) })
  t.strictSame(told, read(good))
})

t.test('an event that is wrong anywhere is left out, and no other with it', async (t) => {
  const wrong: readonly [unknown, RegExp][] = [
    [null, /id/],
    ['match-2', /id/],
    [[good], /id/],
    [{ ...good, id: undefined }, /id/],
    [{ ...good, id: '' }, /id/],
    [{ ...good, id: 'a b' }, /id/],
    [{ ...good, id: 'x'.repeat(101) }, /id/],
    [{ ...good, id: 5 }, /id/],
    [{ ...good, name: ' ' }, /name/],
    [{ ...good, name: 'a\u0000' }, /name/],
    [{ ...good, name: 'a\nb' }, /name/],
    [{ ...good, name: '\u202Eback' }, /name/],
    [{ ...good, name: '\uD800' }, /name/],
    [{ ...good, name: 'x'.repeat(201) }, /name/],
    [{ ...good, name: 'x'.repeat(1_000_000) }, /name/],
    [{ ...good, name: ['x'] }, /name/],
    [{ ...good, starts_at: NOW }, /starts_at/],
    [{ ...good, starts_at: 'soon' }, /starts_at/],
    [{ ...good, starts_at: '2026-13-01T00:00:00Z' }, /starts_at/],
    [{ ...good, starts_at: '2027-02-29T12:00:00Z' }, /starts_at/],
    [{ ...good, starts_at: '2027-02-28T24:00:00Z' }, /starts_at/],
    [{ ...good, starts_at: '1970-01-01T00:00:00Z' }, /starts_at/],
    [{ ...good, starts_at: '9999-01-01T00:00:00Z' }, /starts_at/],
    [{ ...good, status: 'open' }, /status/],
    [{ ...good, status: undefined }, /status/],
    [{ ...good, version: -1 }, /version/],
    [{ ...good, version: 2 ** 53 }, /version/],
    [{ ...good, version: 0.5 }, /version/],
    [{ ...good, version: '3' }, /version/],
    [{ ...good, odds: {} }, /odds/],
    [{ ...good, odds: [null] }, /market/],
    [{ ...good, odds: [{ market: 'Winner', selection: 'home', odds: 2 }] }, /market/],
    [{ ...good, odds: [{ market: '__proto__', selection: 'home', odds: 2 }] }, /market/],
    [{ ...good, odds: [{ market: 'winner', selection: '', odds: 2 }] }, /selection/],
    [{ ...good, odds: [{ market: 'winner', selection: 'home', odds: '2' }] }, /1\.001/],
    [{ ...good, odds: [{ market: 'winner', selection: 'home', odds: 1 }] }, /1\.001/],
    [{ ...good, odds: [{ market: 'winner', selection: 'home', odds: 1000.001 }] }, /1\.001/],
    [{ ...good, odds: [{ market: 'winner', selection: 'home', odds: Number.NaN }] }, /1\.001/],
    [{ ...good, odds: [good.odds[0], good.odds[0]] }, /twice/],
    [
      {
        ...good,
        odds: Array.from({ length: MAX_ODDS + 1 }, (_, at) => ({
          market: 'm',
          selection: `s${at}`,
          odds: 2,
        })),
      },
      /at most/,
    ],
    [{ ...good, result: { winner: 'home' } }, /is scheduled/],
    [{ ...over, starts_at: '2026-11-22T13:00:00Z' }, /before it has started/],
    [{ ...over, result: undefined }, /result/],
    [{ ...over, result: 'home' }, /result/],
    [{ ...over, result: ['home'] }, /result/],
    [{ ...over, result: { winner: 1 } }, /result/],
    [{ ...over, result: { Winner: 'home' } }, /result/],
    [
      { ...over, result: Object.fromEntries(Array.from({ length: 51 }, (_, at) => [`m${at}`, 'home'])) },
      /result/,
    ],
  ]
  for (const [event, why] of wrong) {
    const feed = read({ ...good, id: 'before' }, event, { ...good, id: 'after' })
    t.strictSame(
      feed?.events.map(({ ref }) => ref),
      ['before', 'after'],
    )
    t.match(feed, { refusedCount: 1, refused: [{ at: 1, why }] }, String(JSON.stringify(event)).slice(0, 100))
  }
})

t.test('of events with one id none is believed', async (t) => {
  const twin = { ...good, name: 'Another' }
  t.match(read(good, { ...good, id: 'alone' }, twin, twin), {
    events: [{ ref: 'alone' }],
    refusedCount: 3,
  })
})

t.test('only the first that are not believed are told, and all are counted', async (t) => {
  const feed = read(...Array.from({ length: 500 }, () => null))
  t.match(feed, { events: [], refusedCount: 500 })
  t.equal(feed?.refused.length, 10)
})

t.test('what is no feed of this sport is none', async (t) => {
  const many = Array.from({ length: MAX_EVENTS + 1 }, () => good)
  for (const document of [
    null,
    undefined,
    5,
    'feed',
    [],
    {},
    { sport: 'chess' },
    { sport: 'chess', events: {} },
    { sport: 'golf', events: [] },
    { sport: 'chess', events: many },
  ]) {
    t.equal(readFeed(document, 'chess', NOW), undefined)
  }
  t.match(readFeed({ sport: 'chess', events: [] }, 'chess', NOW), { events: [] })
})
