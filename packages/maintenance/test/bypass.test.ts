import t from 'tap'
import { cookieOf, readBypass, signBypass } from '../src/bypass.ts'

const keys = ['k'.repeat(32), 'l'.repeat(32)]
const now = { epoch: 3, wallMs: 1_700_000_000_000 }
const bypass = { untilMs: now.wallMs + 1000, epoch: 3, id: 'abcdefghijkl' }

t.test('a bypass is read as it was signed, until its last millisecond', async (t) => {
  const token = signBypass(bypass, keys)
  t.same(readBypass(token, keys, now), bypass)
  t.ok(readBypass(token, keys, { ...now, wallMs: bypass.untilMs - 1 }))
  t.equal(readBypass(token, keys, { ...now, wallMs: bypass.untilMs }), undefined)
})

t.test('one of another epoch is over, and so is one of a key that is gone', async (t) => {
  const token = signBypass(bypass, keys)
  t.equal(readBypass(token, keys, { ...now, epoch: 4 }), undefined)
  t.equal(readBypass(token, keys, { ...now, epoch: 2 }), undefined)
  t.ok(readBypass(token, ['x'.repeat(32), ...keys], now), 'an older key is believed')
  t.equal(readBypass(token, ['x'.repeat(32)], now), undefined)
})

t.test('a bypass with one other character is none', async (t) => {
  const token = signBypass(bypass, keys)
  for (let at = 0; at < token.length; at += 1) {
    const other = token[at] === '0' ? '1' : '0'
    const changed = token.slice(0, at) + other + token.slice(at + 1)
    t.equal(readBypass(changed, keys, now), undefined, changed)
  }
  for (const text of [
    undefined,
    '',
    'x',
    '....',
    `${token}.`,
    `${token}x`,
    token.toUpperCase(),
    'x'.repeat(10_000),
  ]) {
    t.equal(readBypass(text, keys, now), undefined)
  }
})

t.test('a cookie is found among others, by its whole name', async (t) => {
  t.equal(cookieOf('a=1; maintenance-bypass=x.y; b=2', 'maintenance-bypass'), 'x.y')
  t.equal(cookieOf('not-maintenance-bypass=x', 'maintenance-bypass'), undefined)
  t.equal(cookieOf('maintenance-bypass', 'maintenance-bypass'), undefined)
  t.equal(cookieOf('', 'a'), undefined)
  t.equal(cookieOf(undefined, 'a'), undefined)
  t.equal(cookieOf('a=b=c', 'a'), 'b=c')
})
