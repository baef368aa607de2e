import t from 'tap'
import { Memo } from '../src/memo.ts'

t.test('what is in use stays, and there are never many', async (t) => {
  const memo = new Memo<number>(3)
  t.equal(memo.get('a'), undefined)
  memo.set('a', 1)
  for (let at = 0; at < 50; at += 1) {
    memo.set(`other-${at}`, at)
    t.equal(memo.get('a'), 1)
    t.ok(memo.size <= 6)
  }
  t.equal(memo.get('other-0'), undefined)
})
