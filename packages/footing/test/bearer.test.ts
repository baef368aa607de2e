import t from 'tap'
import { bearerCheck } from '../src/index.ts'

t.test('the token is right, any other is wrong, and whoever brings none has not tried', async (t) => {
  const check = bearerCheck('sesame')
  for (const [authorization, verdict] of [
    ['Bearer sesame', 'right'],
    ['bearer   sesame  ', 'right'],
    ['Bearer sesam', 'wrong'],
    ['Bearer sesame2', 'wrong'],
    ['Bearer Sesame', 'wrong'],
    ['Bearer sésame', 'wrong'],
    ['Basic sesame', 'none'],
    ['Bearersesame', 'none'],
    ['Bearer sesame open', 'none'],
    ['Bearer ', 'none'],
    ['sesame', 'none'],
    ['', 'none'],
    [undefined, 'none'],
  ] as const) {
    t.equal(check(authorization), verdict, String(authorization))
  }
})

t.test('where there is no token nobody has it', async (t) => {
  const check = bearerCheck(undefined)
  for (const authorization of [undefined, '', 'Bearer ', 'Bearer undefined', 'Bearer x'])
    t.equal(check(authorization), 'none', String(authorization))
})

t.test('a token has at most 4,096 characters', async (t) => {
  const token = 'x'.repeat(4096)
  const check = bearerCheck(token)
  t.equal(check(`Bearer ${token}`), 'right')
  t.equal(check(`Bearer ${token}x`), 'none')
  t.equal(check(`Bearer ${' '.repeat(100_000)}x`), 'none', 'and spaces are not looked through for ever')
})
